"""Marks in compiled policies: expressions of the checked form that count how often evaluation comes by, or tell the host that it
does.

Nothing but an instrumented policy holds one. It must not know what is counted or told, or why.
"""

from __future__ import annotations

from typing import Final

from cupcake.engine.builtins.types import ANY, BOOLEAN, NUMBER, Builtin
from cupcake.engine.rego import ast

_OPERATOR: Final = ast.Ref((ast.Var("internal"), ast.String("count_passes")))
_EVENT: Final = ast.Ref((ast.Var("internal"), ast.String("event")))

#: Called with the number of a site, and with what is said there or null.
EVENT: Final = Builtin("internal.event", (NUMBER, ANY), BOOLEAN, home="host", deterministic=False)


def count(counter: int, loc: ast.Location) -> ast.Expr:
    """An expression that always holds, and adds one to a counter."""
    call = ast.Call(_OPERATOR, (ast.Number(str(counter)),), loc)
    return ast.Expr(call, loc=loc, generated=True)


def counter_of(call: ast.Call) -> int | None:
    """The counter that a call of `count` adds to; None for every other call."""
    if call.operator != _OPERATOR or not isinstance(call.args[0], ast.Number):
        return None
    return int(call.args[0].text)


def event(site: int, loc: ast.Location, said: ast.Term | None = None) -> ast.Expr:
    """An expression that calls EVENT, which always holds."""
    call = ast.Call(_EVENT, (ast.Number(str(site)), said or ast.Null(loc)), loc)
    return ast.Expr(call, loc=loc, generated=True)


def is_counter(expr: ast.Expr) -> bool:
    """Whether an expression only counts."""
    return isinstance(expr.kind, ast.Call) and counter_of(expr.kind) is not None


def is_event(expr: ast.Expr) -> bool:
    """Whether an expression only tells."""
    return isinstance(expr.kind, ast.Call) and expr.kind.operator == _EVENT
