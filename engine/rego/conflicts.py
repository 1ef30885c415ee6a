"""Conflicts between definitions: rule kinds, defaults, rules and packages, rules and base data, imports.

Reads checked rules (absolute head refs) and only reports; grouping is `compile.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.local_names import COMPILE_ERROR
from cupcake.engine.rego.render import render_term
from cupcake.engine.rego.resolve import ROOTS, ModuleNames, Problems, import_name, is_syntax_import
from cupcake.engine.rego.rewrite_terms import TYPE_ERROR

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEYWORDS: Final = frozenset(
    [
        "as",
        "contains",
        "default",
        "else",
        "every",
        "false",
        "if",
        "import",
        "in",
        "not",
        "null",
        "package",
        "some",
        "true",
        "with",
    ]
)
_ILLEGAL_DEFAULT: dict[type, str] = {
    ast.Var: "var",
    ast.Ref: "ref",
    ast.Call: "call",
}


def ref_text(ref: ast.Ref, written: Mapping[str, str] | None = None) -> str:
    """`data.a.p[x].q`: a ref for messages; locals by their written names."""
    names = written or {}
    parts: list[str] = []
    for i, t in enumerate(ref.terms):
        match t:
            case ast.Var():
                name = names.get(t.name, t.name) or "_"
                parts.append(name if i == 0 else f"[{name}]")
            case ast.String():
                plain = _WORD.fullmatch(t.value) and t.value not in _KEYWORDS
                parts.append(f".{t.value}" if plain else f"[{render_term(t)}]")
            case _:
                parts.append(f"[{render_term(t)}]" if i else render_term(t))
    return "".join(parts)


def path_text(path: Path) -> str:
    """`data.a.p` of a group's path."""
    terms = [ast.String(p) if isinstance(p, str) else p for p in path]
    return ref_text(ast.Ref((ast.Var("data"), *terms)))


def check_module(module: ast.Module, problems: Problems) -> None:
    """Names that a module may not take, and imports that hide each other."""
    v1 = module.rego_version != "v0"
    seen: dict[str, ast.Import] = {}
    for imported in module.imports:
        if is_syntax_import(imported):
            continue
        name = import_name(imported)
        before = seen.get(name)
        if before is None:
            seen[name] = imported
        elif v1:
            text = f"import must not shadow {import_text(before)}"
            problems.add(COMPILE_ERROR, text, imported.loc)
        if v1 and name in ROOTS and imported.alias is not None:
            problems.add(
                COMPILE_ERROR,
                f"imports must not shadow {name} (use a different import name)",
                imported.loc,
            )
    for rule in module.rules:
        head = rule.head.ref.terms[0]
        if v1 and isinstance(head, ast.Var) and head.name in ROOTS:
            problems.add(
                COMPILE_ERROR,
                f"rules must not shadow {head.name} (use a different rule name)",
                rule.loc,
            )
        if rule.default:
            _check_default(rule, problems)


def import_text(imported: ast.Import) -> str:
    """`import data.x as y`, without blanks that nobody needs."""
    alias = f" as {imported.alias}" if imported.alias else ""
    return f"import {ref_text(imported.path)}{alias}"


def check_unused_imports(names: ModuleNames, problems: Problems) -> None:
    """Strict mode: every import must be used by a rule of its module."""
    for name, imported in names.imports.items():
        if name not in names.used:
            problems.add(COMPILE_ERROR, f"{import_text(imported)} unused", imported.loc)


def _check_default(rule: ast.Rule, problems: Problems) -> None:
    value = rule.head.value
    wrong = None if value is None else _not_ground(value)
    if wrong is not None:
        message = f"illegal default rule (value cannot contain {wrong})"
        problems.add("rego_parse_error", message, rule.loc)
    names: set[str] = set()
    for arg in rule.head.args or ():
        if not isinstance(arg, ast.Var):
            kind = type(arg).__name__.lower()
            message = f"illegal default rule (arguments cannot contain {kind})"
            problems.add("rego_parse_error", message, rule.loc)
        elif arg.name in names:
            message = f"illegal default rule (arguments cannot be repeated {arg.name})"
            problems.add("rego_parse_error", message, rule.loc)
        else:
            names.add(arg.name)


