"""The locals that statements and terms of the checked form use, and where.

Pure reading; what a statement binds is `outputs.py`'s, the order of statements `safety.py`'s.
"""

from __future__ import annotations

from typing import Final

from cupcake.engine.rego import ast

LOCAL: Final = "__local"
# Statements that are no terms and that the checked form does not hold, and blocks, which bind nothing.
NO_TERMS: Final = (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical, ast.Block)


class Uses:
    """The locals of an expression: `plain` outside closures, `closed` anywhere inside closures; each with the place
    of what would be evaluated without it: the innermost call around it, or the statement."""

    __slots__ = ("closed", "plain")

    def __init__(self) -> None:
        self.plain: dict[str, ast.Location] = {}
        self.closed: dict[str, ast.Location] = {}


def known_of(uses: Uses, bound: set[str]) -> set[str]:
    """The variables of a statement that are bound: bodies can be large, statements rarely are."""
    return {v for names in (uses.plain, uses.closed) for v in names if v in bound}


def comes_before(a: ast.Location, b: ast.Location) -> bool:
    return (a.row, a.col) < (b.row, b.col)


def term_uses(
    term: ast.Term, uses: Uses, *, closed: bool = False, at: ast.Location = ast.NOWHERE
) -> None:
    """Collect the locals of `term` in the order in which they are written; `at` is where it is evaluated."""
    kind = type(term)
    if kind in ast.SCALARS:
        return
    if isinstance(term, ast.Var):
        if term.name.startswith(LOCAL):
            found = uses.closed if closed else uses.plain
            loc = at if at.row else term.loc
            known = found.get(term.name)
            if known is None or comes_before(loc, known):
                found[term.name] = loc
    elif isinstance(term, ast.Ref):
        for t in term.terms:
            if type(t) is not ast.String:
                term_uses(t, uses, closed=closed, at=at)
    elif isinstance(term, ast.Call):
        here = term.loc if term.loc.row and not closed else at
        for t in term.args:
            term_uses(t, uses, closed=closed, at=here)
    elif isinstance(term, (ast.Array, ast.Set)):
        for t in term.items:
            term_uses(t, uses, closed=closed, at=at)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            term_uses(k, uses, closed=closed, at=at)
            term_uses(v, uses, closed=closed, at=at)
    elif isinstance(term, ast.ObjectComprehension):
        here = at if at.row else term.loc
        term_uses(term.key, uses, closed=True, at=here)
        term_uses(term.value, uses, closed=True, at=here)
        body_uses(term.body, uses, closed=True, at=here)
    elif isinstance(term, (ast.ArrayComprehension, ast.SetComprehension)):
        here = at if at.row else term.loc
        term_uses(term.term, uses, closed=True, at=here)
        body_uses(term.body, uses, closed=True, at=here)


def expr_uses(
    expr: ast.Expr, uses: Uses, *, closed: bool = False, at: ast.Location = ast.NOWHERE
) -> None:
    """`at`: where the closure that `expr` is in is evaluated, if it is in one that is evaluated as a whole."""
    kind = expr.kind
    here = at if at.row else expr.loc
    if isinstance(kind, ast.Unify):
        term_uses(kind.lhs, uses, closed=closed, at=here)
        term_uses(kind.rhs, uses, closed=closed, at=here)
    elif isinstance(kind, ast.Every):
        term_uses(kind.domain, uses, closed=closed, at=at if at.row else kind.domain.loc)
        body_uses(kind.body, uses, closed=True, at=here)
    elif isinstance(kind, ast.Block):
        for v in kind.needs:
            term_uses(v, uses, closed=closed, at=here)
        # The operands of an `or`, each a negated block, have places of their own; a `not {...}` has one for all.
        operands = all(e.negated and isinstance(e.kind, ast.Block) for e in kind.body)
        whole = expr.negated and not operands
        body_uses(kind.body, uses, closed=True, at=here if whole else at)
    elif isinstance(kind, ast.Call):
        for t in kind.args:
            term_uses(t, uses, closed=closed, at=here)
    elif not isinstance(kind, NO_TERMS):
        term_uses(kind, uses, closed=closed, at=here)
    for w in expr.withs:
        term_uses(w.target, uses, closed=closed, at=here)
        term_uses(w.value, uses, closed=closed, at=here)


def body_uses(
    body: ast.Body, uses: Uses, *, closed: bool = False, at: ast.Location = ast.NOWHERE
) -> None:
    for expr in body:
        expr_uses(expr, uses, closed=closed, at=at)


def plain_vars(term: ast.Term) -> dict[str, ast.Location]:
    """The locals of `term` outside closures."""
    uses = Uses()
    term_uses(term, uses)
    return uses.plain


def call_uses(term: ast.Term, uses: Uses) -> None:
    """Collect the locals in the operands of the calls of `term`, outside closures."""
    kind = type(term)
    if kind in ast.SCALARS or kind is ast.Var:
        return
    if isinstance(term, ast.Call):
        term_uses(term, uses)
    elif isinstance(term, ast.Ref):
        for t in term.terms:
            call_uses(t, uses)
    elif isinstance(term, (ast.Array, ast.Set)):
        for t in term.items:
            call_uses(t, uses)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            call_uses(k, uses)
            call_uses(v, uses)
