"""Which rows of policies an evaluation reached: every expression of the checked rules is preceded by a call that
notes its row, and every rule ends with one that notes its head's. Normal compiles know nothing of it.

As in `opa test --coverage`, a row counts as reached when an expression that starts there was evaluated, whatever came
of it, and a head's row when the rule gave a value. Default rules are values, not steps: their rows are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from cupcake.engine.builtins.types import BOOLEAN, NUMBER, STRING, Builtin
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked

REACHED = Builtin(
    "internal.cupcake_reached", (STRING, NUMBER), BOOLEAN, home="host", deterministic=False
)
_OPERATOR = ast.Ref((ast.Var("internal"), ast.String("cupcake_reached")))


class Reached:
    """The rows that were reached; `note` is the host function."""

    def __init__(self) -> None:
        self.rows: dict[str, set[int]] = {}

    def note(self, file: str, row: int) -> bool:
        self.rows.setdefault(file, set()).add(int(row))
        return True


def instrument(checked: Checked) -> Checked:
    """The same policy, noting the rows that it reaches. Results are the same."""
    rules = {
        path: replace(group, rules=tuple(_rule(rule) for rule in group.rules))
        for path, group in checked.rules.items()
    }
    return replace(checked, rules=rules)


def _rule(rule: ast.Rule) -> ast.Rule:
    body = (*_body(rule.body), _note(_row_of(rule)))
    else_ = None if rule.else_ is None else _rule(rule.else_)
    return replace(rule, head=_inside(rule.head), body=body, else_=else_)


def _row_of(rule: ast.Rule) -> ast.Location:
    return rule.head.loc if rule.head.loc.row else rule.loc


def _body(body: ast.Body) -> ast.Body:
    noted: list[ast.Expr] = []
    for expr in body:
        if expr.loc.row and not expr.generated:
            noted.append(_note(expr.loc))
        noted.append(_inside(expr))
    return tuple(noted)


def _note(loc: ast.Location) -> ast.Expr:
    call = ast.Call(_OPERATOR, (ast.String(loc.file), ast.Number(str(loc.row))), loc)
    return ast.Expr(call, loc=loc, generated=True)


def _inside(node: Any) -> Any:
    """The node with the bodies inside of it noted."""
    if isinstance(node, tuple):
        if node and isinstance(node[0], ast.Expr):
            return _body(node)
        return tuple(_inside(item) for item in node)
    if not is_dataclass(node) or isinstance(node, (ast.Location, type)):
        return node
    changed = {
        f.name: new
        for f in fields(node)
        if (new := _inside(old := getattr(node, f.name))) is not old and new != old
    }
    return replace(node, **changed) if changed else node


# -- the report ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """Rows of one file, sorted."""

    covered: tuple[int, ...]
    not_covered: tuple[int, ...]

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
        """The report in the shape of `opa test --coverage`."""
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
            files[name] = shape
        return {
            "files": files,
            "covered_lines": self.covered,
            "not_covered_lines": self.not_covered,
            "coverage": _number(self.percent),
        }


def report(modules: Iterable[ast.Module], reached: Reached) -> Coverage:
    """What of the parsed modules was reached."""
    files: dict[str, FileCoverage] = {}
    for module in modules:
        wanted: set[int] = set()
        for rule in module.rules:
            if not rule.default:
                _rows(rule, wanted)
        hit = reached.rows.get(module.file, set())
        files[module.file] = FileCoverage(tuple(sorted(wanted & hit)), tuple(sorted(wanted - hit)))
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
        rows.add(_row_of(node).row)
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
