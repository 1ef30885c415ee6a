"""Ground terms as constants of the IR. Must not emit statements."""

from __future__ import annotations

from typing import Final, TypeGuard

from cupcake.engine.plan import ir
from cupcake.engine.plan.rule_tree import Key
from cupcake.engine.rego import ast


class _NotConstant:
    """Type of `NOT_CONSTANT`; None is a constant (null), so absence needs a value of its own."""

    __slots__ = ()


NOT_CONSTANT: Final = _NotConstant()


def constant(term: ast.Term) -> ir.Const | _NotConstant:
    """The constant that `term` denotes, or NOT_CONSTANT when it holds variables, refs, calls or comprehensions.

    Of repeated object keys the last one wins.
    """
    match term:
        case ast.String() | ast.Boolean():
            return term.value
        case ast.Number():
            return ir.ConstNumber(term.text)
        case ast.Null():
            return None
        case ast.Array() | ast.Set():
            items: list[ir.Const] = []
            for item in term.items:
                value = constant(item)
                if isinstance(value, _NotConstant):
                    return NOT_CONSTANT
                items.append(value)
            if isinstance(term, ast.Array):
                return ir.ConstArray(tuple(items))
            return ir.ConstSet(tuple(dict.fromkeys(items)))
        case ast.Object():
            pairs: dict[ir.Const, ir.Const] = {}
            for key_term, value_term in term.pairs:
                key, value = constant(key_term), constant(value_term)
                if isinstance(key, _NotConstant) or isinstance(value, _NotConstant):
                    return NOT_CONSTANT
                pairs[key] = value
            return ir.ConstObject(tuple(pairs.items()))
        case _:
            return NOT_CONSTANT


def key_constant(key: Key) -> ir.Const:
    """The constant for a key of the rule tree."""
    match key:
        case str():
            return key
        case ast.Number():
            return ir.ConstNumber(key.text)
        case ast.Boolean():
            return key.value
        case ast.Null():
            return None


def is_constant(value: ir.Const | _NotConstant) -> TypeGuard[ir.Const]:
    """Whether `value` is a constant (null included)."""
    return not isinstance(value, _NotConstant)


def collection_items(value: ir.Const) -> tuple[ir.Const, ...] | None:
    """What `x in value` ranges over, or None when `value` is no collection."""
    match value:
        case ir.ConstArray() | ir.ConstSet():
            return value.items
        case ir.ConstObject():
            return tuple(item for _, item in value.pairs)
        case _:
            return None
