"""What `with` may replace: documents, and functions by values or by functions of the same arity.

Looks at one modifier whose names are resolved; documents made by rules are checked when these are known.
"""

from __future__ import annotations

from collections.abc import Container

from cupcake.engine.builtins.types import Builtin
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path
from cupcake.engine.rego.local_names import COMPILE_ERROR
from cupcake.engine.rego.resolve import Problems, Signatures, dotted

_TYPE_ERROR = "rego_type_error"


def check_with(w: ast.With, signatures: Signatures, problems: Problems) -> None:
    """Report a function that cannot be replaced, or whose replacement takes other arguments."""
    if not isinstance(w.target, ast.Ref):
        return
    name = dotted(w.target)
    builtin = signatures.builtins.get(name)
    if builtin is not None:
        problem = _replacement_problem(builtin)
        if problem:
            message = f"with keyword replacing built-in function: {problem}"
            problems.add(COMPILE_ERROR, message, w.target.loc)
            return
    have = callable_arity(w.value, signatures)
    want = callable_arity(w.target, signatures)
    if have is not None and want is not None and have != want:
        text = f"{name}: arity mismatch\n\thave: ({_anys(have)})\n\twant: ({_anys(want)})"
        problems.add(_TYPE_ERROR, text, w.loc if w.loc.row else w.target.loc)


def check_document(target: ast.Ref, groups: Container[Path], problems: Problems) -> None:
    """Report a target inside of a document that a rule makes: documents of rules are replaced whole."""
    path: Path = ()
    for t in target.terms[1:]:
        if path in groups:
            message = "with keyword cannot partially replace virtual document(s)"
            problems.add(COMPILE_ERROR, message, target.loc)
            return
        if not isinstance(t, ast.String):
            return
        path = (*path, t.value)


def callable_arity(term: ast.Term, signatures: Signatures) -> int | None:
    """The arity of the function that a target or value names; None for any other term."""
    if not isinstance(term, ast.Ref):
        return None
    head = term.terms[0]
    if not isinstance(head, ast.Var) or not all(isinstance(t, ast.String) for t in term.terms[1:]):
        return None
    name = dotted(term)
    if head.name == "data":
        return signatures.functions.get(name)
    builtin = signatures.builtins.get(name)
    return None if builtin is None else len(builtin.args)


def _anys(count: int) -> str:
    return ", ".join(["any"] * count)


def _replacement_problem(builtin: Builtin) -> str:
    """Why `with` may not replace a builtin; empty if it may."""
    if builtin.relation:
        return "target must not be a relation"
    if builtin.name.startswith("internal."):
        return f'replacement of internal function "{builtin.name}" invalid'
    if builtin.name == "print":
        return "target must not be a void function"
    if builtin.name in ("eq", "assign") or builtin.name.startswith("rego.metadata."):
        return f'replacement of "{builtin.name}" invalid'
    return ""
