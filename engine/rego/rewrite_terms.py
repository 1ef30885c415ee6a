"""Rewrites terms and calls from the parsed to the checked form; statements and rules are `rewrite.py`'s."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

from cupcake.engine.builtins.registry import explain_absent, explain_missing
from cupcake.engine.rego import ast
from cupcake.engine.rego.local_names import COMPILE_ERROR, Locals
from cupcake.engine.rego.metadata import CALLS as METADATA_CALLS
from cupcake.engine.rego.metadata import undefined_term
from cupcake.engine.rego.render import render_term
from cupcake.engine.rego.resolve import (
    ModuleNames,
    Problems,
    Scope,
    Signatures,
    declared_names,
    dotted,
    is_print,
    outside_body,
    outside_term,
)
from cupcake.engine.rego.type_rules import have_text, literal_type, type_text
from cupcake.engine.rego.withs import check_with

TYPE_ERROR = "rego_type_error"

_STATEMENTS = (
    ast.Unify,
    ast.Assign,
    ast.SomeDecl,
    ast.SomeIn,
    ast.Every,
    ast.Not,
    ast.Logical,
    ast.Block,
)


class TermRewriter(Locals):
    """Rewrites terms; closures in them hold statements, which a subclass rewrites."""

    def __init__(
        self,
        names: ModuleNames,
        signatures: Signatures,
        problems: Problems,
        *,
        v1: bool = True,
        strict: bool = False,
    ) -> None:
        super().__init__(names, problems, v1=v1)
        self.signatures = signatures
        self.strict = strict
        self.prelude: list[ast.Expr] = []
        self.undeclared: list[ast.Var] = []
        self.hidden: set[str] = set()
        self.uses_metadata = False
        self.prints = False
        self.metadata: Callable[[str, ast.Rule], ast.Term] | None = None
        # The rule, or the `else` of one, that is rewritten: annotations are of the rule alone.
        self.current: ast.Rule | None = None

    def expr(self, expr: ast.Expr, scope: Scope, out: list[ast.Expr]) -> None:
        """Append the checked form of one statement to `out` (nothing for declarations)."""
        raise NotImplementedError

    def with_(self, w: ast.With, scope: Scope) -> ast.With:
        raise NotImplementedError

    # -- terms ---------------------------------------------------------------------------------

    def term(self, term: ast.Term, scope: Scope) -> ast.Term:
        if type(term) in ast.SCALARS:
            return term
        if isinstance(term, ast.Var):
            return self.var(term, scope)
        if isinstance(term, ast.Ref):
            return self.ref(term, scope)
        if isinstance(term, ast.Call):
            return self.nested_call(term, scope)
        if isinstance(term, ast.Array):
            return ast.Array(tuple([self.term(t, scope) for t in term.items]), term.loc)
        if isinstance(term, ast.Set):
            return ast.Set(tuple([self.term(t, scope) for t in term.items]), term.loc)
        if isinstance(term, ast.Object):
            return ast.Object(
                tuple([(self.term(k, scope), self.term(v, scope)) for k, v in term.pairs]), term.loc
            )
        if isinstance(term, (ast.ArrayComprehension, ast.SetComprehension)):
            (value,), body = self.closure((term.term,), term.body, scope)
            return type(term)(value, body, term.loc)
        if isinstance(term, ast.ObjectComprehension):
            (key, value), body = self.closure((term.key, term.value), term.body, scope)
            return ast.ObjectComprehension(key, value, body, term.loc)
        if isinstance(term, ast.TemplateString):
            return self.template(term, scope)
        return term

    def ref(self, term: ast.Ref, scope: Scope) -> ast.Term:
        head = self.term(term.terms[0], scope)
        rest = [t if type(t) is ast.String else self.term(t, scope) for t in term.terms[1:]]
        start = head.terms if isinstance(head, ast.Ref) else (head,)
        return ast.Ref((*start, *rest), term.loc)

    def closure(
        self, heads: tuple[ast.Term, ...], body: ast.Body, scope: Scope
    ) -> tuple[tuple[ast.Term, ...], ast.Body]:
        """A comprehension: its own level for terms and body."""
        outside: set[str] = set()
        outside_body(body, outside)
        for t in heads:
            outside_term(t, outside)
        inner = Scope(scope, declared_names(body), frozenset(outside))
        return self.level(heads, body, inner)

    def level(
        self, heads: tuple[ast.Term, ...], body: ast.Body, inner: Scope
    ) -> tuple[tuple[ast.Term, ...], ast.Body]:
        """Rewrite a body in its own level, then terms that are evaluated after it."""
        saved, self.prelude = self.prelude, []
        done: list[ast.Expr] = []
        for expr in body:
            self.expr(expr, inner, done)
        terms = tuple([self.term(t, inner) for t in heads])
        done.extend(self.prelude)
        self.prelude = saved
        return terms, tuple(done)

    def template(self, term: ast.TemplateString, scope: Scope, *, shown: bool = False) -> ast.Term:
        """The parts as an array of strings and of sets, which are empty where a part is undefined. `shown`: the
        parts are the arguments of a `print`."""
        parts: list[ast.Term] = []
        for part in term.parts:
            if isinstance(part, (ast.String, ast.Number, ast.Boolean, ast.Null)):
                parts.append(part)
                continue
            if isinstance(part, ast.Var) and not shown:
                named = self.term(part, scope)
                if isinstance(named, ast.Var):
                    parts.append(ast.Set((named,), part.loc))
                    continue
            parts.append(self.part(part, scope))
        operator = ast.Ref((ast.Var("internal"), ast.String("template_string")), term.loc)
        return ast.Call(operator, (ast.Array(tuple(parts), term.loc),), term.loc)

    def part(self, part: ast.Term | ast.Expr, scope: Scope) -> ast.Term:
        """`{x | x = part}`; what the part reads must have been bound by something else."""
        expr = part if isinstance(part, ast.Expr) else ast.Expr(part, loc=part.loc)
        names: set[str] = set()
        outside_body((expr,), names)
        inner = Scope(scope, frozenset(), frozenset())
        kind = expr.kind
        assert not isinstance(kind, _STATEMENTS)  # the parser lets only terms stand in a template
        if isinstance(kind, ast.Call) and self.is_relation(self.operator(kind.operator, inner)):
            message = (
                f"illegal call to relation built-in '{dotted(kind.operator)}'"
                " that may cause multiple outputs"
            )
            self.problems.add(COMPILE_ERROR, message, part.loc)
        saved, self.prelude = self.prelude, []
        withs = tuple([self.with_(w, inner) for w in expr.withs])
        for w in withs:
            check_with(w, self.signatures, self.problems)
        value = self.term(kind, inner)
        done = self.prelude
        self.prelude = saved
        for name in sorted(names):
            if name.startswith("$") or name in inner.names:
                written = "_" if name.startswith("$") else name
                message = f"var {written} is undeclared"
                self.problems.add(COMPILE_ERROR, message, part.loc)
        result = self.generated(part.loc)
        unify = ast.Expr(ast.Unify(result, value), False, withs, part.loc, True)
        before = [replace(e, withs=withs) for e in done] if withs else done
        body = (*before, unify)
        return ast.SetComprehension(ast.Var(result.name, part.loc), body, part.loc)

    # -- calls ---------------------------------------------------------------------------------

    def operator(self, operator: ast.Ref, scope: Scope) -> ast.Ref:
        """The absolute name of what is called; a local of that name is an error."""
        head = operator.terms[0]
        if not isinstance(head, ast.Var):
            return operator
        name = head.name
        if name == "internal" and len(operator.terms) > 1:
            return operator
        if scope.hides(name) and scope.lookup(name) is not None:
            self.hidden.add(dotted(operator))
            return operator
        absolute = self.visible(name, scope)
        if absolute is None:
            return operator
        return ast.Ref((*absolute, *operator.terms[1:]), operator.loc)

    def arity(self, operator: ast.Ref) -> int | None:
        name = dotted(operator)
        if name.startswith("data."):
            return self.signatures.functions.get(name)
        builtin = self.signatures.builtins.get(name)
        return None if builtin is None else len(builtin.args)

    def is_relation(self, operator: ast.Ref) -> bool:
        builtin = self.signatures.builtins.get(dotted(operator))
        return builtin is not None and builtin.relation

    def call(self, term: ast.Call, scope: Scope, loc: ast.Location | None = None) -> ast.Call:
        operator = self.operator(term.operator, scope)
        args = tuple([self.term(t, scope) for t in term.args])
        bare = not args and len(term.operator.terms) == 1
        at = loc or (term.loc if term.loc.row else operator.loc)
        self.callable(operator, at, bare=bare, nested=loc is None)
        return ast.Call(operator, args, term.loc)

    def callable(
        self, operator: ast.Ref, loc: ast.Location, *, bare: bool = False, nested: bool = False
    ) -> None:
        """Report a call of what is no function, is hidden by a local, or is deprecated. A `bare` one, without arguments, may
        be of a rule without any, written `f() = ...`: whether that goes is a question of its type. `nested`: no statement."""
        name = dotted(operator)
        head, *rest = operator.terms
        if not isinstance(head, ast.Var) or not all(isinstance(t, ast.String) for t in rest):
            self.problems.add(TYPE_ERROR, f"undefined function {render_term(operator)}", loc)
        elif name in self.hidden:
            hint = f"a local variable hides the function; rename the variable {name.split('.')[0]}"
            if nested:
                self.problems.add(COMPILE_ERROR, f"called function {name} shadowed", loc, hint)
            else:
                self.problems.add(TYPE_ERROR, f"undefined function {name}", loc, hint)
        elif name.startswith("data."):
            if name not in self.signatures.functions and not bare:
                self.problems.add(TYPE_ERROR, f"undefined function {name}", loc)
        else:
            builtin = self.signatures.builtins.get(name)
            if builtin is None:
                self.unknown(name, loc)
            elif builtin.deprecated and self.v1:
                message = f"deprecated built-in function calls in expression: {name}"
                self.problems.add(TYPE_ERROR, message, loc)
            elif builtin.requires in self.signatures.absent:
                message, hint = explain_absent(builtin)
                self.problems.add(TYPE_ERROR, message, loc, hint)

    def unknown(self, name: str, loc: ast.Location) -> None:
        reason = explain_missing(name)
        message = f"undefined function {name}"
        if reason != message:
            self.problems.add(TYPE_ERROR, message, loc, reason)
            return
        near = get_close_matches(name, self.signatures.builtins, 1, 0.8)
        self.problems.add(TYPE_ERROR, message, loc, f"did you mean {near[0]}?" if near else "")

    def constant(self, call: ast.Call) -> ast.Term | None:
        """The value of a `rego.metadata` call, which depends on the rule around it only; a query has none."""
        head = call.operator.terms[0]
        if not isinstance(head, ast.Var) or head.name != "rego":
            return None
        name = dotted(call.operator)
        if name not in METADATA_CALLS:
            return None
        if self.metadata is None or self.current is None:
            return undefined_term(call.loc)
        self.uses_metadata = True
        return self.metadata(name, self.current)

    def nested_call(self, term: ast.Call, scope: Scope) -> ast.Term:
        constant = self.constant(term)
        if constant is not None:
            return constant
        if is_print(term) and self.visible("print", scope) is None:
            self.problems.add(TYPE_ERROR, f"{render_term(term)} used as value", term.loc)
        call = self.call(term, scope)
        name = dotted(call.operator)
        if name == "eq":
            equal = ast.Ref((ast.Var("equal", term.loc),), term.loc)
            return ast.Call(equal, call.args, term.loc)
        self.check_count(call, nested=True)
        if self.is_relation(call.operator):
            out = self.generated(term.loc)
            relation = ast.Call(call.operator, (*call.args, out), term.loc)
            self.prelude.append(ast.Expr(relation, loc=term.loc, generated=True))
            return ast.Var(out.name, term.loc)
        return call

    def check_count(self, call: ast.Call, *, nested: bool, loc: ast.Location | None = None) -> None:
        arity = self.arity(call.operator)
        got = len(call.args)
        if arity is None or got == arity or (got == arity + 1 and not nested):
            return
        name = dotted(call.operator)
        builtin = self.signatures.builtins.get(name)
        if builtin is not None and builtin.variadic:
            return
        if builtin is not None:
            have = have_text([literal_type(a) for a in call.args], nested)
            want = ", ".join(type_text(t) for t in (*builtin.args, builtin.result))
            message = f"{name}: arity mismatch\n\thave: {have}\n\twant: ({want})"
        else:
            noun = "argument" if got == 1 else "arguments"
            message = f"function {name} has arity {arity}, got {got} {noun}"
        self.problems.add(TYPE_ERROR, message, loc or call.loc)
