"""Safety: orders bodies so that every variable is bound before it is needed, or says which cannot be.

Works on the checked form, where locals are unique in a rule, so that a variable's name is its identity.
It must not resolve names; the order of a body that is safe as written is kept.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from cupcake.engine.rego import ast
from cupcake.engine.rego.binding import relation_runs, runs, split
from cupcake.engine.rego.outputs import IsRelation, bindable, binds, outputs, ref_outputs
from cupcake.engine.rego.resolve import Problems
from cupcake.engine.rego.token_reader import keyword_hint
from cupcake.engine.rego.uses import (
    LOCAL,
    NO_TERMS,
    Uses,
    body_uses,
    call_uses,
    comes_before,
    expr_uses,
    known_of,
    plain_vars,
    term_uses,
)

UNSAFE = "rego_unsafe_var_error"

_CLOSURES = (ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension)


class Orderer:
    """Orders the bodies of one rule or query; unsafe variables go to `problems`."""

    def __init__(
        self,
        written: dict[str, str],
        is_relation: IsRelation,
        problems: Problems,
        assigned: Container[str] = (),
    ) -> None:
        """`written` maps locals to the names that were written; `assigned` are the locals that `:=` makes."""
        self.written = written
        self.is_relation = is_relation
        self.problems = problems
        self.assigned = assigned
        self.found: dict[str, ast.Location] = {}
        self.at = ast.NOWHERE  # the statement or call that is being looked at

    def body(self, body: ast.Body, bound: set[str]) -> ast.Body:
        """The body in a safe order, closures included; `bound` grows by what the body binds."""
        infos: list[tuple[ast.Expr, Uses]] = []
        own: set[str] = set()
        for expr in self.binding_parts_first(body):
            uses = Uses()
            expr_uses(expr, uses)
            infos.append((expr, uses))
            own.update(uses.plain)
        own.update(bound)
        ordered: list[ast.Expr] = []
        waiting: dict[int, tuple[ast.Expr, Uses]] = {}
        for i, (expr, uses) in enumerate(infos):
            if self.ready(expr, uses, own, bound):
                self.place(expr, uses, bound, ordered)
            else:
                waiting[i] = (expr, uses)
        if waiting:
            self.reorder(waiting, own, bound, ordered)
        return tuple(ordered)

    def place(self, expr: ast.Expr, uses: Uses, bound: set[str], ordered: list[ast.Expr]) -> None:
        """Append a statement whose turn it is."""
        if not expr.negated and not self.runs(expr, known_of(uses, bound)):
            ordered.extend(self.settled(expr, bound))
            return
        if uses.closed:
            expr = self.closures(expr, bound)
        ordered.append(expr)
        bound.update(uses.plain)

    def reorder(
        self,
        waiting: dict[int, tuple[ast.Expr, Uses]],
        own: set[str],
        bound: set[str],
        ordered: list[ast.Expr],
    ) -> None:
        """Append what waits, in passes, each in the order as written; who waits for nothing that was bound since is
        passed over. What is left in the end is unsafe."""
        readers: dict[str, list[int]] = {}
        for i, (_, uses) in waiting.items():
            for v in (*uses.plain, *uses.closed):
                readers.setdefault(v, []).append(i)
        now, later = list(waiting), set[int]()
        while now or later:
            if not now:
                now, later = sorted(later), set()
            i = heappop(now)
            if i not in waiting:
                continue
            expr, uses = waiting[i]
            if not self.ready(expr, uses, own, bound):
                continue
            del waiting[i]
            new = [v for v in uses.plain if v not in bound]
            self.place(expr, uses, bound, ordered)
            for reader in {r for v in new for r in readers[v] if r in waiting}:
                if reader > i:
                    heappush(now, reader)
                else:
                    later.add(reader)
        if waiting:
            left = list(waiting.values())
            self.unsafe(left, own, bound)
            ordered.extend(expr for expr, _ in left)

    def binding_parts_first(self, body: ast.Body) -> ast.Body:
        """The body where what binds variables inside a `with` value (`with input as xs[_]`) or inside an operand of a
        negated statement (`not f(xs[_]) == 1`) is a statement before its own."""
        if not any(expr.withs or expr.negated for expr in body):
            return body
        done: list[ast.Expr] = []
        for expr in body:
            withs: list[ast.With] = []
            for w in expr.withs:
                value = w.value
                if binds(value):
                    value = self.before(value, (), expr.loc, done)
                withs.append(ast.With(w.target, value, w.loc))
            kind = expr.kind
            if expr.negated:
                kind = self.operands_before(kind, tuple(withs), expr.loc, done)
            done.append(replace(expr, kind=kind, withs=tuple(withs)))
        return tuple(done)

    def operands_before(
        self,
        kind: ast.ExprKind,
        withs: tuple[ast.With, ...],
        loc: ast.Location,
        done: list[ast.Expr],
    ) -> ast.ExprKind:
        def moved(term: ast.Term) -> ast.Term:
            if isinstance(term, ast.Call) and binds(term):
                return self.before(term, withs, loc, done)
            if isinstance(term, ast.Array):
                return ast.Array(tuple([moved(t) for t in term.items]), term.loc)
            if isinstance(term, ast.Ref):
                return ast.Ref((term.terms[0], *[moved(t) for t in term.terms[1:]]), term.loc)
            return term

        if isinstance(kind, ast.Unify):
            return ast.Unify(moved(kind.lhs), moved(kind.rhs))
        if isinstance(kind, ast.Call):
            return ast.Call(kind.operator, tuple([moved(t) for t in kind.args]), kind.loc)
        return moved(kind) if isinstance(kind, ast.Ref) else kind

    def before(
        self,
        term: ast.Term,
        withs: tuple[ast.With, ...],
        loc: ast.Location,
        done: list[ast.Expr],
    ) -> ast.Var:
        local = self.fresh(term)
        done.append(ast.Expr(ast.Unify(local, term), withs=withs, loc=loc, generated=True))
        return local

    def runs(self, expr: ast.Expr, bound: set[str]) -> bool:
        kind = expr.kind
        if isinstance(kind, ast.Call) and self.is_relation(kind.operator):
            return relation_runs(kind, bound)
        return runs(expr, bound)

    def settled(self, expr: ast.Expr, bound: set[str]) -> ast.Body:
        """A safe statement that does not run left to right, as several that do."""
        parts = split(expr, bound, self.fresh)
        if len(parts) == 1:
            uses = Uses()
            expr_uses(expr, uses)
            self.unsafe([(expr, uses)], set(uses.plain), set(bound))
            for v, loc in uses.plain.items():
                if v not in bound:
                    self.report(v, loc)
            bound.update(uses.plain)
            return (expr,)
        return self.body(tuple(parts), bound)

    def ready(self, expr: ast.Expr, uses: Uses, own: set[str], bound: set[str]) -> bool:
        for v in uses.closed:
            if v in own and v not in bound:
                return False
        for v in uses.plain:
            if v not in bound:
                break
        else:
            return True
        if expr.negated:
            return False
        can = outputs(expr, known_of(uses, bound), self.is_relation)
        return all(v in bound or v in can for v in uses.plain)

    def unsafe(self, left: list[tuple[ast.Expr, Uses]], own: set[str], bound: set[str]) -> None:
        for expr, uses in left:
            can = outputs(expr, bound, self.is_relation)
            found = {v: loc for v, loc in uses.plain.items() if v not in bound and v not in can}
            for v, loc in uses.closed.items():
                if v in own and v not in bound:
                    found.setdefault(v, loc)
            for v, loc in found.items():
                self.report(v, loc if loc.row else expr.loc)

    def report(self, var: str, loc: ast.Location) -> None:
        """Note that `var` is unsafe; of several places the first one counts."""
        known = self.found.get(var)
        if known is None or comes_before(loc, known):
            self.found[var] = loc

    def conclude(self) -> None:
        """Report what was noted. What is assigned is unsafe because of something else, and a generated variable says
        nothing to anybody: these count only when there is nothing better."""
        named = [v for v in self.found if self.written.get(v, v)]
        culprits = [v for v in named if v not in self.assigned] or named
        for v in culprits:
            name = self.written.get(v, v)
            hint = keyword_hint(name)
            self.problems.add(UNSAFE, f"var {name} is unsafe", self.found[v], hint)
        if not named:
            for loc in self.found.values():
                self.problems.add(UNSAFE, "expression is unsafe", loc)
        self.found = {}

    def closures(self, expr: ast.Expr, bound: set[str]) -> ast.Expr:
        """Order the closures inside one statement whose outer variables are in `bound`."""
        kind = expr.kind
        self.at = expr.loc
        if isinstance(kind, ast.Unify):
            new: ast.ExprKind = ast.Unify(
                self.in_term(kind.lhs, bound), self.in_term(kind.rhs, bound)
            )
        elif isinstance(kind, ast.Every):
            inner = set(bound)
            inner.update(v.name for v in (kind.key, kind.value) if v is not None)
            domain = self.in_term(kind.domain, bound)
            inner.update(plain_vars(kind.domain))
            new = ast.Every(kind.key, kind.value, domain, self.body(kind.body, inner))
        elif isinstance(kind, ast.Block):
            new = ast.Block(self.body(kind.body, set(bound)), kind.needs)
        elif isinstance(kind, NO_TERMS):
            return expr
        else:
            new = self.in_term(kind, bound)
        withs = tuple(ast.With(w.target, self.in_term(w.value, bound), w.loc) for w in expr.withs)
        return replace(expr, kind=new, withs=withs)

    def in_term(self, term: ast.Term, bound: set[str]) -> ast.Term:
        if type(term) in ast.SCALARS or isinstance(term, ast.Var):
            return term
        if isinstance(term, ast.Ref):
            return ast.Ref(tuple([self.in_term(t, bound) for t in term.terms]), term.loc)
        if isinstance(term, ast.Call):
            before, self.at = self.at, term.loc
            args = tuple([self.in_term(t, bound) for t in term.args])
            self.at = before
            return ast.Call(term.operator, args, term.loc)
        if isinstance(term, ast.Array):
            return ast.Array(tuple([self.in_term(t, bound) for t in term.items]), term.loc)
        if isinstance(term, ast.Set):
            return ast.Set(tuple([self.in_term(t, bound) for t in term.items]), term.loc)
        if isinstance(term, ast.Object):
            pairs = [(self.in_term(k, bound), self.in_term(v, bound)) for k, v in term.pairs]
            return ast.Object(tuple(pairs), term.loc)
        if isinstance(term, (ast.ArrayComprehension, ast.SetComprehension)):
            (value,), body = self.comprehension((term.term,), term.body, bound)
            return type(term)(value, body, term.loc)
        if isinstance(term, ast.ObjectComprehension):
            (key, value), body = self.comprehension((term.key, term.value), term.body, bound)
            return ast.ObjectComprehension(key, value, body, term.loc)
        return term

    def comprehension(
        self, terms: tuple[ast.Term, ...], body: ast.Body, bound: set[str]
    ) -> tuple[tuple[ast.Term, ...], ast.Body]:
        at = self.at
        result = self.tail(terms, body, set(bound), [at] * len(terms))
        self.at = at
        return result

    def tail(
        self,
        terms: tuple[ast.Term, ...],
        body: ast.Body,
        bound: set[str],
        places: Sequence[ast.Location],
    ) -> tuple[tuple[ast.Term, ...], ast.Body]:
        """Order `body`, then check the terms that are evaluated after it, which belong to `places`.

        A term that itself binds (`[xs[i] | ...]` with an `i` that the body does not bind) moves into the body.
        """
        moved: list[ast.Expr] = []
        done: list[ast.Term] = []
        inside: set[str] | None = None
        for term in terms:
            can: set[str] = set()
            if type(term) not in ast.SCALARS and not isinstance(term, ast.Var):
                if inside is None:
                    inside = bound | set(_body_plain(body))
                ref_outputs(term, inside, can)
                if not self.binds_all(body, can - bound):
                    local = self.fresh(term)
                    moved.append(
                        ast.Expr(ast.Unify(local, term), loc=term_loc(term), generated=True)
                    )
                    term = ast.Var(local.name, local.loc)
            done.append(term)
        ordered = self.body((*body, *moved), bound)
        result: list[ast.Term] = []
        for term, place in zip(done, places, strict=True):
            uses = Uses()
            term_uses(term, uses, at=place)
            self.at = place
            if any(v not in bound for names in (uses.plain, uses.closed) for v in names):
                self.unsafe_after(term, uses, bound, _body_plain(body))
            result.append(self.in_term(term, bound) if uses.closed else term)
        return tuple(result), ordered

    def binds_all(self, body: ast.Body, names: set[str]) -> bool:
        """Whether `body` has for each of `names` a statement that binds it, if all the rest is bound."""
        missing = set(names)
        for expr in body if missing else ():
            uses = Uses()
            expr_uses(expr, uses)
            others = {*uses.plain, *uses.closed}
            for v in missing.intersection(uses.plain):
                if v in outputs(expr, others - {v}, self.is_relation):
                    missing.discard(v)
            if not missing:
                break
        return not missing

    def unsafe_after(
        self, term: ast.Term, uses: Uses, bound: set[str], used: Container[str]
    ) -> None:
        """Report what the term of a head needs and its body, which uses `used`, does not bind. Without a call, a ref or
        a closure the term is no statement of its own, so that what the body uses is reported there alone."""
        whole = Uses()
        if _moves(term):
            term_uses(term, whole, at=term.loc)
            for v in whole.closed:
                if v not in bound and v in used:
                    self.report(v, term.loc)
        else:
            call_uses(term, whole)
        for v, loc in uses.plain.items():
            if v not in bound and (v in whole.plain or v not in used):
                self.report(v, whole.plain.get(v, loc))

    def fresh(self, term: ast.Term) -> ast.Var:
        name = f"{LOCAL}{len(self.written)}__"
        self.written[name] = ""
        return ast.Var(name, term_loc(term))


def _body_plain(body: ast.Body) -> dict[str, ast.Location]:
    uses = Uses()
    body_uses(body, uses)
    return uses.plain


def term_loc(term: ast.Term) -> ast.Location:
    return term.loc


def order_rule(
    rule: ast.Rule,
    written: dict[str, str],
    is_relation: IsRelation,
    problems: Problems,
    assigned: Container[str] = (),
) -> ast.Rule:
    """The rule with all bodies of its `else` chain in safe order."""
    orderer = Orderer(written, is_relation, problems, assigned)
    bound_args: set[str] = set()
    for arg in rule.head.args or ():
        bindable(arg, bound_args)
    for arg in rule.head.args or ():
        for v, loc in plain_vars(arg).items():
            if v not in bound_args:
                orderer.report(v, loc)
    chain: list[ast.Rule] = []
    current: ast.Rule | None = rule
    while current is not None:
        chain.append(current)
        current = current.else_
    done: ast.Rule | None = None
    for link in reversed(chain):
        head = link.head
        count = len(head.ref.terms)
        terms = list(head.ref.terms)
        if head.key is not None:
            terms.append(head.key)
        if head.value is not None:
            terms.append(head.value)
        places = [t.loc if _moves(t) else ast.NOWHERE for t in terms]
        new_terms, body = orderer.tail(tuple(terms), link.body, set(bound_args), places)
        rest = list(new_terms[count:])
        value = rest.pop() if head.value is not None else None
        key = rest.pop() if head.key is not None else None
        ref = ast.Ref(new_terms[:count], head.ref.loc)
        new_head = ast.Head(ref, head.args, key, value, head.assign, head.loc)
        done = ast.Rule(new_head, body, done, link.default, link.annotations, link.loc)
    assert done is not None
    orderer.conclude()
    return done


def _moves(term: ast.Term) -> bool:
    """Whether a term of a head is evaluated as a whole, as it holds a ref or a comprehension; else its variables
    have places of their own."""
    if isinstance(term, (ast.Ref, *_CLOSURES)):
        return True
    if isinstance(term, ast.Call):
        return any(_moves(t) for t in term.args)
    if isinstance(term, (ast.Array, ast.Set)):
        return any(_moves(t) for t in term.items)
    if isinstance(term, ast.Object):
        return any(_moves(k) or _moves(v) for k, v in term.pairs)
    return False
