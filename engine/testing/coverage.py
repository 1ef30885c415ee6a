"""What of policies an evaluation reached, and how often: every expression of the checked rules is preceded by a
counter, and every rule ends with one. The counters are in the module (`plan/counting.py`); normal compiles have none.

As in `opa test --coverage`, an expression counts as reached when it was evaluated, whatever came of it, and a head when
the rule gave a value.
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


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """From a place to the one behind its end; rows and columns from 1."""

    row: int
    col: int
    end_row: int
    end_col: int

    def to_json(self) -> dict[str, dict[str, int]]:
        return {
            "start": {"row": self.row, "col": self.col},
            "end": {"row": self.end_row, "col": self.end_col},
        }


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Expressions and heads of one file, sorted, and its rules in their order. A row with both counts as both, as in OPA."""

    covered: tuple[Range, ...]
    not_covered: tuple[Range, ...]
    rules: tuple[RuleCount, ...] = ()

    @property
    def covered_rows(self) -> tuple[int, ...]:
        return _rows(self.covered)

    @property
    def not_covered_rows(self) -> tuple[int, ...]:
        return _rows(self.not_covered)

    @property
    def percent(self) -> float:
        return _percent(len(self.covered_rows), len(self.not_covered_rows))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of all files, by name."""

    files: Mapping[str, FileCoverage]

    @property
    def covered(self) -> int:
        return sum(len(f.covered_rows) for f in self.files.values())

    @property
    def not_covered(self) -> int:
        return sum(len(f.not_covered_rows) for f in self.files.values())

    @property
    def percent(self) -> float:
        return _percent(self.covered, self.not_covered)

    def missing(self) -> Iterator[str]:
        """`file:row` or `file:first-last` of what was not reached."""
        for name in sorted(self.files):
            for first, last in ranges(self.files[name].not_covered_rows):
                yield f"{name}:{first}" if first == last else f"{name}:{first}-{last}"

    def to_json(self) -> dict[str, Any]:
        """The report in the shape of `opa test --coverage`; `rules` is ours."""
        files: dict[str, Any] = {}
        for name in sorted(self.files):
            file = self.files[name]
            shape: dict[str, Any] = {}
            if file.covered:
                shape["covered"] = [one.to_json() for one in file.covered]
            if file.not_covered:
                shape["not_covered"] = [one.to_json() for one in file.not_covered]
            if file.covered:
                shape["covered_lines"] = len(file.covered_rows)
            if file.not_covered:
                shape["not_covered_lines"] = len(file.not_covered_rows)
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


def report(
    modules: Iterable[ast.Module],
    counters: Counters,
    counts: Sequence[int],
    sources: Mapping[str, str],
) -> Coverage:
    """What of the parsed modules was reached; `counts` are the values of the counters, `sources` the texts of files by name."""
    hit: set[tuple[str, int, int]] = set()
    values: dict[tuple[str, int, int], int] = {}
    for number, (loc, times) in enumerate(zip(counters.places, counts, strict=True)):
        key = (loc.file, loc.row, loc.col)
        if number in counters.values:
            values[key] = values.get(key, 0) + times
        if times:
            hit.add(key)
    files: dict[str, FileCoverage] = {}
    for module in modules:
        source = sources.get(module.file, "")
        found: dict[bool, set[Range]] = {True: set(), False: set()}
        for loc in _wanted(module.rules):
            found[(module.file, loc.row, loc.col) in hit].add(_range(loc, source))
        rules: list[RuleCount] = []
        for rule in module.rules:
            place = rule_place(rule)
            times = values.get((module.file, place.row, place.col), 0)
            rules.append(RuleCount(render_term(rule.head.ref), place.row, times))
        files[module.file] = FileCoverage(
            tuple(sorted(found[True])), tuple(sorted(found[False])), tuple(rules)
        )
    return Coverage(files)


def _wanted(node: Any) -> Iterator[ast.Location]:
    """Places of heads and expressions, `some x` aside."""
    if isinstance(node, tuple):
        for item in node:
            yield from _wanted(item)
        return
    if not is_dataclass(node) or isinstance(node, ast.Location):
        return
    if isinstance(node, ast.Expr) and not isinstance(node.kind, ast.SomeDecl) and node.loc.row:
        yield node.loc
    if isinstance(node, ast.Rule):
        yield rule_place(node)
    for f in fields(node):
        if f.name != "annotations":
            yield from _wanted(getattr(node, f.name))


def _range(loc: ast.Location, source: str) -> Range:
    text = source[loc.offset : loc.end].rstrip(" \t\r\n;")
    below = text.count("\n")
    last = text[text.rfind("\n") + 1 :]
    return Range(loc.row, loc.col, loc.row + below, len(last) + (1 if below else loc.col))


def _rows(found: Iterable[Range]) -> tuple[int, ...]:
    return tuple(sorted({row for one in found for row in range(one.row, one.end_row + 1)}))


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


def _percent(covered: int, missed: int) -> float:
    total = covered + missed
    return 100.0 * covered / total if total else 0.0


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
