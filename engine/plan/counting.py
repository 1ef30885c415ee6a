"""Counters in compiled policies: an expression of the checked form that counts how often evaluation comes by.

Nothing but an instrumented policy holds one. It must not know what is counted, or why.
"""

from __future__ import annotations

from typing import Final

from cupcake.engine.rego import ast

_OPERATOR: Final = ast.Ref((ast.Var("internal"), ast.String("count_passes")))


def count(counter: int, loc: ast.Location) -> ast.Expr:
    """An expression that always holds, and adds one to a counter."""
    call = ast.Call(_OPERATOR, (ast.Number(str(counter)),), loc)
    return ast.Expr(call, loc=loc, generated=True)


def counter_of(call: ast.Call) -> int | None:
    """The counter that a call of `count` adds to; None for every other call."""
    if call.operator != _OPERATOR or not isinstance(call.args[0], ast.Number):
        return None
    return int(call.args[0].text)


def is_counter(expr: ast.Expr) -> bool:
    """Whether an expression only counts."""
    return isinstance(expr.kind, ast.Call) and counter_of(expr.kind) is not None
