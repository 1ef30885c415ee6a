"""Solutions of a query in the order of its iteration, equal ones as often as there are: as OPA's evaluator gives them.

A module collects solutions in a set. So the query also asks for what its refs and relations iterate over, under names
that sort before all names of variables; whoever reads the solutions takes them off again. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeGuard

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import CheckedQuery

#: Names that start so are not the query's.
HIDDEN: Final = "!"


def in_order(query: CheckedQuery) -> CheckedQuery:
    """The query, also asking for its operands."""
    operands: dict[str, ast.Var] = {}
    for expr in query.body:
        if not expr.negated and not isinstance(expr.kind, ast.Every):
            _operands(expr.kind, operands)
            if _is_walk(expr.kind):
                _variables(expr.kind.args[-1], operands)
    hidden = tuple((f"{HIDDEN}{n:06}", var) for n, var in enumerate(operands.values()))
    return replace(query, vars=(*hidden, *query.vars))


def without_hidden(solution: dict[str, Any]) -> dict[str, Any]:
    """The bindings that were asked for."""
    return {name: value for name, value in solution.items() if not name.startswith(HIDDEN)}


def _is_walk(kind: ast.ExprKind) -> TypeGuard[ast.Call]:
    return isinstance(kind, ast.Call) and kind.operator.terms == (ast.Var("walk"),)


def _operands(node: Any, found: dict[str, ast.Var]) -> None:
    match node:
        case ast.Unify(lhs, rhs):
            _operands((lhs, rhs), found)
        case ast.Ref(terms):
            for term in terms[1:]:
                _variables(term, found)
            _operands(terms, found)
        case ast.Call(_, args):
            _operands(args, found)
        case ast.Array(items) | ast.Set(items):
            _operands(items, found)
        case ast.Object(pairs):
            _operands(pairs, found)
        case tuple():
            for item in node:
                _operands(item, found)


def _variables(pattern: ast.Term, found: dict[str, ast.Var]) -> None:
    """The variables of an operand, which may be a pattern."""
    match pattern:
        case ast.Var():
            found.setdefault(pattern.name, pattern)
        case ast.Array(items):
            for item in items:
                _variables(item, found)
        case ast.Object(pairs):
            for _, value in pairs:
                _variables(value, found)
