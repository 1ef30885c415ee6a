"""Whether a term may be of a type, part by part where it is a literal; variables of which nothing is known take types.

It reads no rules: what other terms are is asked of who checks them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from cupcake.engine.builtins import types as ty
from cupcake.engine.rego import ast
from cupcake.engine.rego.type_rules import NOTHING, bounded, may_equal, select, union

Env: TypeAlias = dict[str, ty.Type]
TypeOf: TypeAlias = Callable[[ast.Term, Env], ty.Type]


def fits(term: ast.Term, want: ty.Type, env: Env, type_of: TypeOf, *, widen: bool = False) -> bool:
    """Whether a term, each part of a literal on its own, may have the type; variables without one take it.

    `widen`: in a literal that may have several types variables may be what these say, too, as in OPA.
    """
    match term:
        case ast.Var() if widen:
            if term.name.startswith("__local"):
                env[term.name] = union([*([env[term.name]] if term.name in env else []), want])
            return True
        case ast.Var():
            if term.name.startswith("__local") and term.name not in env:
                env[term.name] = bounded(want)
                return True
            return may_equal(type_of(term, env), want)
        case ast.Array() | ast.Object() | ast.Set():
            if isinstance(want, ty.Any):
                # Each alternative may tell something of a variable: none is left out.
                found = [
                    _literal_fits(term, kind, env, type_of, widen=True)
                    for kind in want.of or (want,)
                ]
                return any(found)
            return _literal_fits(term, want, env, type_of, widen=widen)
        case _:
            return may_equal(type_of(term, env), want)


def _literal_fits(
    term: ast.Array | ast.Object | ast.Set, want: ty.Type, env: Env, type_of: TypeOf, *, widen: bool
) -> bool:
    match term, want:
        case _, ty.Any():
            parts = (
                [part for pair in term.pairs for part in pair]
                if isinstance(term, ast.Object)
                else term.items
            )
            return all(fits(part, want, env, type_of, widen=True) for part in parts)
        case ast.Array(), ty.ArrayOf():
            if want.rest is None and len(term.items) != len(want.static):
                return False
            kinds = [
                want.static[i] if i < len(want.static) else want.rest or ty.ANY
                for i in range(len(term.items))
            ]
            return all(
                fits(t, k, env, type_of, widen=widen)
                for t, k in zip(term.items, kinds, strict=True)
            )
        case ast.Set(), ty.SetOf():
            return all(fits(t, want.of, env, type_of, widen=widen) for t in term.items)
        case ast.Object(), ty.ObjectOf():
            if want.dynamic_key is None and len(term.pairs) != len(want.static):
                return False
            for key, value in term.pairs:
                kind = select(want, key, type_of(key, env))
                if kind is NOTHING or not fits(value, kind, env, type_of, widen=widen):
                    return False
            return True
        case _:
            return False
