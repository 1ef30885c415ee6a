"""Why a test failed: the expression at which its body stops, and what the parts of that expression are there.

Bodies of the checked form are ordered, so that every prefix of one is a query of its own: the first prefix without a
solution ends with the expression that failed. It only looks; the test's result is never taken from here.

An explanation yields the queries that it may ask, and is sent the answers (`asking.py` compiles those of many at once).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import CheckedQuery
from cupcake.engine.rego.uses import Uses, body_uses, plain_vars, term_uses

#: Evaluates one of the queries that were yielded, by its number; one dict a solution.
Answers: TypeAlias = Callable[[int], list[dict[str, Any]]]

_SHOWN = 3
_PROBE = "__local_probe_{}__"


@dataclass(frozen=True, slots=True)
class PartValue:
    """A part of the failing expression as it is written, and its values (none: undefined)."""

    text: str
    values: tuple[Any, ...]
    loc: ast.Location


@dataclass(frozen=True, slots=True)
class Failure:
    """The failing expression. `parts` has one list for each of the first solutions of what stands before it; `total` is
    how many there are. `note` says what else is known; `items` are
    those for which the body of a failing `every` does not hold."""

    loc: ast.Location
    parts: tuple[tuple[PartValue, ...], ...] = ()
    total: int = 1
    note: str = ""
    items: tuple[Any, ...] = ()


#: An explanation under way.
Explaining: TypeAlias = Generator[Sequence[CheckedQuery], Answers, Failure]


def explain(rule: ast.Rule, sources: Mapping[str, str]) -> Explaining:
    """Where the rule (of the checked form) stops. The last link of an else chain is the one that is shown."""
    while rule.else_ is not None:
        rule = rule.else_
    body = rule.body
    # Number n asks whether the first n + 1 expressions hold.
    answers = yield [CheckedQuery(body[: size + 1], ()) for size in range(len(body))]
    if answers(len(body) - 1):
        return Failure(rule.head.loc, note="the body holds, but the value of the rule is undefined")
    low, high = 0, len(body) - 1
    while low < high:  # the first expression that leaves no solution
        middle = (low + high) // 2
        if answers(middle):
            low = middle + 1
        else:
            high = middle
    return (yield from _failure(body[:low], body[low], sources))


def case_names(rule: ast.Rule, count: int) -> CheckedQuery:
    """Asks for the operands after the name of a `test_x[note]` rule, as far as the body gets them: `names` of the solutions."""
    terms = rule.head.ref.terms[-count:]
    probe = ast.Var(_PROBE.format(0))
    expr = ast.Expr(ast.Unify(probe, ast.Array(terms)), generated=True)
    body = (*rule.body[: _binding_size(rule, terms)], expr)
    return CheckedQuery(body, (("names", probe),))


def pinned(rule: ast.Rule, count: int, operands: Sequence[Any]) -> ast.Rule:
    """The rule, for one case only. Operands are scalars of JSON; others leave the rule as it is."""
    terms = rule.head.ref.terms[-count:]
    size = _binding_size(rule, terms)
    pins: list[ast.Expr] = []
    for term, operand in zip(terms, operands, strict=True):
        constant: ast.Term
        match operand:
            case bool():
                constant = ast.Boolean(operand)
            case str():
                constant = ast.String(operand)
            case int() | float():
                constant = ast.Number(repr(operand))
            case _:
                return rule
        pins.append(ast.Expr(ast.Unify(term, constant), generated=True))
    return replace(rule, body=(*rule.body[:size], *pins, *rule.body[size:]), else_=None)


def _binding_size(rule: ast.Rule, terms: Sequence[ast.Term]) -> int:
    """How much of the body it takes to bind the variables of `terms`."""
    needed: set[str] = set()
    for term in terms:
        needed |= set(plain_vars(term))
    for size in range(len(rule.body)):
        bound = Uses()
        body_uses(tuple(e for e in rule.body[:size] if not e.negated), bound)
        if needed <= set(bound.plain):
            return size
    return len(rule.body)


def _failure(before: ast.Body, failing: ast.Expr, sources: Mapping[str, str]) -> Explaining:
    bound = Uses()
    body_uses(tuple(e for e in before if not e.negated), bound)
    known = set(bound.plain)
    parts: list[ast.Term] = []
    for term in _terms_of(failing):
        if term not in parts and _can_stand(term, known) and _text(term.loc, sources):
            parts.append(term)
    probes: list[ast.Expr] = []
    shown: list[tuple[str, ast.Var]] = []
    for number, part in enumerate(parts):
        shown.append(_probe(number, part, failing.withs, probes))
    item = _failing_item(failing, len(parts))
    if item is not None:
        shown.append(("item", item[0]))
        probes.append(item[1])
    answers = yield [CheckedQuery((*before, *probes), tuple(shown))]
    solutions = answers(0)
    lists = tuple(
        tuple(
            PartValue(_text(part.loc, sources), tuple(solution[str(n)]), part.loc)
            for n, part in enumerate(parts)
        )
        for solution in solutions[:_SHOWN]
    )
    items = tuple(solutions[0]["item"]) if item is not None and solutions else ()
    return Failure(failing.loc, lists, len(solutions), items=items)


def _probe(
    number: int, part: ast.Term, withs: tuple[ast.With, ...], probes: list[ast.Expr]
) -> tuple[str, ast.Var]:
    """A variable that holds all values of a part as an array; undefined is the empty one."""
    value, values = ast.Var(_PROBE.format(f"v{number}")), ast.Var(_PROBE.format(number))
    inner = ast.Expr(ast.Unify(value, part), withs=withs, generated=True)
    collected = ast.ArrayComprehension(value, (inner,))
    probes.append(ast.Expr(ast.Unify(values, collected), generated=True))
    return str(number), values


def _failing_item(failing: ast.Expr, number: int) -> tuple[ast.Var, ast.Expr] | None:
    """For `every x in xs {...}`: the items for which its body does not hold."""
    every = failing.kind
    if not isinstance(every, ast.Every) or failing.negated or every.key is not None:
        return None
    key, value, whole, found = (ast.Var(_PROBE.format(f"{p}{number}")) for p in "kvwf")
    inner = ast.Every(None, every.value, ast.Array((value,)), every.body)
    body = (
        ast.Expr(ast.Unify(whole, every.domain), withs=failing.withs, generated=True),
        ast.Expr(ast.Unify(value, ast.Ref((whole, key))), generated=True),
        ast.Expr(inner, negated=True, withs=failing.withs, generated=True),
    )
    collected = ast.ArrayComprehension(value, body)
    return found, ast.Expr(ast.Unify(found, collected), generated=True)


def _terms_of(expr: ast.Expr) -> Iterator[ast.Term]:
    match expr.kind:
        case ast.Unify(lhs, rhs):
            yield from _parts(lhs)
            yield from _parts(rhs)
        case ast.Every():
            yield from _parts(expr.kind.domain)
        case ast.Call() as call:
            for arg in call.args:
                yield from _parts(arg)
        case ast.Assign() | ast.SomeDecl() | ast.SomeIn() | ast.Not() | ast.Logical() | ast.Block():
            return
        case term:
            yield from _parts(term)


def _parts(term: ast.Term) -> Iterator[ast.Term]:
    """The term and what is inside of it, constants and comprehensions' insides aside."""
    match term:
        case ast.Var():
            yield term
        case ast.Ref(terms):
            yield term
            for inner in terms[1:]:
                yield from _parts(inner)
        case ast.Call(_, args):
            yield term
            for inner in args:
                yield from _parts(inner)
        case ast.Array(items) | ast.Set(items):
            for inner in items:
                yield from _parts(inner)
        case ast.Object(pairs):
            for key, value in pairs:
                yield from _parts(key)
                yield from _parts(value)
        case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
            yield term
        case _:
            return


def _can_stand(term: ast.Term, known: set[str]) -> bool:
    """Whether the term can be evaluated where its expression stands: a variable that is bound, or refs that bind."""
    if isinstance(term, ast.Ref):
        return all(
            isinstance(operand, ast.Var) or _can_stand(operand, known) for operand in term.terms[1:]
        ) and (not isinstance(term.terms[0], ast.Var) or _can_stand(term.terms[0], known))
    uses = Uses()
    term_uses(term, uses)
    return set(uses.plain) <= known


def _text(loc: ast.Location, sources: Mapping[str, str]) -> str:
    return " ".join(sources.get(loc.file, "")[loc.offset : loc.end].split())
