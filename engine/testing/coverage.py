"""Which rows of policies an evaluation reached, and how often: every expression of the checked rules is preceded by a
counter, and every rule ends with one. The counters are in the module (`plan/counting.py`); normal compiles have none.

As in `opa test --coverage`, a row counts as reached when an expression that starts there was evaluated, whatever came
of it, and a head's row when the rule gave a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from cupcake.engine.plan.counting import count
from cupcake.engine.rego import ast
from cupcake.engine.rego.render import render_term
from cupcake.engine.testing.instrument import Instrument, rule_place


class Counters(Instrument):
    """The counters of one instrumented policy: number n belongs to `places[n]`, and is that of a rule's value when n is
    in `values`."""

    def __init__(self) -> None:
        self.places: list[ast.Location] = []
        self.values: set[int] = set()

    def __len__(self) -> int:
        return len(self.places)

    def before(self, expr: ast.Expr) -> ast.Expr:
        return self._count(expr.loc)

    def behind(self, rule: ast.Rule) -> tuple[ast.Expr, ...]:
        self.values.add(len(self.places))
        return (self._count(rule_place(rule)),)

    def _count(self, loc: ast.Location) -> ast.Expr:
        self.places.append(loc)
        return count(len(self.places) - 1, loc)


# -- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many values one definition of a rule gave."""

    name: str
    row: int
    values: int


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Rows of one file, sorted, and its rules in their order."""

    covered: tuple[int, ...]
    not_covered: tuple[int, ...]
    rules: tuple[RuleCount, ...] = ()

    @property
    def percent(self) -> float:
        return _percent(len(self.covered), len(self.not_covered))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of all files, by name."""

    files: Mapping[str, FileCoverage]

    @property
    def covered(self) -> int:
        return sum(len(f.covered) for f in self.files.values())

    @property
    def not_covered(self) -> int:
        return sum(len(f.not_covered) for f in self.files.values())

    @property
    def percent(self) -> float:
        return _percent(self.covered, self.not_covered)

    def missing(self) -> Iterator[str]:
        """`file:row` or `file:first-last` of what was not reached."""
        for name in sorted(self.files):
            for first, last in ranges(self.files[name].not_covered):
                yield f"{name}:{first}" if first == last else f"{name}:{first}-{last}"

    def to_json(self) -> dict[str, Any]:
        """The report in the shape of `opa test --coverage`; `rules` is ours."""
        files: dict[str, Any] = {}
        for name in sorted(self.files):
            file = self.files[name]
            shape: dict[str, Any] = {}
            if file.covered:
                shape["covered"] = _ranges_json(file.covered)
            if file.not_covered:
                shape["not_covered"] = _ranges_json(file.not_covered)
            if file.covered:
                shape["covered_lines"] = len(file.covered)
            if file.not_covered:
                shape["not_covered_lines"] = len(file.not_covered)
            if file.percent:
                shape["coverage"] = _number(file.percent)
            shape["rules"] = [
                {"name": r.name, "row": r.row, "values": r.values} for r in file.rules
            ]
            files[name] = shape
        return {
            "files": files,
            "covered_lines": self.covered,
            "not_covered_lines": self.not_covered,
            "coverage": _number(self.percent),
        }


def report(modules: Iterable[ast.Module], counters: Counters, counts: Sequence[int]) -> Coverage:
    """What of the parsed modules was reached; `counts` are the values of the counters."""
    hit: dict[str, set[int]] = {}
    values: dict[tuple[str, int, int], int] = {}
    for number, (loc, times) in enumerate(zip(counters.places, counts, strict=True)):
        if times:
            hit.setdefault(loc.file, set()).add(loc.row)
        if number in counters.values:
            key = (loc.file, loc.row, loc.col)
            values[key] = values.get(key, 0) + times
    files: dict[str, FileCoverage] = {}
    for module in modules:
        wanted: set[int] = set()
        rules: list[RuleCount] = []
        for rule in module.rules:
            _rows(rule, wanted)
            place = rule_place(rule)
            name = render_term(rule.head.ref)
            rules.append(
                RuleCount(name, place.row, values.get((module.file, place.row, place.col), 0))
            )
        found = hit.get(module.file, set())
        files[module.file] = FileCoverage(
            tuple(sorted(wanted & found)), tuple(sorted(wanted - found)), tuple(rules)
        )
    return Coverage(files)


def _rows(node: Any, rows: set[int]) -> None:
    """Rows where rules and expressions start, `some x` aside."""
    if isinstance(node, tuple):
        for item in node:
            _rows(item, rows)
        return
    if not is_dataclass(node) or isinstance(node, ast.Location):
        return
    if isinstance(node, ast.Expr) and not isinstance(node.kind, ast.SomeDecl) and node.loc.row:
        rows.add(node.loc.row)
    if isinstance(node, ast.Rule):
        rows.add(rule_place(node).row)
    for f in fields(node):
        if f.name != "annotations":
            _rows(getattr(node, f.name), rows)


def ranges(rows: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring numbers, first and last."""
    first = last = -1
    for row in rows:
        if first > 0 and row == last + 1:
            last = row
            continue
        if first > 0:
            yield first, last
        first = last = row
    if first > 0:
        yield first, last


def _ranges_json(rows: Iterable[int]) -> list[dict[str, dict[str, int]]]:
    return [{"start": {"row": a}, "end": {"row": b}} for a, b in ranges(rows)]


def _percent(covered: int, missed: int) -> float:
    total = covered + missed
    return 100.0 * covered / total if total else 0.0


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