def _not_ground(term: ast.Term) -> str | None:
    """What makes a default value not constant; comprehensions are allowed."""
    found = _ILLEGAL_DEFAULT.get(type(term))
    if found is not None:
        return found
    inner: Iterable[ast.Term] = ()
    if isinstance(term, (ast.Array, ast.Set)):
        inner = term.items
    elif isinstance(term, ast.Object):
        inner = [t for pair in term.pairs for t in pair]
    return next((w for t in inner if (w := _not_ground(t)) is not None), None)


def definitions(group: RuleGroup) -> list[ast.Rule]:
    """All definitions of a group, the default included."""
    return [*group.rules, *([group.default] if group.default is not None else [])]


def is_whole(group: RuleGroup, rule: ast.Rule) -> bool:
    """Whether a rule defines the document at the group's path itself, not parts below it."""
    return len(rule.head.ref.terms) - 1 == len(group.path)


def check_conflicts(
    groups: Mapping[Path, RuleGroup],
    extra_defaults: Iterable[tuple[Path, ast.Rule]],
    data_paths: Mapping[str, object] | None,
    written: Mapping[int, Mapping[str, str]],
    problems: Problems,
) -> None:
    """Report definitions that cannot stand together; `extra_defaults` are second default rules,
    `written` the written names of locals by `id(rule)`."""
    below: dict[Path, list[Path]] = {}
    for path in groups:
        for size in range(1, len(path)):
            prefix = path[:size]
            if prefix in groups:
                below.setdefault(prefix, []).append(path)
    repeated: dict[Path, list[ast.Rule]] = {}
    for path, rule in extra_defaults:
        repeated.setdefault(path, []).append(rule)
    for path, group in groups.items():
        rules = sorted(definitions(group), key=lambda r: (r.loc.file, r.loc.row, r.loc.col))
        first = rules[0]
        whole = [r for r in rules if is_whole(group, r)]
        multi = {r.head.key is not None for r in rules}
        arities = {None if r.head.args is None else len(r.head.args) for r in rules}
        mixed = len(whole) not in (0, len(rules)) and group.arity is None
        if len(multi) > 1 or len(arities) > 1 or mixed:
            text = ref_text(rules[-1].head.ref, written.get(id(rules[-1])))
            problems.add(TYPE_ERROR, f"conflicting rules {text} found", first.loc)
        if path in repeated and group.default is not None:
            places = [group.default, *repeated[path]]
            where = ", ".join(f"{r.loc.file}:{r.loc.row}" for r in places)
            problems.add(
                TYPE_ERROR,
                f"multiple default rules {path_text(path)} found at {where}",
                repeated[path][0].loc,
            )
        if whole and path in below:
            names = " ".join(sorted({path_text(p) for p in below[path]}))
            problems.add(
                TYPE_ERROR, f"rule {path_text(path)} conflicts with [{names}]", whole[0].loc
            )
        if data_paths is not None and _exists(data_paths, path):
            text = "/".join(str(p) for p in path)
            problems.add(COMPILE_ERROR, f"conflicting rule for data path {text} found", first.loc)


def check_packages(
    groups: Mapping[Path, RuleGroup], modules: Iterable[ast.Module], problems: Problems
) -> None:
    """Report packages whose path is a whole document of a rule."""
    for module in modules:
        path = tuple(t.value for t in module.package.terms[1:] if isinstance(t, ast.String))
        group = groups.get(path)
        if group is None:
            continue
        whole = [r for r in definitions(group) if is_whole(group, r)]
        if whole:
            place = f"{whole[0].loc.file}:{whole[0].loc.row}"
            package = path_text(path).removeprefix("data.")
            problems.add(
                TYPE_ERROR,
                f"package {package} conflicts with rule {path[-1]} defined at {place}",
                module.package.loc if module.package.loc.row else module.loc,
            )


def _exists(tree: Mapping[str, object], path: Path) -> bool:
    """Whether the base document has a value at the path, or one on the way there that is no object."""
    node: object = tree
    for part in path:
        if not isinstance(node, Mapping):
            return True
        if part not in node:
            return False
        node = node[part]
    return True
