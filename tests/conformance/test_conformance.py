"""OPA's compliance cases, kept outside of this repository: every case is evaluated and must pass.

The folder of the files (or one of them) is named by CUPCAKE_CONFORMANCE, default `../shared/conformance` beside the repository. Cases that
fail on purpose stand in `exceptions.json` with the reason; one that passes may not stand there. As a script it
lists what fails:

    python tests/conformance/test_conformance.py [--only PREFIX] [--failures FILE] [--show ID] [--file FILE]
"""

from __future__ import annotations

import argparse
import collections
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.api import query
from cupcake.engine.errors import CompileErrors, EvaluationError
from cupcake.engine.vm import UNDEFINED, Limits

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parents[2] / "shared" / "conformance"
# Cases in the files that we know: a file that lost some must not pass.
TOTALS = {"open.jsonl.gz": 1451, "v0-open.jsonl.gz": 1205}
LIMITS = Limits(memory_bytes=256 << 20, seconds=5.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is empty when the case passes."""

    id: str
    reason: str


def cases_folder() -> Path:
    named = Path(os.environ.get("CUPCAKE_CONFORMANCE") or DEFAULT)
    return named.parent if named.name in TOTALS else named


def exceptions() -> dict[str, str]:
    """Case id -> why we differ."""
    found: dict[str, str] = json.loads((HERE / "exceptions.json").read_text(encoding="utf-8"))
    return found


def read_cases(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="ascii") as lines:
        for line in lines:
            yield json.loads(line, parse_float=Decimal)


def sleep(duration: object) -> None:
    """`test.sleep`: the one builtin that the cases want beside OPA's."""
    text = str(duration)
    unit = 0.001 if text.endswith("ms") else 1e-9 if text.endswith("ns") else 1.0
    time.sleep(min(float(text.rstrip("mnsu")) * unit, 0.1))


def canonical(value: object) -> str:
    """Equal texts for equal JSON values: numbers by value, lone surrogates as OPA prints them."""
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float() | Decimal():
            number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            return str(number.normalize()) if number else "0"
        case str():
            return json.dumps("".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in value))
        case list():
            return "[" + ",".join(map(canonical, value)) + "]"
        case dict():
            pairs = sorted((canonical(k), canonical(v)) for k, v in value.items())
            return "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"
    raise TypeError(type(value).__name__)


def results_text(results: list[dict[str, Any]], case: dict[str, Any]) -> set[str]:
    found = set()
    for result in results:
        row = dict(result)
        if case.get("sort_bindings"):
            row = {
                k: sorted(v, key=canonical) if isinstance(v, list) else v for k, v in row.items()
            }
        found.add(canonical(row))
    return found


def run_case(case: dict[str, Any]) -> Outcome:
    """Evaluate one case and compare as the cases' README says."""
    wants_error = case.get("want_error_code") is not None or case.get("want_error") is not None
    try:
        results = query(
            case["query"],
            {f"test-{i}.rego": text for i, text in enumerate(case["modules"] or ())},
            case.get("data"),
            UNDEFINED if case.get("input") is None else case["input"],
            input_term=case.get("input_term"),
            rego_version=case.get("rego_version") or "v1",
            strict_builtin_errors=bool(case.get("strict_error")),
            limits=LIMITS,
            builtins={"test.sleep": sleep},
        )
    except EvaluationError as e:
        if not wants_error:
            return Outcome(case["id"], f"error: {e}")
        code, text = case.get("want_error_code"), case.get("want_error") or ""
        if code and e.code != code:
            return Outcome(case["id"], f"code {e.code} instead of {code}: {e.message}")
        wanted = text.removeprefix(f"{code}: ") if code else text
        if wanted not in e.message and text not in str(e):
            return Outcome(case["id"], f"message {e.message!r} lacks {wanted!r}")
        return Outcome(case["id"], "")
    except CompileErrors as e:
        return Outcome(case["id"], f"compile: {e.diagnostics[0].code}: {e.diagnostics[0].message}")
    except Exception as e:
        return Outcome(case["id"], f"crash: {type(e).__name__}: {str(e)[:200]}")
    if wants_error:
        return Outcome(
            case["id"], f"no error; wanted {case.get('want_error_code')}: {case.get('want_error')}"
        )
    wanted_results = case.get("want_result")
    if wanted_results is None:
        return Outcome(case["id"], "")
    ours = results_text(results, case)
    theirs = results_text(wanted_results, case)
    if ours != theirs:
        return Outcome(case["id"], f"got {sorted(ours)} instead of {sorted(theirs)}"[:600])
    return Outcome(case["id"], "")


