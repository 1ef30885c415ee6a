"""Rewrites one rule or query from the parsed to the checked form (names, locals, calls).

Refs become absolute, locals are renamed apart, `:=`, `some` and `in` become unification, output
arguments of calls are captured, and template strings become calls. Bodies keep their order; `safety.py` orders
them. Work on one rule depends only on that rule and on the signatures, and touches nothing else.
"""

from __future__ import annotations

from cupcake.engine.builtins.registry import UNSERVED
from cupcake.engine.rego import ast
from cupcake.engine.rego.local_names import COMPILE_ERROR, REDECLARED
from cupcake.engine.rego.resolve import (
    ROOTS,
    Scope,
    declared_names,
    dotted,
    is_print,
    outside_body,
    outside_term,
    pattern_names,
)
from cupcake.engine.rego.rewrite_terms import TYPE_ERROR, TermRewriter
from cupcake.engine.rego.safety import UNSAFE
from cupcake.engine.rego.uses import Uses, body_uses
from cupcake.engine.rego.withs import callable_arity, check_with

_KIND_NAMES: dict[type, str] = {
    ast.Null: "null",
    ast.Boolean: "boolean",
    ast.Number: "number",
    ast.String: "string",
    ast.Ref: "ref",
    ast.Set: "set",
    ast.Object: "object",
    ast.Array: "array",
    ast.Call: "call",
    ast.ArrayComprehension: "arraycomprehension",
    ast.SetComprehension: "setcomprehension",
    ast.ObjectComprehension: "objectcomprehension",
    ast.TemplateString: "templatestring",
}


