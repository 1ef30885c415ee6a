"""Safety: orders bodies so that every variable is bound before it is needed, or says which cannot be.

Works on the checked form, where locals are unique in a rule, so that a variable's name is its identity.
It must not resolve names; the order of a body that is safe as written is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from cupcake.engine.rego import ast
from cupcake.engine.rego.binding import relation_runs, runs, split
from cupcake.engine.rego.resolve import Problems
from cupcake.engine.rego.token_reader import keyword_hint

UNSAFE = "rego_unsafe_var_error"
LOCAL = "__local"

IsRelation = Callable[[ast.Ref], bool]

_SCALARS = frozenset({ast.String, ast.Number, ast.Boolean, ast.Null})
_LITERALS = _SCALARS | {ast.Array, ast.Object, ast.Set}
# Statements that are no terms and that the checked form does not hold, and blocks, which bind nothing.
NO_TERMS = (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical, ast.Block)
_CLOSURES = (ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension)


class Uses:
    """The locals of an expression: `plain` outside closures, `closed` anywhere inside closures; each with the place
    of what would be evaluated without it: the innermost call around it, or the statement."""

    __slots__ = ("closed", "plain")

    def __init__(self) -> None:
        self.plain: dict[str, ast.Location] = {}
        self.closed: dict[str, ast.Location] = {}


def _known_of(uses: Uses, bound: set[str]) -> set[str]:
    """The variables of a statement that are bound: bodies can be large, statements rarely are."""
    return {v for names in (uses.plain, uses.closed) for v in names if v in bound}


def _before(a: ast.Location, b: ast.Location) -> bool:
    return (a.row, a.col) < (b.row, b.col)


def term_uses(
    term: ast.Term, uses: Uses, *, closed: bool = False, at: ast.Location = ast.NOWHERE
) -> None:
    """Collect the locals of `term` in the order in which they are written; `at` is where it is evaluated."""
    kind = type(term)
    if kind in _SCALARS:
        return
    if isinstance(term, ast.Var):
        if term.name.startswith(LOCAL):
            found = uses.closed if closed else uses.plain
            loc = at if at.row else term.loc
            known = found.get(term.name)
            if known is None or _before(loc, known):
                found[term.name] = loc
    elif isinstance(term, ast.Ref):
        for t in term.terms:
            if type(t) is not ast.String:
                term_uses(t, uses, closed=closed, at=at)
    elif isinstance(term, ast.Call):
        here = term.loc if term.loc.row else at
        for t in term.args:
            term_uses(t, uses, closed=closed, at=here)
    elif isinstance(term, (ast.Array, ast.Set)):
        for t in term.items:
            term_uses(t, uses, closed=closed, at=at)
    elif isinstance(term, ast.Object):
        for k, v in term.pairs:
            term_uses(k, uses, closed=closed, at=at)
            term_uses(v, uses, closed=closed, at=at)
    elif isinstance(term, ast.ObjectComprehension):
        term_uses(term.key, uses, closed=True, at=at)
        term_uses(term.value, uses, closed=True, at=at)
        body_uses(term.body, uses, closed=True)
    elif isinstance(term, (ast.ArrayComprehension, ast.SetComprehension)):
        term_uses(term.term, uses, closed=True, at=at)
        body_uses(term.body, uses, closed=True)


def expr_uses(expr: ast.Expr, uses: Uses, *, closed: bool = False) -> None:
    kind = expr.kind
    at = expr.loc
    if isinstance(kind, ast.Unify):
        term_uses(kind.lhs, uses, closed=closed, at=at)
        term_uses(kind.rhs, uses, closed=closed, at=at)
    elif isinstance(kind, ast.Every):
        term_uses(kind.domain, uses, closed=closed, at=kind.domain.loc)
        body_uses(kind.body, uses, closed=True)
    elif isinstance(kind, ast.Block):
        for v in kind.needs:
            term_uses(v, uses, closed=closed, at=at)
        body_uses(kind.body, uses, closed=True)
    elif isinstance(kind, ast.Call):
        for t in kind.args:
            term_uses(t, uses, closed=closed, at=at)
    elif not isinstance(kind, NO_TERMS):
        term_uses(kind, uses, closed=closed, at=at)
    for w in expr.withs:
        term_uses(w.target, uses, closed=closed, at=at)
        term_uses(w.value, uses, closed=closed, at=at)


def body_uses(body: ast.Body, uses: Uses, *, closed: bool = False) -> None:
    for expr in body:
        expr_uses(expr, uses, closed=closed)


def plain_vars(term: ast.Term) -> dict[str, ast.Location]:
    """The locals of `term` outside closures."""
    uses = Uses()
    term_uses(term, uses)
    return uses.plain


# -- what an expression binds --------------------------------------------------------------------


def ref_outputs(term: ast.Term, safe: set[str], out: set[str]) -> None:
    """Add the operand variables that refs in `term` bind; a ref binds when its head is safe."""
    if type(term) in _SCALARS or isinstance(term, (ast.Var, *_CLOSURES)):
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
    if not calls:
        return True
    found = set(safe)
    for call in calls:
        ref_outputs(call, safe, found)
    return all(_known(call, found) for call in calls)


def _binds(term: ast.Term) -> bool:
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


# -- ordering ------------------------------------------------------------------------------------


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
        readers: dict[str, list[int]] = {}
        for i, (_, uses) in enumerate(infos):
            for v in (*uses.plain, *uses.closed):
                readers.setdefault(v, []).append(i)
        # In passes over what waits, in order; who waits for nothing that was bound since is passed over.
        now, later = list(range(len(infos))), set[int]()
        waiting = dict(enumerate(infos))
        while now or later:
            if not now:
                now, later = sorted(later), set()
            i = heappop(now)
            if i not in waiting:
                continue
            expr, uses = waiting[i]
            if self.ready(expr, uses, own, bound):
                del waiting[i]
                new = [v for v in uses.plain if v not in bound]
                if not expr.negated and not self.runs(expr, _known_of(uses, bound)):
                    ordered.extend(self.settled(expr, bound))
                else:
                    if uses.closed:
                        expr = self.closures(expr, bound)
                    ordered.append(expr)
                    bound.update(uses.plain)
                for reader in {r for v in new for r in readers[v] if r in waiting}:
                    if reader > i:
                        heappush(now, reader)
                    else:
                        later.add(reader)
        if waiting:
            left = [waiting[i] for i in sorted(waiting)]
            self.unsafe(left, own, bound)
            ordered.extend(expr for expr, _ in left)
        return tuple(ordered)

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
                if _binds(value):
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
            if isinstance(term, ast.Call) and _binds(term):
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
        can = outputs(expr, _known_of(uses, bound), self.is_relation)
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
        if known is None or _before(loc, known):
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
        if type(term) in _SCALARS or isinstance(term, ast.Var):
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

        A term that itself binds (`[xs[i] | ...]` with a new `i`) moves into the body.
        """
        moved: list[ast.Expr] = []
        done: list[ast.Term] = []
        inside: set[str] | None = None
        for term in terms:
            can: set[str] = set()
            if type(term) not in _SCALARS and not isinstance(term, ast.Var):
                if inside is None:
                    inside = bound | set(_body_plain(body))
                ref_outputs(term, inside, can)
                if not can <= inside:
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
            for v, loc in uses.plain.items():
                # A variable that the body uses without binding it was reported there.
                if v not in bound and v not in _body_plain(body):
                    self.report(v, loc)
            result.append(self.in_term(term, bound) if uses.closed else term)
        return tuple(result), ordered

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
