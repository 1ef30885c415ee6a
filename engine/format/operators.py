"""Operators: their marks, and how tightly they hold their operands together."""

from __future__ import annotations

from typing import Final

from cupcake.engine.rego import ast

MEMBER_2: Final = "internal.member_2"
MEMBER_3: Final = "internal.member_3"
_GROUPS: Final = (
    {"eq": "=", "assign": ":="},
    {MEMBER_2: "in", MEMBER_3: "in"},
    {"equal": "==", "neq": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="},
    {"or": "|"},
    {"and": "&"},
    {"plus": "+", "minus": "-"},
    {"mul": "*", "div": "/", "rem": "%"},
)
#: The mark between the operands of a call of this name.
MARKS: Final = {name: mark for group in _GROUPS for name, mark in group.items()}
_STRENGTHS: Final = {name: level for level, group in enumerate(_GROUPS) for name in group}


def operator_name(call: ast.Call) -> str:
    """`a.b` for a call of it; empty if its operator is no plain name."""
    head, *rest = call.operator.terms
    if not isinstance(head, ast.Var) or not all(isinstance(term, ast.String) for term in rest):
        return ""
    return ".".join([head.name, *(term.value for term in rest if isinstance(term, ast.String))])


def mark_of(call: ast.Call) -> str:
    """The mark of a call with two operands that is written between them; empty for any other call."""
    return MARKS.get(operator_name(call), "") if len(call.args) == 2 else ""


def strength(term: ast.Term) -> int:
    """How tightly the parts of a term hold together when it has no parentheses."""
    own = len(_GROUPS)
    return _STRENGTHS.get(operator_name(term), own) if isinstance(term, ast.Call) else own


def is_union(term: ast.Term) -> bool:
    """Whether it is `a | b`, which could begin a comprehension."""
    return isinstance(term, ast.Call) and mark_of(term) == "|"


def is_membership(term: ast.Term) -> bool:
    """Whether it is `a in b`."""
    return isinstance(term, ast.Call) and mark_of(term) == "in"


def leading_sign(expr: ast.Expr) -> ast.Number | None:
    """The number that the statement begins with, if it has a sign."""
    first = _first_term(expr)
    return first if isinstance(first, ast.Number) and first.text.startswith("-") else None


def begins_with_brace(expr: ast.Expr) -> bool:
    """Whether the statement begins with a set, an object or a comprehension of them."""
    match _first_term(expr):
        case ast.Set(items=items):
            return bool(items)
        case ast.Object() | ast.SetComprehension() | ast.ObjectComprehension():
            return True
        case _:
            return False


def _first_term(expr: ast.Expr) -> ast.ExprKind | None:
    """The innermost term that a statement begins with; None behind `not`."""
    found = expr.kind
    if expr.negated:
        return None
    if isinstance(found, ast.Unify | ast.Assign):
        found = found.lhs
    while True:
        if isinstance(found, ast.Call) and operator_name(found) in MARKS and found.args:
            found = found.args[0]
        elif isinstance(found, ast.Ref):
            found = found.terms[0]
        else:
            return found
