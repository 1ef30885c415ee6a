"""What an evaluation goes through, told by the module itself: a policy with a mark before each expression, each of which calls the
host. Only `--profile` and `--explain notes` compile so; a call of the host takes microseconds.

`Sites` makes the marks, `Frames` follows them. It must not measure or print.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from cupcake.engine.plan.counting import event
from cupcake.engine.plan.terms import data_path
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, CheckedQuery, Path
from cupcake.engine.testing.instrument import Instrument, rule_place

_VALUE = "__local_event_value__"
_KEY = "__local_event_key__"
_SIMPLE = (ast.Var, ast.String, ast.Number, ast.Boolean, ast.Null)


@dataclass(frozen=True, slots=True)
class Site:
    """A mark. `body` is the body that it stands in; whether it `starts` or `ends` it, or `says` something; `calls` are the
    rules that its expression, `expr`, may ask for."""

    place: ast.Location
    body: int
    starts: bool = False
    ends: bool = False
    says: bool = False
    calls: tuple[Path, ...] = ()
    expr: ast.Expr | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """`rule`: the path of the rule that it is a body of, None for the query and for bodies in others; `around`: the body that
    it stands in; `place`: where its rule's head stands, or the whole of it;
    `bare` whether it is nothing but a ref, whose value is asked for."""

    place: ast.Location
    rule: Path | None = None
    around: int | None = None
    bare: bool = False


class Sites(Instrument):
    """The marks of one policy and query: number n is `sites[n]`. The query is body 0. With `notes`, calls of `trace` tell what they
    say."""

    def __init__(self, *, notes: bool = False) -> None:
        self.sites: list[Site] = []
        self.bodies: list[Body] = [Body(ast.Location("<query>", 1, 1))]
        self._open = [0]
        self._started: set[int] = set()
        self._notes = notes

    def all(self, checked: Checked, query: CheckedQuery) -> tuple[Checked, CheckedQuery]:
        """The policy and the query with marks."""
        if query.body:
            written = [expr for expr in query.body if not expr.generated]
            place = replace(written[0].loc, end=written[-1].loc.end)
            self.bodies[0] = Body(place, bare=len(written) == 1 and _is_asked_for(written[0]))
        query = replace(query, body=self.body(query.body))  # before `_open` is that of a rule
        return self.policy(checked), query

    def before(self, expr: ast.Expr) -> ast.Expr:
        mark = self._mark(expr.loc, calls=tuple(_asked(expr)))
        self.sites[-1] = replace(self.sites[-1], expr=expr)
        return mark

    def open_rule(self, rule: ast.Rule, path: Path) -> ast.Rule:
        self._open = [len(self.bodies)]
        self.bodies.append(Body(rule_place(rule), path))
        return _evaluated_in_body(rule)

    def behind(self, rule: ast.Rule) -> tuple[ast.Expr, ...]:
        return (self._mark(rule_place(rule), ends=True),)

    def open_body(self, body: ast.Body) -> None:
        around = self._open[-1]
        self._open.append(len(self.bodies))
        place = replace(body[0].loc, end=body[-1].loc.end)
        self.bodies.append(Body(place, None, around))

    def close_body(self) -> tuple[ast.Expr, ...]:
        mark = self._mark(self.bodies[self._open[-1]].place, ends=True)
        self._open.pop()
        return (mark,)

    def body(self, body: ast.Body) -> ast.Body:
        marked = super().body(body)
        return tuple(self._note(expr) for expr in marked) if self._notes else marked

    def _note(self, expr: ast.Expr) -> ast.Expr:
        match expr.kind:
            case ast.Call(ast.Ref((ast.Var("trace"),)), (said,)):
                self.sites.append(Site(expr.loc, self._open[-1], says=True))
                kind = event(len(self.sites) - 1, expr.loc, said).kind
                return replace(expr, kind=kind)
        return expr

    def _mark(
        self, loc: ast.Location, *, ends: bool = False, calls: tuple[Path, ...] = ()
    ) -> ast.Expr:
        body = self._open[-1]
        starts = body not in self._started and not ends
        self._started.add(body)
        self.sites.append(Site(loc, body, starts, ends, calls=calls))
        return event(len(self.sites) - 1, loc)


def _is_asked_for(expr: ast.Expr) -> bool:
    """Whether an expression of a query is a ref, which `eval` gives a variable for its value."""
    return (
        isinstance(expr.kind, ast.Unify)
        and isinstance(expr.kind.rhs, ast.Ref)
        and (expr.kind.rhs.loc == expr.loc)
    )


def _evaluated_in_body(rule: ast.Rule) -> ast.Rule:
    """The rule with the key and value of its head evaluated by its body, so that the mark behind it is the last of the rule."""
    head, body = rule.head, rule.body
    key, value = head.key, head.value
    if key is not None and not isinstance(key, _SIMPLE):
        body = (*body, ast.Expr(ast.Unify(ast.Var(_KEY, key.loc), key), loc=key.loc))
        key = ast.Var(_KEY, key.loc)
    if value is not None and not isinstance(value, _SIMPLE):
        body = (*body, ast.Expr(ast.Unify(ast.Var(_VALUE, value.loc), value), loc=value.loc))
        value = ast.Var(_VALUE, value.loc)
    if body is rule.body:
        return rule
    return replace(rule, head=replace(head, key=key, value=value), body=body)


def nodes(node: Any) -> Iterator[Any]:
    """The nodes of an expression, bodies inside of it aside."""
    if isinstance(node, tuple):
        if not (node and isinstance(node[0], ast.Expr)):
            for item in node:
                yield from nodes(item)
    elif is_dataclass(node) and not isinstance(node, ast.Location):
        yield node
        for field in fields(node):
            yield from nodes(getattr(node, field.name))


def _asked(expr: ast.Expr) -> Iterator[Path]:
    """The paths below `data` that an expression refers to, as far as they are constant."""
    for node in nodes(expr):
        if isinstance(node, ast.Ref) and node.terms[0] == ast.Var("data"):
            size = 1
            while size < len(node.terms) and isinstance(node.terms[size], ast.String):
                size += 1
            yield data_path(ast.Ref(node.terms[:size], node.loc)) or ()


@dataclass(slots=True, eq=False)
class Frame:
    """One evaluation of a body, `at` which of its marks; `again` when it goes on behind a solution that has left it."""

    body: int
    at: int
    again: bool = False


class Frames:
    """Which bodies are being evaluated, outermost first.

    No rule asks for itself, so that a body is under way at most once. One that has failed is found out by what comes next."""

    def __init__(self, sites: Sites) -> None:
        self._sites, self._bodies = sites.sites, sites.bodies
        self.stack: list[Frame] = []

    def start(self) -> None:
        """An evaluation begins."""
        self.stack = []

    def of(self, body: int) -> Frame | None:
        """The frame of a body that may be under way."""
        return next((frame for frame in self.stack if frame.body == body), None)

    def go(self, number: int) -> None:
        """Evaluation comes by a mark."""
        site = self._sites[number]
        frame = self.of(site.body)
        if frame is None:
            self._leave_for(self._bodies[site.body])
        else:
            while self.stack[-1] is not frame:
                self.stack.pop()
            if site.starts or site.ends:
                self.stack.pop()
                frame = None
        if site.ends:
            return
        if frame is None:
            self.stack.append(Frame(site.body, number, not site.starts))
        else:
            frame.at = number

    def _leave_for(self, wanted: Body) -> None:
        """Takes off what is not around a body that begins."""
        while self.stack and not self._may_ask_for(wanted, self.stack[-1]):
            self.stack.pop()

    def _may_ask_for(self, wanted: Body, frame: Frame) -> bool:
        if wanted.rule is None:
            return frame.body == wanted.around
        if self._bodies[frame.body].rule == wanted.rule:
            return False
        path = wanted.rule
        return any(path[: len(q)] == q[: len(path)] for q in self._sites[frame.at].calls)
