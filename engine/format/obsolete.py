"""What Rego v1 forbids to text that it can parse, so that nobody keeps it under a new layout."""

from __future__ import annotations

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.errors import CompileErrors
from cupcake.engine.format.operators import operator_name
from cupcake.engine.format.walk import walk
from cupcake.engine.rego import ast
from cupcake.engine.rego.conflicts import check_module
from cupcake.engine.rego.local_names import COMPILE_ERROR
from cupcake.engine.rego.resolve import ROOTS, Problems
from cupcake.engine.rego.rewrite_terms import TYPE_ERROR


def refuse_obsolete(module: ast.Module) -> None:
    """Raises CompileErrors for imports that hide each other, names that hide `input` and `data`, and deprecated builtins."""
    problems = Problems()
    check_module(module, problems)
    for rule in module.rules:
        for node in walk(rule):
            match node:
                case ast.Head(args=args) if args:
                    _refuse_roots("args", args, problems)
                case ast.Expr(kind=ast.Assign(lhs=lhs)):
                    _refuse_roots("variables", (lhs,), problems)
                case ast.Call():
                    _refuse_deprecated(node, problems)
    if len(problems):
        raise CompileErrors(problems.ordered())


def _refuse_roots(what: str, terms: tuple[ast.Term, ...], problems: Problems) -> None:
    for term in terms:
        if isinstance(term, ast.Var) and term.name in ROOTS:
            message = f"{what} must not shadow {term.name} (use a different variable name)"
            problems.add(COMPILE_ERROR, message, term.loc)


def _refuse_deprecated(call: ast.Call, problems: Problems) -> None:
    name = operator_name(call)
    builtin = REGISTRY.get(name)
    if builtin is not None and builtin.deprecated:
        message = f"deprecated built-in function calls in expression: {name}"
        problems.add(TYPE_ERROR, message, call.loc)
