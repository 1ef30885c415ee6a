"""Left-to-right evaluation of one statement, for binding only: what is bound when the planner gets there.

Safety promises that a statement *can* be evaluated; this file tells whether it can be evaluated in the order in
which it is written, and splits it when it cannot. It must not reorder bodies.
"""

from __future__ import annotations

from collections.abc import Callable

from cupcake.engine.rego import ast

LOCAL = "__local"
_CLOSURES = (ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension)

Fresh = Callable[[ast.Term], ast.Var]


def evaluates(term: ast.Term, bound: set[str]) -> bool:
    """Whether `term` has a value when evaluated left to right; `bound` grows by what its refs bind."""
    if type(term) in ast.SCALARS or isinstance(term, _CLOSURES):
        return True
    if isinstance(term, ast.Var):
        return term.name in bound or not term.name.startswith(LOCAL)
    if isinstance(term, ast.Ref):
        if not evaluates(term.terms[0], bound):
            return False
        return all(type(t) is ast.String or matches(t, bound) for t in term.terms[1:])
    if isinstance(term, ast.Call):
        return all(evaluates(t, bound) for t in term.args)
    if isinstance(term, (ast.Array, ast.Set)):
        return all(evaluates(t, bound) for t in term.items)
    if isinstance(term, ast.Object):
        return all(evaluates(k, bound) and evaluates(v, bound) for k, v in term.pairs)
    return False


def matches(term: ast.Term, bound: set[str]) -> bool:
    """Whether a known value can be matched against `term`; its free variables become bound."""
    if isinstance(term, ast.Var):
        if term.name.startswith(LOCAL):
            bound.add(term.name)
        return True
    if isinstance(term, ast.Array):
        return all(matches(t, bound) for t in term.items)
    if isinstance(term, ast.Object):
        return all(evaluates(k, bound) and matches(v, bound) for k, v in term.pairs)
    return evaluates(term, bound)


def unifies(lhs: ast.Term, rhs: ast.Term, bound: set[str]) -> bool:
    """Whether `lhs = rhs` can be evaluated: items pairwise in order, else one side, then match the other."""
    if isinstance(lhs, ast.Array) and isinstance(rhs, ast.Array):
        if len(lhs.items) != len(rhs.items):
            return True
        return all(unifies(x, y, bound) for x, y in zip(lhs.items, rhs.items, strict=True))
    if isinstance(lhs, ast.Object) and isinstance(rhs, ast.Object):
        other = dict(rhs.pairs)
        if len(lhs.pairs) != len(rhs.pairs) or any(k not in other for k, _ in lhs.pairs):
            return True
        return all(unifies(v, other[k], bound) for k, v in lhs.pairs)
    for known, pattern in ((lhs, rhs), (rhs, lhs)):
        trial = set(bound)
        if evaluates(known, trial) and matches(pattern, trial):
            bound |= trial
            return True
    return False


def runs(expr: ast.Expr, bound: set[str]) -> bool:
    """Whether the statement runs as it is written; `bound` grows by what it binds."""
    kind = expr.kind
    for w in expr.withs:
        if not evaluates(w.value, set(bound)):
            return False
    if isinstance(kind, ast.Unify):
        return unifies(kind.lhs, kind.rhs, bound)
    if isinstance(kind, ast.Every):
        return evaluates(kind.domain, bound)
    if isinstance(kind, ast.Block):
        return all(evaluates(v, bound) for v in kind.needs)
    if isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
        return False
    return evaluates(kind, bound)


def relation_runs(call: ast.Call, bound: set[str]) -> bool:
    """`runs` for a relation, whose last argument is matched."""
    return all(evaluates(a, bound) for a in call.args[:-1]) and matches(call.args[-1], bound)


