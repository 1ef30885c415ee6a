"""Verifies the promises of CHECKED.md on a `Checked`; tests run it, production does not need it.

It checks and never repairs: `verify` raises ValueError, which names the promise and the place.
"""

from __future__ import annotations

from collections.abc import Collection

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.rego import ast
from cupcake.engine.rego.binding import LOCAL, matches, relation_runs, runs
from cupcake.engine.rego.checked import Checked
from cupcake.engine.rego.uses import Uses, body_uses, expr_uses, plain_vars

_ROOTS = frozenset({"data", "input"})


class BrokenPromise(ValueError):
    """The checked form breaks a promise of CHECKED.md; always a mistake in the front end."""


def verify(checked: Checked, extra_builtins: Collection[str] = ()) -> None:
    """Raise BrokenPromise unless every rule and the query keep the promises.

    `extra_builtins` are names that `check` was given beyond the registry.
    """
    functions: set[tuple[object, ...]] = {
        ("data", *path)
        for path, group in checked.rules.items()
        if group.kind in ("function", "complete")
    }
    verifier = _Verifier(functions, extra_builtins)
    for path, group in checked.rules.items():
        if group.path != path:
            raise BrokenPromise(f"group {path} says that it is {group.path}")
        if any(r.default for r in group.rules) or (group.default and not group.default.default):
            raise BrokenPromise(f"group {path} mixes default rules with others")
        if (group.kind == "function") != (group.arity is not None):
            raise BrokenPromise(f"group {path} has kind {group.kind} and arity {group.arity}")
        for rule in group.rules:
            verifier.rule(rule)
        if group.default is not None:
            verifier.rule(group.default)
    if checked.query is not None:
        verifier.body(checked.query.body, set())


