"""Which imports a module is written out with, where each of them stands, and how they are ordered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cupcake.engine.format.style import Style, is_future_import, is_rego_import
from cupcake.engine.format.walk import walk
from cupcake.engine.rego import ast

# The keywords that `rego.v1` does not allow, in the order in which their imports are added.
_NEWER: Final = ("and", "or", "not")


@dataclass(frozen=True, slots=True)
class ImportLine:
    """An import to be written; `row`: where it stands, or where one that is new belongs."""

    path: ast.Ref
    alias: str | None
    row: int


def import_lines(module: ast.Module, style: Style) -> tuple[list[ImportLine], list[ImportLine]]:
    """The imports to be written: those that come before all rules, and those that stay where they stand. They are all of the
    first kind when a rule stands where a new one belongs."""
    modern = [found for found in module.imports if is_rego_import(found)]
    newest = any(is_rego_import(found, "v2") for found in modern)
    needs_v1 = style.target == "both" and not modern
    kept: list[ImportLine] = []
    dropped_row = 0
    for found in module.imports:
        if is_future_import(found):
            drops = bool(modern) or needs_v1 or style.drops_imports
            dropped_row = found.loc.row if drops else dropped_row
        else:
            drops = is_rego_import(found, "v1") and (style.drops_imports or newest)
        if not drops:
            kept.append(ImportLine(found.path, found.alias, found.loc.row))
    added: list[ast.Ref] = []
    row = module.package.loc.row
    if needs_v1:
        added.append(_import("rego", "v1"))
        row = dropped_row + 1 if dropped_row else row
    elif modern and not style.drops_imports:
        row = modern[0].loc.row + 1
    if dropped_row and not newest:
        added += [_import("future", "keywords", word) for word in _newer_words(module)]
    new = [ImportLine(path, None, row + number) for number, path in enumerate(added)]
    if new and module.rules and new[-1].row >= module.rules[0].loc.row:
        return [*new, *kept], []
    return [], [*new, *kept]


def _import(root: str, *names: str) -> ast.Ref:
    return ast.Ref((ast.Var(root), *map(ast.String, names)))


def _newer_words(module: ast.Module) -> Iterable[str]:
    """The keywords in use that `rego.v1` does not allow."""
    nodes = [node for rule in module.rules for node in walk(rule)]
    used = {node.operator for node in nodes if isinstance(node, ast.Logical)}
    negates = any(isinstance(node, ast.Not) for node in nodes)
    return [word for word in _NEWER if word in used or (word == "not" and negates)]


def grouped(lines: Sequence[ImportLine]) -> list[list[ImportLine]]:
    """Imports that stand on rows next to each other together, each group in order."""
    groups: list[list[ImportLine]] = []
    for line in lines:
        if groups and 0 <= line.row - groups[-1][-1].row <= 1:
            groups[-1].append(line)
        else:
            groups.append([line])
    return [sorted(group, key=_order) for group in groups]


def _order(line: ImportLine) -> tuple[list[str], str]:
    root, *names = line.path.terms
    words = [root.name] if isinstance(root, ast.Var) else []
    return words + [name.value for name in names if isinstance(name, ast.String)], line.alias or ""