def split(expr: ast.Expr, bound: set[str], fresh: Fresh) -> list[ast.Expr]:
    """The statement as several that can be ordered: pairs of arrays and objects apart, and each ref
    that binds a variable as a statement of its own. The result means the same."""
    kind = expr.kind
    parts: list[ast.Expr] = []

    def emit(new: ast.ExprKind) -> None:
        parts.append(ast.Expr(new, False, expr.withs, expr.loc, True))

    if isinstance(kind, ast.Unify):
        pairs: list[tuple[ast.Term, ast.Term]] = []
        _pairs(kind.lhs, kind.rhs, pairs)
        for lhs, rhs in pairs:
            emit(ast.Unify(_lift(lhs, bound, fresh, emit), _lift(rhs, bound, fresh, emit)))
    elif isinstance(kind, ast.Every):
        emit(ast.Every(kind.key, kind.value, _lift(kind.domain, bound, fresh, emit), kind.body))
    elif isinstance(kind, ast.Block):
        parts.append(expr)
    elif not isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
        lifted = _lift(kind, bound, fresh, emit)
        parts.append(ast.Expr(lifted, False, expr.withs, expr.loc, expr.generated))
    return parts


def _pairs(lhs: ast.Term, rhs: ast.Term, out: list[tuple[ast.Term, ast.Term]]) -> None:
    if isinstance(lhs, ast.Array) and isinstance(rhs, ast.Array):
        if len(lhs.items) == len(rhs.items):
            for x, y in zip(lhs.items, rhs.items, strict=True):
                _pairs(x, y, out)
            return
    elif isinstance(lhs, ast.Object) and isinstance(rhs, ast.Object):
        other = dict(rhs.pairs)
        if len(lhs.pairs) == len(rhs.pairs) and all(k in other for k, _ in lhs.pairs):
            for k, v in lhs.pairs:
                _pairs(v, other[k], out)
            return
    out.append((lhs, rhs))


def _binds(term: ast.Ref, bound: set[str]) -> bool:
    return any(_has_free(t, bound) for t in term.terms[1:])


def _has_free(term: ast.Term, bound: set[str]) -> bool:
    if isinstance(term, ast.Var):
        return term.name.startswith(LOCAL) and term.name not in bound
    if isinstance(term, ast.Ref):
        return any(_has_free(t, bound) for t in term.terms)
    if isinstance(term, ast.Call):
        return any(_has_free(t, bound) for t in term.args)
    if isinstance(term, (ast.Array, ast.Set)):
        return any(_has_free(t, bound) for t in term.items)
    if isinstance(term, ast.Object):
        return any(_has_free(k, bound) or _has_free(v, bound) for k, v in term.pairs)
    return False


def _lift(
    term: ast.Term,
    bound: set[str],
    fresh: Fresh,
    emit: Callable[[ast.ExprKind], None],
) -> ast.Term:
    """`term` with each ref that binds replaced by a local that a statement of its own computes."""
    if isinstance(term, ast.Ref):
        if not _binds(term, bound):
            return term
        operands = [
            _lift(t, bound, fresh, emit) if isinstance(t, (ast.Ref, ast.Call)) else t
            for t in term.terms
        ]
        local = fresh(term)
        emit(ast.Unify(local, ast.Ref(tuple(operands), term.loc)))
        return ast.Var(local.name, term.loc)
    if isinstance(term, ast.Call):
        args = tuple([_lift(t, bound, fresh, emit) for t in term.args])
        return ast.Call(term.operator, args, term.loc)
    if isinstance(term, ast.Array):
        return ast.Array(tuple([_lift(t, bound, fresh, emit) for t in term.items]), term.loc)
    if isinstance(term, ast.Set):
        return ast.Set(tuple([_lift(t, bound, fresh, emit) for t in term.items]), term.loc)
    if isinstance(term, ast.Object):
        return ast.Object(
            tuple(
                [
                    (_lift(k, bound, fresh, emit), _lift(v, bound, fresh, emit))
                    for k, v in term.pairs
                ]
            ),
            term.loc,
        )
    return term