class _Verifier:
    def __init__(self, functions: set[tuple[object, ...]], extra_builtins: Collection[str]) -> None:
        self.functions = functions
        self.extra = extra_builtins

    def builtin(self, operator: ast.Ref) -> bool:
        name = ".".join(str(p) for p in _name(operator))
        return name in REGISTRY or name in self.extra

    def fail(self, what: str, loc: ast.Location) -> None:
        raise BrokenPromise(f"{loc.file}:{loc.row}:{loc.col}: {what}")

    def rule(self, rule: ast.Rule) -> None:
        link: ast.Rule | None = rule
        while link is not None:
            head = link.head
            if head.ref.terms[0] != ast.Var("data"):
                self.fail("a head ref does not start with data", head.loc)
            bound: set[str] = set()
            for arg in head.args or ():
                self.term(arg, link.loc)
                if not matches(arg, bound):
                    self.fail("an argument is no pattern", head.loc)
            outer = set(bound)
            self.body(link.body, bound)
            extra = [t for t in (head.key, head.value) if t is not None]
            for term in (*head.ref.terms[1:], *extra):
                self.after(term, bound)
            self.scopes(link.body, extra, outer)
            link = link.else_

    def after(self, term: ast.Term, bound: set[str]) -> None:
        """A term that is evaluated after a body must need nothing that the body does not bind."""
        self.term(term, term.loc, bound)
        for v, loc in plain_vars(term).items():
            if v not in bound:
                self.fail(f"{v} is not bound by the body before it", loc)

    def scopes(self, body: ast.Body, terms: list[ast.Term], outer: set[str]) -> None:
        """No local is shared by two closures unless a level around both has it."""
        uses = Uses()
        body_uses(body, uses)
        own = outer | set(uses.plain)
        seen: dict[str, int] = {}
        for number, closure in enumerate(_closures(body, terms)):
            for v in closure:
                if v in own:
                    continue
                if seen.setdefault(v, number) != number:
                    raise BrokenPromise(f"local {v} is shared by two closures")

    def body(self, body: ast.Body, bound: set[str]) -> None:
        for expr in body:
            self.expr(expr, bound)

    def expr(self, expr: ast.Expr, bound: set[str]) -> None:
        kind = expr.kind
        for w in expr.withs:
            self.term(w.value, expr.loc, bound, callable_ok=True)
        before = set(bound)
        if isinstance(kind, ast.Call) and _is_relation(kind):
            ok = relation_runs(kind, bound)
        else:
            ok = runs(expr, bound)
        if not ok:
            self.fail("a variable is needed before it is bound", expr.loc)
        if expr.negated and bound != before:
            self.fail("a negated statement binds a variable", expr.loc)
        if isinstance(kind, ast.Unify):
            self.term(kind.lhs, expr.loc, before)
            self.term(kind.rhs, expr.loc, before)
        elif isinstance(kind, ast.Every):
            self.term(kind.domain, expr.loc, before)
            inner = bound | {v.name for v in (kind.key, kind.value) if v is not None}
            self.body(kind.body, inner)
        elif isinstance(kind, ast.Block):
            self.body(kind.body, set(bound))
        elif isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
            self.fail(f"{type(kind).__name__} is left", expr.loc)
        else:
            self.term(kind, expr.loc, before)
        uses = Uses()
        expr_uses(expr, uses)
        bound.update(uses.plain)

    def term(
        self,
        term: ast.Term,
        loc: ast.Location,
        bound: set[str] | None = None,
        *,
        callable_ok: bool = False,
    ) -> None:
        """Names are locals or documents; closures keep the promises with what is bound around them."""
        around = set() if bound is None else bound
        match term:
            case ast.Var():
                if not term.name.startswith(LOCAL) and term.name not in _ROOTS:
                    self.fail(f"{term.name} is neither a local nor a document", loc)
            case ast.Ref():
                head = term.terms[0]
                if len(term.terms) < 2 and not callable_ok:
                    self.fail("a ref without operands", loc)
                if isinstance(head, ast.Ref):
                    self.fail("a ref whose head is a ref", loc)
                if not (callable_ok and isinstance(head, ast.Var) and self.builtin(term)):
                    for t in term.terms:
                        self.term(t, loc, bound)
            case ast.Call():
                if not self.builtin(term.operator) and _name(term.operator) not in self.functions:
                    self.fail(f"{_name(term.operator)} is not defined", loc)
                for t in term.args:
                    self.term(t, loc, bound)
            case ast.Array() | ast.Set():
                for t in term.items:
                    self.term(t, loc, bound)
            case ast.Object():
                for k, v in term.pairs:
                    self.term(k, loc, bound)
                    self.term(v, loc, bound)
            case ast.ArrayComprehension() | ast.SetComprehension():
                inner = set(around)
                self.body(term.body, inner)
                self.after(term.term, inner)
                self.scopes(term.body, [term.term], around)
            case ast.ObjectComprehension():
                inner = set(around)
                self.body(term.body, inner)
                self.after(term.key, inner)
                self.after(term.value, inner)
                self.scopes(term.body, [term.key, term.value], around)
            case ast.TemplateString():
                self.fail("a template string is left", loc)
            case _:
                pass


def _name(operator: ast.Ref) -> tuple[object, ...]:
    return tuple(
        t.name if isinstance(t, ast.Var) else t.value if isinstance(t, ast.String) else t
        for t in operator.terms
    )


def _is_relation(call: ast.Call) -> bool:
    builtin = REGISTRY.get(".".join(str(p) for p in _name(call.operator)))
    return builtin is not None and builtin.relation


def _closures(body: ast.Body, terms: list[ast.Term]) -> list[set[str]]:
    """The locals of each closure directly below a level."""
    found: list[set[str]] = []

    def visit(term: ast.Term) -> None:
        match term:
            case ast.Ref():
                for t in term.terms:
                    visit(t)
            case ast.Call():
                for t in term.args:
                    visit(t)
            case ast.Array() | ast.Set():
                for t in term.items:
                    visit(t)
            case ast.Object():
                for k, v in term.pairs:
                    visit(k)
                    visit(v)
            case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
                uses = Uses()
                expr_uses(ast.Expr(term), uses)
                found.append(set(uses.closed))
            case _:
                pass

    for expr in body:
        kind = expr.kind
        if isinstance(kind, ast.Unify):
            visit(kind.lhs)
            visit(kind.rhs)
        elif isinstance(kind, ast.Every):
            visit(kind.domain)
            uses = Uses()
            body_uses(kind.body, uses, closed=True)
            found.append(set(uses.closed))
        elif isinstance(kind, ast.Block):
            uses = Uses()
            body_uses(kind.body, uses, closed=True)
            found.append(set(uses.closed))
        elif not isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
            visit(kind)
        for w in expr.withs:
            visit(w.value)
    for term in terms:
        visit(term)
    return found
