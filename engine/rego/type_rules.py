"""The arithmetic of types: union, selection by an operand, may two types have a value in common, text.

Pure functions over `builtins.types`; it must not see rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from cupcake.engine.builtins import types as ty
from cupcake.engine.rego import ast

# No value at all: the selection of a ref that can never be defined.
NOTHING: Final = ty.Any((ty.Any(),))

_MAX_UNION: Final = 8
MAX_PARTS: Final = 10_000

# Of `[]` as it is written: nothing is known of what it has, and an index of it may be of any type.
EMPTY_ARRAY: Final = ty.ArrayOf()


def is_any(t: ty.Type) -> bool:
    return isinstance(t, ty.Any) and not t.of


def bounded(t: ty.Type) -> ty.Type:
    """The type, or `any` when it has more than MAX_PARTS parts. Parts may be shared: `y := [x, x]; z := [y, y] ...` doubles them
    with every statement, and who compares or hashes such a type would walk all of them."""
    if isinstance(t, ty.Scalar):
        return t
    left: list[ty.Type] = [t]
    for _ in range(MAX_PARTS):
        if not left:
            return t
        match left.pop():
            case ty.Any(of):
                left += of
            case ty.ArrayOf(static, rest):
                left += static
                if rest is not None:
                    left.append(rest)
            case ty.SetOf(element_type):
                left.append(element_type)
            case ty.ObjectOf(static_pairs, key, value):
                left += [v for _, v in static_pairs]
                left += [x for x in (key, value) if x is not None]
            case _:
                pass
    return ty.ANY


def union(kinds: Iterable[ty.Type]) -> ty.Type:
    """The smallest type that holds all; `any` when one is, or when it would get large."""
    parts: dict[ty.Type, None] = {}
    for t in kinds:
        for part in t.of if isinstance(t, ty.Any) and t.of else (t,):
            if is_any(part):
                return ty.ANY
            parts[part] = None
    if not parts:
        return ty.ANY
    if len(parts) == 1:
        return next(iter(parts))
    return ty.Any(tuple(parts)) if len(parts) <= _MAX_UNION else ty.ANY


def merged(kinds: Sequence[ty.Type]) -> ty.Type:
    """Objects that rules with variables in their heads make, as one: each may have the keys and values of any."""
    objects = [k for k in kinds if isinstance(k, ty.ObjectOf)]
    if len(objects) != len(kinds) or len(kinds) < 2 or any(k.static for k in objects):
        return union(kinds)
    values = [k.dynamic_value or ty.ANY for k in objects]
    return ty.ObjectOf((), union([k.dynamic_key or ty.ANY for k in objects]), merged(values))


def may_equal(a: ty.Type, b: ty.Type) -> bool:
    """False only if no value is of both types."""
    if isinstance(a, ty.Any):
        return not a.of or any(may_equal(x, b) for x in a.of)
    if isinstance(b, ty.Any):
        return not b.of or any(may_equal(a, x) for x in b.of)
    match a, b:
        case ty.Scalar(), ty.Scalar():
            return a == b
        case ty.ArrayOf(), ty.ArrayOf():
            return _arrays(a, b)
        case ty.SetOf(), ty.SetOf():
            return may_equal(a.of, b.of)
        case ty.ObjectOf(), ty.ObjectOf():
            return _objects(a, b)
        case _:
            return False


def _arrays(a: ty.ArrayOf, b: ty.ArrayOf) -> bool:
    if EMPTY_ARRAY in (a, b):
        return True
    size = max(len(a.static), len(b.static))
    for i in range(size):
        x = a.static[i] if i < len(a.static) else a.rest
        y = b.static[i] if i < len(b.static) else b.rest
        if x is None or y is None or not may_equal(x, y):
            return False
    # Two empty arrays would be equal; OPA refuses arrays of different elements nevertheless.
    return a.rest is None or b.rest is None or may_equal(a.rest, b.rest)


def _objects(a: ty.ObjectOf, b: ty.ObjectOf) -> bool:
    for x, y in ((a, b), (b, a)):
        other = dict(y.static)
        for key, value in x.static:
            match = other.get(key)
            if match is None:
                if y.dynamic_key is None:
                    if x.dynamic_key is not None:
                        continue
                    return False
                match = y.dynamic_value or ty.ANY  # whatever the type of its keys, for OPA
            if not may_equal(value, match):
                return False
    if a.dynamic_key is None or b.dynamic_key is None:
        return True
    # As with arrays: two empty objects would be equal.
    return may_equal(a.dynamic_value or ty.ANY, b.dynamic_value or ty.ANY)


def select(t: ty.Type, operand: ast.Term, operand_type: ty.Type) -> ty.Type:
    """The type of `value[operand]`; NOTHING if it can never be defined."""
    match t:
        case ty.Any():
            if not t.of:
                return ty.ANY
            parts = [p for x in t.of if (p := select(x, operand, operand_type)) is not NOTHING]
            return union(parts) if parts else NOTHING
        case ty.ArrayOf():
            return _select_item(t, operand, operand_type)
        case ty.SetOf():
            return _select_member(t, operand, operand_type)
        case ty.ObjectOf():
            return _select_property(t, operand, operand_type)
        case _:
            return NOTHING


def _select_member(t: ty.SetOf, operand: ast.Term, operand_type: ty.Type) -> ty.Type:
    """A member that is written is what it is; of an array or object that is written OPA knows nothing."""
    if not may_equal(t.of, operand_type):
        return NOTHING
    if isinstance(operand, (ast.Array, ast.Object, ast.Set)):
        return ty.ANY
    return operand_type if type(operand) in ast.SCALARS else t.of


def _select_item(t: ty.ArrayOf, operand: ast.Term, operand_type: ty.Type) -> ty.Type:
    if not may_equal(operand_type, ty.NUMBER):
        return NOTHING
    if isinstance(operand, ast.Number) and operand.text.isdigit():
        index = int(operand.text) if len(operand.text) < 10 else 10**9
        if index < len(t.static):
            return t.static[index]
        if t == EMPTY_ARRAY:
            return ty.ANY
        return NOTHING if t.rest is None else t.rest
    if isinstance(operand, (ast.Number, ast.String)):
        return ty.ANY
    if not t.static and t.rest is None:
        return ty.ANY
    return element(t)


def _select_property(t: ty.ObjectOf, operand: ast.Term, operand_type: ty.Type) -> ty.Type:
    if isinstance(operand, ast.String):
        for key, value in t.static:
            if key == operand.value:
                return value
        if t.dynamic_key is not None and may_equal(t.dynamic_key, ty.STRING):
            return t.dynamic_value or ty.ANY
        return NOTHING
    if not t.static and t.dynamic_key is None:
        return ty.ANY
    return element(t) if may_equal(keys_of(t), operand_type) else NOTHING


def element(t: ty.Type) -> ty.Type:
    """The type of the values of a collection."""
    match t:
        case ty.ArrayOf():
            return union([*t.static, *([t.rest] if t.rest is not None else [])])
        case ty.SetOf():
            return t.of
        case ty.ObjectOf():
            dynamic = [t.dynamic_value or ty.ANY] if t.dynamic_key is not None else []
            return union([*(v for _, v in t.static), *dynamic])
        case _:
            return ty.ANY


def keys_of(t: ty.Type) -> ty.Type:
    """The type of the keys of a collection."""
    match t:
        case ty.Any():
            collections = [x for x in t.of if isinstance(x, (ty.ArrayOf, ty.SetOf, ty.ObjectOf))]
            return union([keys_of(x) for x in collections])
        case ty.ArrayOf():
            return ty.ANY if t == EMPTY_ARRAY else ty.NUMBER
        case ty.SetOf():
            return t.of
        case ty.ObjectOf():
            dynamic = [t.dynamic_key] if t.dynamic_key is not None else []
            return union([*([ty.STRING] if t.static else []), *dynamic])
        case _:
            return ty.ANY


def literal_type(term: ast.Term) -> ty.Type:
    """The type of a term as far as its own form tells."""
    match term:
        case ast.String():
            return ty.STRING
        case ast.Number():
            return ty.NUMBER
        case ast.Boolean():
            return ty.BOOLEAN
        case ast.Null():
            return ty.NULL
        case ast.Array():
            return ty.ArrayOf(tuple([literal_type(t) for t in term.items]))
        case ast.Set():
            return ty.SetOf(union([literal_type(t) for t in term.items]))
        case _:
            return ty.ANY


def type_text(t: ty.Type) -> str:
    """A type as OPA writes it: `array<number>[string]`, `object[any: any]`, `any<number, string>`."""
    match t:
        case ty.Scalar():
            return t.name
        case ty.Any():
            return f"any<{', '.join(sorted(type_text(x) for x in t.of))}>" if t.of else "any"
        case ty.ArrayOf():
            static = f"<{', '.join(type_text(x) for x in t.static)}>" if t.static else ""
            rest = f"[{type_text(t.rest)}]" if t.rest is not None else ""
            return f"array{static}{rest}"
        case ty.SetOf():
            return f"set[{type_text(t.of)}]"
        case ty.ObjectOf():
            pairs = ", ".join(
                f"{k}: {type_text(v)}" for k, v in sorted(t.static, key=lambda p: p[0])
            )
            static = f"<{pairs}>" if t.static else ""
            dynamic = ""
            if t.dynamic_key is not None:
                dynamic = f"[{type_text(t.dynamic_key)}: {type_text(t.dynamic_value or ty.ANY)}]"
            return f"object{static}{dynamic}"
        case ty.FunctionOf():
            return "function"


def have_text(have: Sequence[ty.Type], nested: bool) -> str:
    """The argument types of a call; a nested call has an output that is not known yet."""
    parts = [type_text(t) for t in have]
    if nested:
        parts.append("???")
    return f"({', '.join(parts)})"
