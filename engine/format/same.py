"""Whether two modules say the same: what formatting may change of a syntax tree is brought to one form, all else must be equal.

What may change: the order of imports and those of keywords, `=` for `:=` in heads, `true` as the value or the body of a rule, operators
written as functions, elements that a set holds twice, constants in template strings.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from cupcake.engine.format.operators import MARKS, MEMBER_3, operator_name
from cupcake.engine.format.plain import plain
from cupcake.engine.format.style import is_future_import, is_rego_import
from cupcake.engine.rego import ast

_TRUE: Final = ast.Boolean(True)
_EQ: Final = ast.Ref((ast.Var("eq"),))
_ASSIGN: Final = ast.Ref((ast.Var("assign"),))
_WILDCARD: Final = ast.Var("$")


def say_the_same(one: ast.Module, other: ast.Module) -> bool:
    """Whether the modules have the same package, imports, rules and annotations."""
    return _module(one) == _module(other)


def differing_rules(one: ast.Module, other: ast.Module) -> frozenset[int]:
    """The numbers of the rules of the first module that the other one has not in their place."""
    others = [_form(rule) for rule in other.rules]
    return frozenset(
        number
        for number, rule in enumerate(one.rules)
        if number >= len(others) or _form(rule) != others[number]
    )


def _module(module: ast.Module) -> tuple[object, ...]:
    kept = [i for i in module.imports if not is_future_import(i) and not is_rego_import(i)]
    imports = sorted((plain(found.path), found.alias or "") for found in kept)
    scopes = tuple(note.scope for note in module.annotations)
    return module.package, imports, [_form(rule) for rule in module.rules], scopes


def _form(node: Any) -> Any:
    """The common form of a node and all below it."""
    if isinstance(node, tuple):
        return tuple(map(_form, node))
    if not is_dataclass(node) or isinstance(node, ast.Annotations | ast.Location):
        return node
    changes = {f.name: _form(getattr(node, f.name)) for f in fields(node) if f.compare}
    if hasattr(node, "loc"):
        changes["loc"] = ast.NOWHERE
    formed: Any = replace(node, **changes)  # type: ignore[type-var]
    match formed:
        case ast.Var(name=name):
            return _WILDCARD if name.startswith("$") else formed
        case ast.Number(text=text):
            return replace(formed, text="".join(text.split()))
        case ast.Set(items=items):
            return replace(formed, items=tuple(sorted(set(items), key=repr)))
        case ast.Object(pairs=pairs):
            return replace(formed, pairs=tuple(sorted(pairs, key=repr)))
        case ast.TemplateString(parts=parts):
            return replace(formed, parts=_merged(parts))
        case ast.Unify(lhs=lhs, rhs=rhs):
            return ast.Call(_EQ, (lhs, rhs))
        case ast.Assign(lhs=lhs, rhs=rhs):
            return ast.Call(_ASSIGN, (lhs, rhs))
        case ast.Expr(kind=ast.Call() as call):
            return replace(formed, kind=_statement(call))
        case ast.Head(value=value, key=key):
            value = _TRUE if value is None and key is None else value
            return replace(formed, value=value, assign=False)
        case ast.Rule(body=body):
            return replace(formed, body=() if body == (ast.Expr(_TRUE),) else body)
        case _:
            return formed


def _statement(call: ast.Call) -> ast.Call:
    """`plus(1, 2, x)` is `x = 1 + 2`."""
    name = operator_name(call)
    if len(call.args) != 3 or name not in MARKS or name == MEMBER_3:
        return call
    return ast.Call(_EQ, (call.args[2], ast.Call(call.operator, call.args[:2])))


def _merged(parts: tuple[ast.Term | ast.Expr, ...]) -> tuple[ast.Term | ast.Expr, ...]:
    """The parts of a template string with constants as text."""
    merged: list[ast.Term | ast.Expr] = []
    for part in parts:
        if not isinstance(part, ast.String | ast.Number | ast.Boolean | ast.Null):
            merged.append(part)
            continue
        text = part.value if isinstance(part, ast.String) else plain(part)
        before = merged[-1] if merged else None
        if isinstance(before, ast.String):
            merged[-1] = ast.String(before.value + text)
        elif text:
            merged.append(ast.String(text))
    return tuple(merged)