class Rewriter(TermRewriter):
    """Rewrites one rule (with its `else` chain) or one query."""

    # -- statements ----------------------------------------------------------------------------

    def expr(self, expr: ast.Expr, scope: Scope, out: list[ast.Expr]) -> None:
        """Append the checked form of one statement to `out` (nothing for declarations)."""
        kind = expr.kind
        if isinstance(kind, ast.SomeDecl):
            self.some(kind, expr, scope)
            return
        shown = is_print(kind) and self.visible("print", scope) is None
        if shown and not self.prints:
            self.printed(kind, scope)
            return
        saved, self.prelude = self.prelude, []
        withs = tuple([self.with_(w, scope) for w in expr.withs])
        for w in withs:
            check_with(w, self.signatures, self.problems)
        new: ast.ExprKind
        negated = expr.negated
        if shown and isinstance(kind, ast.Call):
            new = self.print_call(kind, scope)
        elif isinstance(kind, ast.Call):
            new = self.statement_call(kind, expr, scope)
            if expr.negated and isinstance(new, ast.Call) and len(new.args) > len(kind.args):
                new = self.denied_relation(new, expr.loc)
        elif isinstance(kind, ast.Assign):
            new = self.assign(kind, expr, scope)
        elif isinstance(kind, ast.Unify):
            new = self.unify(self.side(kind.lhs, scope), self.side(kind.rhs, scope))
        elif isinstance(kind, ast.SomeIn):
            new = self.some_in(kind, expr, scope)
        elif isinstance(kind, ast.Every):
            new = self.every(kind, expr, scope)
        elif isinstance(kind, ast.Not):
            new, negated = self.operand(kind.operand, "negated", scope, expr.loc), True
        elif isinstance(kind, ast.Logical):
            new, negated = self.logical(kind, scope, expr.loc)
        elif isinstance(kind, ast.Block):
            new = kind
        else:
            new = self.term(kind, scope)
        if self.prelude:
            out.extend(
                [ast.Expr(p.kind, False, withs, p.loc, True) for p in self.prelude]
                if withs
                else self.prelude
            )
        self.prelude = saved
        out.append(ast.Expr(new, negated, withs, expr.loc, expr.generated))

    def print_call(self, kind: ast.Call, scope: Scope) -> ast.ExprKind:
        """A `print` that is kept: like a template string, a part that is undefined does not end the body."""
        parts = self.template(ast.TemplateString(kind.args, kind.loc), scope, shown=True)
        assert isinstance(parts, ast.Call)
        operator = ast.Ref((ast.Var("internal"), ast.String("print")), kind.loc)
        return ast.Call(operator, parts.args, kind.loc)

    def printed(self, kind: ast.ExprKind, scope: Scope) -> None:
        """What `print` shows counts as used, though the statement is left out."""
        assert isinstance(kind, ast.Call)
        for arg in kind.args:
            names: set[str] = set()
            outside_term(arg, names)
            self.shown(arg, scope)
            self.occurred |= names
            for name in sorted(names):
                found = scope.lookup(name)
                if found is not None:
                    self.read.add(found.name)
                elif name in scope.declared:
                    scope.how.setdefault(name, "seen")
                elif self.visible(name, scope) is None and name not in ROOTS:
                    written = "_" if name.startswith("$") else name
                    self.problems.add(COMPILE_ERROR, f"var {written} is undeclared", arg.loc)

    def shown(self, arg: ast.Term, scope: Scope) -> None:
        """Check the calls in an argument of a `print` that is left out."""
        saved, self.prelude = self.prelude, []
        self.closure((arg,), (), scope)
        self.prelude = saved

    def side(self, term: ast.Term, scope: Scope) -> ast.Term:
        """One side of a unification: a relation call stays a call here, `unify` lowers it."""
        if isinstance(term, ast.Call):
            operator = self.operator(term.operator, scope)
            if self.is_relation(operator) and len(term.args) == self.arity(operator):
                return self.call(term, scope)
        return self.term(term, scope)

    def unify(self, lhs: ast.Term, rhs: ast.Term) -> ast.ExprKind:
        for call, other in ((rhs, lhs), (lhs, rhs)):
            if isinstance(call, ast.Call) and self.is_relation(call.operator):
                return ast.Call(call.operator, (*call.args, other), call.loc)
        return ast.Unify(lhs, rhs)

    def statement_call(self, kind: ast.Call, expr: ast.Expr, scope: Scope) -> ast.ExprKind:
        name = dotted(kind.operator)
        if len(kind.args) == 2 and name in ("eq", "assign") and name not in self.names.visible:
            if name == "assign":
                return self.assign(ast.Assign(*kind.args), expr, scope)
            return self.unify(self.side(kind.args[0], scope), self.side(kind.args[1], scope))
        constant = self.constant(kind)
        if constant is not None:
            return ast.Unify(kind.args[0], constant) if kind.args else constant
        call = self.call(kind, scope, expr.loc)
        arity = self.arity(call.operator)
        if arity is None:
            return call
        self.check_count(call, nested=False, loc=expr.loc)
        if self.is_relation(call.operator):
            if len(call.args) == arity:
                return ast.Call(call.operator, (*call.args, self.generated(kind.loc)), kind.loc)
            return call
        if len(call.args) == arity + 1:
            inner = ast.Call(call.operator, call.args[:-1], kind.loc)
            return ast.Unify(call.args[-1], inner)
        return call

    def denied_relation(self, call: ast.Call, loc: ast.Location) -> ast.Block:
        """`not walk(x)`: x is evaluated before, the result that nobody asked for is bound within."""
        held = [self.generated(a.loc) for a in call.args[:-1]]
        self.prelude += [
            ast.Expr(ast.Unify(h, a), loc=loc, generated=True)
            for h, a in zip(held, call.args[:-1], strict=True)
        ]
        inner = ast.Call(call.operator, (*held, call.args[-1]), call.loc)
        return ast.Block((ast.Expr(inner, loc=loc, generated=True),))

    def assign(self, kind: ast.Assign, expr: ast.Expr, scope: Scope) -> ast.ExprKind:
        rhs = self.side(kind.rhs, scope)
        if expr.negated:
            self.problems.add(
                COMPILE_ERROR, "cannot assign vars inside negated expression", expr.loc
            )
            return ast.Unify(kind.lhs, rhs)
        return self.unify(self.target(kind.lhs, scope, expr.loc), rhs)

    def target(self, term: ast.Term, scope: Scope, loc: ast.Location) -> ast.Term:
        """The left side of a `:=` at `loc`: variables are declared, arrays and object values may hold them."""
        if isinstance(term, ast.Var):
            local = self.declare(term, scope, "assigned", term.loc)
            if not term.name.startswith("$"):
                self.assigned[-1] = (local.name, ast.Var(term.name, loc))
            return local
        if isinstance(term, ast.Array):
            return ast.Array(tuple([self.target(t, scope, loc) for t in term.items]), term.loc)
        if isinstance(term, ast.Object):
            pairs = [(self.term(k, scope), self.target(v, scope, loc)) for k, v in term.pairs]
            return ast.Object(tuple(pairs), term.loc)
        self.problems.add(
            COMPILE_ERROR, f"cannot assign to {_KIND_NAMES.get(type(term), 'term')}", term.loc
        )
        return term

    def some(self, kind: ast.SomeDecl, expr: ast.Expr, scope: Scope) -> None:
        for name in kind.names:
            if name.name in scope.outside:
                self.declare(name, scope, "declared", expr.loc)
                continue
            # Used in closures only: each closure owns its own; here the name only hides globals.
            before = scope.how.get(name.name)
            if before is not None:
                self.problems.add(COMPILE_ERROR, REDECLARED[before].format(name.name), expr.loc)
            scope.how[name.name] = "declared"
            self.undeclared.append(ast.Var(name.name, expr.loc))

    def some_in(self, kind: ast.SomeIn, expr: ast.Expr, scope: Scope) -> ast.ExprKind:
        domain = self.term(kind.domain, scope)
        names: dict[str, ast.Var] = {}
        for pattern in (kind.key, kind.value):
            if pattern is not None:
                for v in pattern_names(pattern):
                    names.setdefault(v.name, v)
        for v in names.values():
            if not v.name.startswith("$") and v.name not in ROOTS:
                if scope.how.get(v.name) == "seen":
                    scope.how[v.name] = "looked up"
                self.declare(v, scope, "declared", expr.loc)
        key = self.generated(kind.domain.loc) if kind.key is None else self.term(kind.key, scope)
        value = self.term(kind.value, scope)
        if isinstance(domain, ast.Ref):
            return ast.Unify(value, ast.Ref((*domain.terms, key), kind.domain.loc))
        if not isinstance(domain, ast.Var):
            local = self.generated(kind.domain.loc)
            self.prelude.append(
                ast.Expr(ast.Unify(local, domain), loc=kind.domain.loc, generated=True)
            )
            domain = ast.Var(local.name, kind.domain.loc)
        return ast.Unify(value, ast.Ref((domain, key), kind.domain.loc))

    def every(self, kind: ast.Every, expr: ast.Expr, scope: Scope) -> ast.ExprKind:
        domain = self.term(kind.domain, scope)
        outside: set[str] = set()
        outside_body(kind.body, outside)
        bound = {v.name for v in (kind.key, kind.value) if v is not None}
        inner = Scope(scope, declared_names(kind.body) | bound, frozenset(outside | bound))
        key = None if kind.key is None else self.declare(kind.key, inner, "declared", expr.loc)
        value = self.declare(kind.value, inner, "declared", expr.loc)
        saved, self.occurred = self.occurred, set()
        errors = len(self.problems)
        _, body = self.level((), kind.body, inner)
        for v in (kind.key, kind.value) if len(self.problems) == errors else ():
            if v is not None and v.name not in self.occurred and not v.name.startswith("$"):
                self.problems.add(COMPILE_ERROR, f"declared var {v.name} unused", kind.body[0].loc)
        self.occurred |= saved
        return ast.Every(key, value, domain, body)

    def operand(
        self, operand: ast.Operand, what: str, scope: Scope, loc: ast.Location
    ) -> ast.Block:
        """An operand of `not`, `and` or `or`: a level of its own only if it is written in braces."""
        if operand.explicit:
            _, body = self.closure((), operand.body, scope)
            return ast.Block(body)
        (expr,) = operand.body
        done: list[ast.Expr] = []
        if isinstance(expr.kind, ast.Assign):
            text = f"cannot assign vars inside {what} {'expression' if what == 'negated' else 'operand'}"
            self.problems.add(COMPILE_ERROR, text, expr.loc)
        else:
            self.expr(expr, scope, done)
        uses = Uses()
        body_uses(tuple(done), uses)
        needs = tuple(ast.Var(name, loc) for name in uses.plain if self.written[name])
        return ast.Block(tuple(done), needs)

    def logical(self, kind: ast.Logical, scope: Scope, loc: ast.Location) -> tuple[ast.Block, bool]:
        """`and` holds when both operands do; `or` fails when both do: whether the block is to be negated."""
        what = f"implicit {kind.operator}"
        body: list[ast.Expr] = []
        needs: dict[ast.Var, None] = {}
        for operand in _chain(kind):
            first = operand.body[0].loc
            block = self.operand(operand, what, scope, first)
            needs.update((ast.Var(v.name, loc), None) for v in block.needs)
            if kind.operator == "or" or operand.explicit:
                body.append(ast.Expr(block, kind.operator == "or", (), first))
            else:
                body.extend(block.body)
        return ast.Block(tuple(body), tuple(needs)), kind.operator == "or"

    def with_(self, w: ast.With, scope: Scope) -> ast.With:
        target = self.with_target(w.target, scope)
        value: ast.Term | None = None
        if callable_arity(target, self.signatures) is not None:
            value = self._callable_name(w.value, scope)
            if value is not None:
                self.callable(value, w.value.loc)
        return ast.With(target, self.term(w.value, scope) if value is None else value, w.loc)

    def with_target(self, target: ast.Term, scope: Scope) -> ast.Term:
        head = target.terms[0] if isinstance(target, ast.Ref) else target
        if isinstance(head, ast.Var) and head.name in ROOTS:
            # `with input...` always means the document, also where a local hides its name.
            if isinstance(target, ast.Ref):
                rest = tuple([self.term(t, scope) for t in target.terms[1:]])
                target = ast.Ref((head, *rest), target.loc)
            return target
        builtin = self._callable_name(target, scope)
        if builtin is not None:
            return builtin
        named = self.term(target, scope)
        root = named.terms[0] if isinstance(named, ast.Ref) else named
        if not isinstance(root, ast.Var) or root.name not in ROOTS:
            name = dotted(target) if isinstance(target, ast.Ref) else ""
            if name in UNSERVED:
                self.unknown(name, target.loc)
            else:
                message = "with keyword target must reference existing input, data, or a function"
                self.problems.add(TYPE_ERROR, message, target.loc)
        return named

    def _callable_name(self, term: ast.Term, scope: Scope) -> ast.Ref | None:
        """A name of a builtin (not hidden by a local, rule or import), as a Ref."""
        if isinstance(term, ast.Var):
            ref = ast.Ref((term,), term.loc)
        elif isinstance(term, ast.Ref):
            ref = term
        else:
            return None
        head = ref.terms[0]
        if not isinstance(head, ast.Var) or head.name in ROOTS:
            return None
        if dotted(ref) not in self.signatures.builtins:
            return None
        if scope.lookup(head.name) is not None or self.visible(head.name, scope) is not None:
            return None
        return ref if all(isinstance(t, ast.String) for t in ref.terms[1:]) else None

    # -- rules ---------------------------------------------------------------------------------

    def rule(self, rule: ast.Rule) -> ast.Rule:
        """The checked form of a rule with its whole `else` chain."""
        args_scope = Scope(None, frozenset(), frozenset())
        for arg in rule.head.args or ():
            for v in pattern_names(arg):
                if v.name in ROOTS:
                    self.problems.add(
                        COMPILE_ERROR,
                        f"args must not shadow {v.name} (use a different variable name)",
                        rule.loc,
                    )
                if not v.name.startswith("$") and v.name not in args_scope.names:
                    args_scope.names[v.name] = self.fresh(v.name, v.loc)
                    args_scope.how[v.name] = "arg"
        args_scope.declared = frozenset(args_scope.names)
        args: tuple[ast.Term, ...] | None = None
        computed: list[tuple[ast.Var, ast.Term]] = []
        if rule.head.args is not None:
            for t in rule.head.args:
                self.refs_in_arg(t, t.loc, args_scope)
            args = tuple([self.arg(t, args_scope, computed) for t in rule.head.args])
            self.read.clear()
        chain: list[ast.Rule] = []
        current: ast.Rule | None = rule
        while current is not None:
            chain.append(current)
            current = current.else_
        done: ast.Rule | None = None
        for link in reversed(chain):
            done = self.link(link, args, args_scope, computed, done)
        assert done is not None
        self.undeclared_unused()
        if self.strict:
            self.unused(rule, args_scope)
        return done

    def undeclared_unused(self) -> None:
        """Names of `some` that occur nowhere."""
        for v in self.undeclared:
            if v.name not in self.occurred:
                name = "_" if v.name.startswith("$") else v.name
                self.problems.add(COMPILE_ERROR, f"declared var {name} unused", v.loc)

    def unused(self, rule: ast.Rule, args_scope: Scope) -> None:
        """Strict mode: arguments and assigned variables must be used."""
        for local, var in self.assigned:
            if local not in self.read:
                self.problems.add(COMPILE_ERROR, f"assigned var {var.name} unused", var.loc)
        for name, arg in args_scope.names.items():
            if arg.name not in self.read:
                self.problems.add(
                    COMPILE_ERROR,
                    f"unused argument {name}. (hint: use _ (wildcard variable) instead)",
                    rule.head.loc,
                )

    def refs_in_arg(self, term: ast.Term, loc: ast.Location, scope: Scope) -> None:
        """A ref in an argument may only read other arguments."""
        match term:
            case ast.Ref(terms=(ast.Var(name), *_)):
                if name not in scope.names:
                    self.problems.add(UNSAFE, f"var {name} is unsafe", loc)
            case ast.Array() | ast.Set():
                for t in term.items:
                    self.refs_in_arg(t, loc, scope)
            case ast.Object():
                for k, v in term.pairs:
                    self.refs_in_arg(k, loc, scope)
                    self.refs_in_arg(v, loc, scope)
            case _:
                pass

    def arg(
        self, term: ast.Term, scope: Scope, computed: list[tuple[ast.Var, ast.Term]]
    ) -> ast.Term:
        """An argument as a pattern; a part that must be computed becomes a local, which the body
        unifies with the part."""
        if type(term) in ast.SCALARS:
            return term
        if isinstance(term, ast.Var):
            return self.var(term, scope)
        if isinstance(term, ast.Call):
            self.problems.add(COMPILE_ERROR, "rule arguments cannot contain calls", term.loc)
        if isinstance(term, ast.Array):
            return ast.Array(tuple([self.arg(t, scope, computed) for t in term.items]), term.loc)
        if isinstance(term, ast.Object) and all(type(k) in ast.SCALARS for k, _ in term.pairs):
            pairs = [(k, self.arg(v, scope, computed)) for k, v in term.pairs]
            return ast.Object(tuple(pairs), term.loc)
        local = self.generated(term.loc)
        computed.append((local, term))
        return local

    def link(
        self,
        rule: ast.Rule,
        args: tuple[ast.Term, ...] | None,
        args_scope: Scope,
        computed: list[tuple[ast.Var, ast.Term]],
        else_: ast.Rule | None,
    ) -> ast.Rule:
        self.current = rule
        head = rule.head
        outside: set[str] = set()
        outside_body(rule.body, outside)
        heads = [*head.ref.terms[1:]]
        if head.key is not None:
            heads.append(head.key)
        if head.value is not None:
            heads.append(head.value)
        for t in heads:
            outside_term(t, outside)
        for _, t in computed:
            outside_term(t, outside)
        scope = Scope(
            None,
            declared_names(rule.body) | args_scope.declared,
            frozenset(outside),
            dict(args_scope.names),
            dict(args_scope.how),
        )
        given = [t for _, t in computed]
        terms, body = self.level((*heads, *given), rule.body, scope)
        rest = list(terms[: len(heads)])
        for (local, _), value in zip(computed, terms[len(heads) :], strict=True):
            unify = ast.Unify(ast.Var(local.name, value.loc), value)
            body = (*body, ast.Expr(unify, loc=value.loc, generated=True))
        head_value = rest.pop() if head.value is not None else None
        key = rest.pop() if head.key is not None else None
        first = head.ref.terms[0]
        name = ast.String(first.name if isinstance(first, ast.Var) else "", first.loc)
        ref = ast.Ref((*self.names.package, name, *rest), head.ref.loc)
        new = ast.Head(ref, args, key, head_value, head.assign, head.loc)
        return ast.Rule(new, body, else_, rule.default, rule.annotations, rule.loc)

    def query(self, body: ast.Body) -> tuple[ast.Body, tuple[tuple[str, ast.Var], ...]]:
        """The checked body of a query, and its named variables."""
        outside: set[str] = set()
        outside_body(body, outside)
        scope = Scope(None, declared_names(body), frozenset(outside))
        _, done = self.level((), body, scope)
        self.undeclared_unused()
        return done, tuple((n, v) for n, v in scope.names.items())


def _chain(kind: ast.Logical) -> list[ast.Operand]:
    """The operands of `a or b or c`, which stand in each other, in order."""
    found: list[ast.Operand] = []
    current: ast.Logical = kind
    while True:
        found.append(current.rhs)
        lhs = current.lhs
        inner = lhs.body[0]
        if (
            lhs.explicit
            or not isinstance(inner.kind, ast.Logical)
            or inner.kind.operator != kind.operator
            or inner.withs
        ):
            found.append(lhs)
            return found[::-1]
        current = inner.kind
