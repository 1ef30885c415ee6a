"""What a statement binds when some variables are bound already.

Works on the checked form. It answers for one statement; ordering them is `safety.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from cupcake.engine.rego import ast
from cupcake.engine.rego.uses import LOCAL, NO_TERMS, plain_vars

IsRelation: TypeAlias = Callable[[ast.Ref], bool]

_LITERALS: Final = ast.SCALARS | {ast.Array, ast.Object, ast.Set}
_CLOSURES: Final = (ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension)


def ref_outputs(term: ast.Term, safe: set[str], out: set[str]) -> None:
    """Add the operand variables that refs in `term` bind; a ref binds when its head is safe."""
    if type(term) in ast.SCALARS or isinstance(term, (ast.Var, *_CLOSURES)):
        return
    if isinstance(term, ast.Ref):
        head = term.terms[0]
        if isinstance(head, ast.Var):
            if head.name.startswith(LOCAL) and head.name not in safe:
                return
        else:
            # A call or literal is computed first; what its operands bind counts for the ref on it.
            ref_outputs(head, safe, out)
            if any(v not in safe and v not in out for v in plain_vars(head)):
                return
        for t in term.terms[1:]:
            if type(t) is ast.String:
                continue
            if isinstance(t, ast.Ref):
                ref_outputs(t, safe, out)
            elif isinstance(t, ast.Call):
                for a in t.args:
                    ref_outputs(a, safe, out)
            else:
                bindable(t, out)
                ref_outputs(t, safe, out)
    elif isinstance(term, ast.Call):
        for t in term.args:
            ref_outputs(t, safe, out)
    elif isinstance(term, (ast.Array, ast.Set)):
        for t in term.items:
            ref_outputs(t, safe, out)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            ref_outputs(k, safe, out)
            ref_outputs(v, safe, out)


def bindable(term: ast.Term, out: set[str]) -> None:
    """Add the variables that matching a known value against `term` binds."""
    if isinstance(term, ast.Var):
        if term.name.startswith(LOCAL):
            out.add(term.name)
    elif isinstance(term, ast.Array):
        for t in term.items:
            bindable(t, out)
    elif isinstance(term, ast.Object):
        for _, v in term.pairs:
            bindable(v, out)


def unify_outputs(lhs: ast.Term, rhs: ast.Term, safe: set[str]) -> None:
    """Grow `safe` by what `lhs = rhs` binds once everything in `safe` is bound."""
    size = -1
    while size != len(safe):
        size = len(safe)
        _unify(lhs, rhs, safe)
        if isinstance(lhs, ast.Var) or isinstance(rhs, ast.Var):
            return


def _unify(a: ast.Term, b: ast.Term, safe: set[str]) -> None:
    if isinstance(a, ast.Array) and isinstance(b, ast.Array):
        if len(a.items) == len(b.items):
            for x, y in zip(a.items, b.items, strict=True):
                _unify(x, y, safe)
        return
    if isinstance(a, ast.Object) and isinstance(b, ast.Object):
        other = dict(b.pairs)
        for k, x in a.pairs:
            match = other.get(k)
            if match is not None:
                _unify(x, match, safe)
        return
    if _never_equal(a, b):
        return
    if _known(a, safe):
        bindable(b, safe)
    elif _known(b, safe):
        bindable(a, safe)


def _never_equal(a: ast.Term, b: ast.Term) -> bool:
    """Literals of different kinds: what they hold is bound by nothing."""
    return (
        type(a) in _LITERALS
        and type(b) in _LITERALS
        and type(a) is not type(b)
        and (isinstance(a, (ast.Array, ast.Object)) or isinstance(b, (ast.Array, ast.Object)))
    )


def _known(term: ast.Term, safe: set[str]) -> bool:
    if isinstance(term, ast.Var):
        return term.name in safe or not term.name.startswith(LOCAL)
    return all(v in safe for v in plain_vars(term))


def outputs(expr: ast.Expr, safe: set[str], is_relation: IsRelation) -> set[str]:
    """The variables that `expr` binds when those in `safe` are bound; a negated one binds nothing."""
    if expr.negated:
        return set()
    for w in expr.withs:
        if not _known(w.value, safe) or not _known(w.target, safe):
            return set()
    kind = expr.kind
    if not _operands_come_first(kind, safe):
        return set()
    out: set[str] = set()
    if isinstance(kind, ast.Unify):
        ref_outputs(kind.lhs, safe, out)
        ref_outputs(kind.rhs, safe, out)
        grown = safe | out
        unify_outputs(kind.lhs, kind.rhs, grown)
        return grown - safe
    if isinstance(kind, ast.Every):
        ref_outputs(kind.domain, safe, out)
    elif isinstance(kind, ast.Call) and is_relation(kind.operator):
        for arg in kind.args:
            ref_outputs(arg, safe, out)
        grown = safe | out
        if all(_known(arg, grown) for arg in kind.args[:-1]):
            bindable(kind.args[-1], grown)
        return grown - safe
    elif not isinstance(kind, NO_TERMS):
        ref_outputs(kind, safe, out)
    return out - safe


def _operands_come_first(kind: ast.ExprKind, safe: set[str]) -> bool:
    """Whether the calls that are operands can be evaluated before the statement that they are in.

    In `xs[i] == 1 + i` the sum needs an `i` that only the comparison would bind."""
    calls: list[ast.Call] = []
    if isinstance(kind, ast.Unify):
        _calls_in(kind.lhs, calls)
        _calls_in(kind.rhs, calls)
    elif isinstance(kind, ast.Every):
        _calls_in(kind.domain, calls)
    elif isinstance(kind, ast.Call):
        for arg in kind.args:
            _calls_in(arg, calls)
    elif not isinstance(kind, NO_TERMS):
        _calls_in(kind, calls)
    return all(_known(call, safe) for call in calls) or _all_run(calls, set(safe), set())


def _all_run(calls: list[ast.Call], found: set[str], done: set[int]) -> bool:
    """Whether calls beside each other can be evaluated, in some order; `found` grows by what they bind, `done` by their ids."""
    waiting = calls
    while waiting:
        left = [call for call in waiting if not _runs(call, found, done)]
        if len(left) == len(waiting):
            return False
        waiting = left
    return True


def _runs(call: ast.Call, found: set[str], done: set[int]) -> bool:
    """Whether a call can be evaluated: first the calls in its operands, then it has all that these want beside them."""
    if id(call) in done:
        return True
    inner: list[ast.Call] = []
    for arg in call.args:
        _calls_in(arg, inner)
    if not _all_run(inner, found, done):
        return False
    own = [_without_calls(arg) for arg in call.args] if inner else call.args
    out: set[str] = set()
    for arg in own:
        ref_outputs(arg, found, out)
    if not all(v in found or v in out for arg in own for v in plain_vars(arg)):
        return False
    found |= out
    done.add(id(call))
    return True


def _without_calls(term: ast.Term) -> ast.Term:
    """The term with constants in the places of the calls in it."""
    if isinstance(term, ast.Call):
        return ast.Null()
    if isinstance(term, ast.Ref):
        return ast.Ref(tuple([_without_calls(t) for t in term.terms]))
    if isinstance(term, (ast.Array, ast.Set)):
        return type(term)(tuple([_without_calls(t) for t in term.items]))
    if isinstance(term, ast.Object):
        return ast.Object(tuple([(_without_calls(k), _without_calls(v)) for k, v in term.pairs]))
    return term


def binds(term: ast.Term) -> bool:
    """Whether refs in `term` bind variables once their heads are known."""
    can: set[str] = set()
    ref_outputs(term, set(plain_vars(term)), can)
    return bool(can)


def _calls_in(term: ast.Term, calls: list[ast.Call]) -> None:
    """Add the outermost calls of `term` that are outside closures."""
    if isinstance(term, ast.Call):
        calls.append(term)
    elif isinstance(term, ast.Ref):
        for t in term.terms:
            _calls_in(t, calls)
    elif isinstance(term, (ast.Array, ast.Set)):
        for t in term.items:
            _calls_in(t, calls)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            _calls_in(k, calls)
            _calls_in(v, calls)