def by_category(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = collections.defaultdict(list)
    for outcome in outcomes:
        if outcome.reason:
            found[outcome.id.removeprefix("v0:").split("/")[0]].append(outcome)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


@pytest.mark.parametrize("name", TOTALS)
def test_every_conformance_case_passes_or_is_excepted(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cases_folder() / name
    if not path.is_file():
        pytest.skip(f"no conformance cases: {path} is absent (set CUPCAKE_CONFORMANCE)")
    outcomes = [run_case(case) for case in read_cases(path)]
    report = os.environ.get("CUPCAKE_CONFORMANCE_REPORT")
    if report:
        write_report(outcomes, Path(report))
    excepted = exceptions().keys() & {o.id for o in outcomes}
    passed = sum(not o.reason for o in outcomes)
    with capsys.disabled():
        print(
            f"\nconformance {name}: {passed} passed / {len(excepted)} excepted / {len(outcomes)} total"
        )
    assert len(outcomes) == TOTALS[name]
    failed = {o.id: o.reason for o in outcomes if o.reason}
    assert {id: failed[id] for id in failed.keys() - excepted} == {}
    assert excepted - failed.keys() == set(), "these pass: they are no exceptions any more"


def test_each_exception_is_a_case_and_has_its_reason() -> None:
    reasons = exceptions()
    assert all(reasons.values())
    paths = [cases_folder() / name for name in TOTALS]
    if all(path.is_file() for path in paths):
        known = {case["id"] for path in paths for case in read_cases(path)}
        assert reasons.keys() <= known


def write_report(outcomes: list[Outcome], path: Path) -> None:
    """Failures by category as JSON lines of {category, id, reason}."""
    with path.open("w") as f:
        for category, failed in by_category(outcomes).items():
            for outcome in failed:
                f.write(
                    json.dumps({"category": category, "id": outcome.id, "reason": outcome.reason})
                    + "\n"
                )


def main(argv: list[str], say: Callable[[str], object] = print) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--file", type=Path, default=cases_folder() / "open.jsonl.gz")
    options.add_argument("--only", default="", help="ids that start with this")
    options.add_argument(
        "--failures", type=Path, help="write the failures to this file as JSON lines"
    )
    options.add_argument("--show", help="print one case in full")
    options.add_argument("-v", action="store_true", help="print every failure")
    chosen = options.parse_args(argv)
    cases = [
        c for c in read_cases(chosen.file) if c["id"].removeprefix("v0:").startswith(chosen.only)
    ]
    if chosen.show:
        for case in cases:
            if case["id"] == chosen.show:
                for text in case["modules"] or ():
                    say(text + "\n---")
                say(
                    json.dumps(
                        {k: v for k, v in case.items() if k != "modules"}, indent=1, default=str
                    )
                )
                say(run_case(case).reason or "passes")
        return 0
    start = time.perf_counter()
    outcomes = [run_case(c) for c in cases]
    for category, failed in by_category(outcomes).items():
        say(f"{len(failed):5} {category}")
        if chosen.v:
            for outcome in failed:
                say(f"        {outcome.id}: {outcome.reason[:300]}")
    if chosen.failures:
        write_report(outcomes, chosen.failures)
    passed = sum(not o.reason for o in outcomes)
    say(
        f"{passed} passed / 0 excepted / {len(outcomes)} total in {time.perf_counter() - start:.1f} s"
    )
    return 0 if passed == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
