"""Rego engines side by side on realistic policies: ours, `opa bench`, OPA's WebAssembly in our VM, regopy.

Every engine gives the expected result first, or the run stops. Then they are measured in turns, so that a noisy
moment hits all alike: the figure of an engine is the median over rounds of the median of a round.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from measure import Result
from rego_cases import Case, cases
from rego_engines import (
    OPA_VARIABLE,
    WIDE,
    Absent,
    Inside,
    OpaBench,
    Regopy,
    Runner,
    Whole,
    compiled,
    opa_compiled,
    opa_executables,
)

INSIDE, WHOLE, WASM, REGOPY = "ours, inside", "ours, whole", "opa's wasm here", "regopy"
_SECONDS = 0.4


@dataclass(slots=True)
class Row:
    """Medians of the rounds of each engine on one case, in seconds; what is to be said of an engine."""

    case: Case
    rounds: dict[str, list[float]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def p50(self, name: str) -> float | None:
        found = self.rounds.get(name)
        return statistics.median(found) if found else None


def compare(scale: float) -> list[Result]:
    """The suite of `run.py`: prints the table as it goes."""
    opas = opa_executables()
    results: list[Result] = []
    if not opas:
        print(f"no OPA: none on PATH, none in {OPA_VARIABLE}; its columns are left out")
    print(heading(list(opas)))
    for case in cases():
        row = measure(case, opas, max(round(3 * scale), 1), _SECONDS)
        print(line(row, list(opas)), flush=True)
        results += judged(row, list(opas))
    return results


def measure(case: Case, opas: dict[str, str], rounds: int, seconds: float) -> Row:
    """One case on all engines."""
    row = Row(case)
    runners: dict[str, Runner] = {}
    try:
        for name, make in _engines(case, opas):
            try:
                runners[name] = make()
            except (Absent, ImportError) as reason:
                row.notes[name] = str(reason)
        for name, runner in list(runners.items()):
            answer = runner.answer()
            if _same(answer, case.expected, in_order=name not in (WASM, REGOPY)):
                continue
            if name != REGOPY:
                raise SystemExit(
                    f"{case.name}: {name} gives {answer!r}, expected {case.expected!r}"
                )
            row.notes[name] = "measured, though its answer is wrong"
        for _ in range(rounds):
            for name, runner in runners.items():
                row.rounds.setdefault(name, []).append(statistics.median(runner.samples(seconds)))
    finally:
        for runner in runners.values():
            runner.close()
    return row


def _engines(case: Case, opas: dict[str, str]) -> Iterator[tuple[str, Callable[[], Runner]]]:
    artifact = compiled(case)
    yield INSIDE, lambda: Inside(case, artifact)
    yield WHOLE, lambda: Whole(case, artifact)
    for name, path in opas.items():
        yield name, lambda path=path: OpaBench(case, path)  # type: ignore[misc]
    newest = list(opas.items())[-1:]
    for _, path in newest:
        yield WASM, lambda path=path: Whole(case, opa_compiled(case, path), WIDE)  # type: ignore[misc]
    yield REGOPY, lambda: Regopy(case)


def _same(answer: Any, expected: Any, in_order: bool) -> bool:
    """Equality; OPA's WebAssembly and regopy give the elements of a set in an order of their own."""
    return answer == expected if in_order else _loose(answer) == _loose(expected)


def _loose(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _loose(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted(
            (_loose(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True)
        )
    return value


# -- the table


def heading(opas: list[str]) -> str:
    names = [INSIDE, WHOLE, *opas, WASM, REGOPY]
    return "p50 in microseconds\n" + f"{'policy':<14}" + "".join(f"{name:>17}" for name in names)


def line(row: Row, opas: list[str]) -> str:
    cells = []
    for name in (INSIDE, WHOLE, *opas, WASM, REGOPY):
        value = row.p50(name)
        cells.append(f"{value * 1e6:>17.1f}" if value is not None else f"{'-':>17}")
    notes = "".join(f"\n{'':<14}  {name}: {why}" for name, why in row.notes.items())
    return f"{row.case.name:<14}{''.join(cells)}{notes}"


def judged(row: Row, opas: list[str]) -> list[Result]:
    """The bars of one case. OPA's figure is that of its fastest version here."""
    inside, whole, regopy = row.p50(INSIDE), row.p50(WHOLE), row.p50(REGOPY)
    assert inside is not None and whole is not None
    fastest = min((v for name in opas if (v := row.p50(name)) is not None), default=None)
    limit = 2.0 if row.case.kind == "small" else 1.0
    found = []
    for what, value, floor, name, times in (
        ("inside the module", inside, fastest, "opa bench", 0.5),
        ("whole evaluation", whole, fastest, "opa bench", limit),
        ("whole evaluation", whole, regopy, "regopy", 0.05),
    ):
        if floor is not None:
            met = value <= times * floor
            more = {"rounds_us": {n: [s * 1e6 for s in v] for n, v in row.rounds.items()}}
            found.append(
                Result(
                    f"{row.case.name}, {what}",
                    value * 1e6,
                    "us",
                    floor * 1e6,
                    name,
                    f"<= {times}x",
                    met,
                    more,
                )
            )
    return found
