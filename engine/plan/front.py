"""What of a rule is asked first. OPA's rule index looks at a rule before it is evaluated: references to documents must
be defined, and equal what they are compared with. A rule that it rules out is not evaluated, so nothing in it fails.

Here such guards go in front of the first expression that may fail. They are necessary conditions, so that nothing else
changes. This file only reads the checked AST.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.counting import is_counter, is_event
from cupcake.engine.plan.rule_tree import key_of
from cupcake.engine.rego import ast

# Calls that yield a value or are undefined, whatever their operands are.
_SURE: Final = frozenset({"equal", "neq", "lt", "lte", "gt", "gte"})
_SIMPLE: Final = ast.SCALARS | {ast.Var}
_OPAQUE: Final = frozenset(
    {
        *(ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension),
        *(ast.Every, ast.Block, ast.TemplateString),
    }
)

_KINDS: Final = {
    ast.ArrayComprehension: "array",
    ast.SetComprehension: "set",
    ast.ObjectComprehension: "object",
}

#: The position of an expression in the rule's body, None for one that is not in it.
Placed = tuple[int | None, ast.Expr]


def in_order(
    rule: ast.Rule,
    bound: Sequence[ast.Term],
    is_base: Callable[[ast.Ref], bool],
    is_mocked: Callable[[str], bool],
) -> list[Placed]:
    """The body of `rule`, guards first where it matters. `bound`: patterns whose variables have values before it;
    `is_base`: whether a ground ref leads to a document that no rule makes; `is_mocked`: whether a `with` replaces a builtin."""
    if any(is_event(expr) for expr in rule.body):
        return _as_written(rule)
    if any(is_counter(expr) for expr in rule.body):
        return _counting(rule, bound, is_base, is_mocked)
    body = list(enumerate(rule.body))
    reader = _Reader(is_base, is_mocked)
    first = next((i for i, expr in body if reader.may_fail(expr)), len(body))
    head_risks = sum(reader.risks(term) for term in _head(rule) if type(term) not in _SIMPLE)
    if first == len(body) and not head_risks:
        return list(body)
    known = {
        name for node in (*bound, *(e.kind for e in rule.body[:first])) for name in _vars(node)
    }
    seen = {ref for _, expr in body[:first] for ref in reader.needs(expr)}
    texts: set[ast.Ref] = set()  # what was asked whether it is a string
    moved: list[Placed] = []
    kept: list[Placed] = []
    for position, expr in body[first:]:
        text = reader.prefix_of(expr)
        if text is not None:
            if text not in texts:
                texts.add(text)
                moved.append((None, _is("string", text)))
            moved.append((position, expr))
            seen.update(reader.needs(expr))
            continue
        if position > first and reader.is_guard(expr, known):
            moved.append((position, expr))
            known.update(_vars(expr.kind))
            seen.update(reader.needs(expr))
            continue
        kept += reader.kind_of_closure(expr)
        kept.append((position, expr))
        if position == first and reader.risks(expr.kind) == 1:
            # The operands of a lone call are asked for before it anyway.
            seen.update(reader.operands(expr.kind))
        moved += reader.checks(expr.loc, reader.needs(expr), seen)
    if first == len(body) and head_risks == 1:
        seen.update(ref for term in _head(rule) for ref in reader.operands(term))
    for term in _head(rule):
        moved += reader.checks(rule.loc, reader.refs(term), seen)
    return [*body[:first], *moved, *kept]


def _as_written(rule: ast.Rule) -> list[Placed]:
    """What is watched is evaluated as it is written."""
    return [
        (None if is_event(expr) or is_counter(expr) else position, expr)
        for position, expr in enumerate(rule.body)
    ]


def _counting(
    rule: ast.Rule,
    bound: Sequence[ast.Term],
    is_base: Callable[[ast.Ref], bool],
    is_mocked: Callable[[str], bool],
) -> list[Placed]:
    """The same for a rule that was instrumented: an expression takes the counter before it along."""
    plain = tuple(expr for expr in rule.body if not is_counter(expr))
    counters: dict[int, ast.Expr] = {}
    left: list[ast.Expr] = []
    for expr in rule.body:
        if is_counter(expr):
            left.append(expr)
        elif left:
            counters[id(expr)] = left.pop()
    placed: list[Placed] = []
    for position, expr in in_order(replace(rule, body=plain), bound, is_base, is_mocked):
        if id(expr) in counters:
            placed.append((None, counters[id(expr)]))
        placed.append((position, expr))
    return [*placed, *((None, expr) for expr in left)]


def _head(rule: ast.Rule) -> Iterator[ast.Term]:
    yield from rule.head.ref.terms[1:]
    for term in (rule.head.key, rule.head.value):
        if term is not None:
            yield term


@dataclass(slots=True)
class _Reader:
    is_base: Callable[[ast.Ref], bool]
    is_mocked: Callable[[str], bool]
    made: int = field(default=0)

    def risks(self, node: object) -> int:
        """How many parts of a node may fail: calls, closures, documents that rules make."""
        if type(node) in _SIMPLE:
            return 0
        if type(node) in _OPAQUE:
            return 1
        own = 0
        if isinstance(node, ast.Call):
            own = not _is_sure(node)
        elif isinstance(node, ast.Ref):
            own = _root(node) == "data" and not self.is_base(node)
        return own + sum(map(self.risks, _parts(node)))

    def may_fail(self, expr: ast.Expr) -> bool:
        return bool(expr.withs) or self._fails(expr.kind)

    def _fails(self, node: object) -> bool:
        """Whether there is a risk; `risks` counts them, which takes longer."""
        kind = type(node)
        if kind in _SIMPLE:
            return False
        if isinstance(node, ast.Call) and not _is_sure(node):
            return True
        if isinstance(node, ast.Ref) and _root(node) == "data" and not self.is_base(node):
            return True
        return kind in _OPAQUE or any(map(self._fails, _parts(node)))

    def needs(self, expr: ast.Expr) -> Iterator[ast.Ref]:
        """References to documents that an expression only holds for when they are defined."""
        for each in expr.withs:
            yield from self.refs(each.value)
        if expr.withs:
            return
        if expr.negated:
            yield from self.needs_of_negated(expr.kind)
        elif not _compares_refs(expr.kind):
            yield from self.refs(
                expr.kind.domain if isinstance(expr.kind, ast.Every) else expr.kind
            )

    def needs_of_negated(self, kind: ast.ExprKind) -> Iterator[ast.Ref]:
        """References that are evaluated before the negation: what calls, closures and other references are given."""
        match kind:
            case ast.Unify(lhs, rhs) | ast.Call(ast.Ref((ast.Var("equal"),)), (lhs, rhs)):
                sides: tuple[ast.Term, ...] = (lhs, rhs)
            case ast.Ref():
                sides = (kind,)
            case ast.Call():
                yield from self.refs(kind)
                return
            case _:
                return
        for side in sides:
            for part in side.terms[1:] if isinstance(side, ast.Ref) else (side,):
                yield from self.refs(part)

    def refs(self, node: object) -> Iterator[ast.Ref]:
        if type(node) in _SIMPLE:
            return
        if isinstance(node, ast.Ref) and _root(node) in {"input", "data"}:
            if len(node.terms) > 1 and all(key_of(t) is not None for t in node.terms[1:]):
                if self.is_base(node):
                    yield node
                return
        elif type(node) in _OPAQUE:
            return
        for part in _parts(node):
            yield from self.refs(part)

    def operands(self, node: object) -> Iterator[ast.Ref]:
        """References that the first call of a node is given."""
        if isinstance(node, ast.Unify):
            calls = [side for side in (node.lhs, node.rhs) if isinstance(side, ast.Call)]
            node = calls[0] if calls else None
        if isinstance(node, ast.Call) and not any(map(self.risks, node.args)):
            yield from self.refs(node)

    def checks(
        self, loc: ast.Location, refs: Iterator[ast.Ref], seen: set[ast.Ref]
    ) -> list[Placed]:
        """Expressions that hold when the refs that were not seen before are defined."""
        made: list[Placed] = []
        for ref in refs:
            if ref not in seen:
                seen.add(ref)
                var = ast.Var(f"$defined{self.made}")
                self.made += 1
                made.append((None, ast.Expr(ast.Unify(var, ref), loc=loc)))
        return made

    def is_guard(self, expr: ast.Expr, known: set[str]) -> bool:
        """Whether an expression compares documents, constants and variables that have values, or names one of these. (Of
        a document alone the index asks whether it is there, not whether it is true: see `needs`.)"""
        if expr.negated or expr.withs or _compares_refs(expr.kind):
            return False
        match expr.kind:
            case ast.Unify(lhs, rhs):
                pair = (lhs, rhs)
            case ast.Call(ast.Ref((ast.Var("equal"),)), (lhs, rhs)):
                return self._is_known(lhs, known) and self._is_known(rhs, known)
            case ast.Call(
                ast.Ref((ast.Var("internal"), ast.String("member_2"))), (member, collection)
            ):
                return self._is_known(member, known) and is_constant(constant(collection))
            case _:
                return False
        if all(self._is_known(side, known) for side in pair):
            return True
        return any(
            self._is_pattern(pattern) and self._is_known(side, known)
            for pattern, side in (pair, pair[::-1])
        )

    def prefix_of(self, expr: ast.Expr) -> ast.Ref | None:
        """The reference that `startswith(input.x, "a")` or `endswith` looks at: the index passes over what is no string."""
        match expr.kind:
            case ast.Call(ast.Ref((ast.Var("startswith" | "endswith"),)), (ast.Ref() as text, end)):
                plain = not expr.negated and not expr.withs and isinstance(end, ast.String)
                plain = plain and not self.is_mocked("is_string")
                return text if plain and self._is_known(text, set()) else None
            case _:
                return None

    def kind_of_closure(self, expr: ast.Expr) -> list[Placed]:
        """What is asked before a closure is compared with a reference: OPA makes it only for a value of its kind."""
        if expr.negated or expr.withs:
            return []
        match expr.kind:
            case ast.Unify(lhs, rhs) | ast.Call(ast.Ref((ast.Var("equal"),)), (lhs, rhs)):
                for closure, ref in ((lhs, rhs), (rhs, lhs)):
                    kind = _KINDS.get(type(closure))
                    if kind is None or self.is_mocked(f"is_{kind}"):
                        continue
                    if isinstance(ref, ast.Ref) and self._is_known(ref, set()):
                        return [(None, _is(kind, ref))]
        return []

    def _is_pattern(self, term: ast.Term) -> bool:
        """Whether a term is a variable or an array of variables and constants."""
        items = term.items if isinstance(term, ast.Array) else (term,)
        return all(isinstance(i, ast.Var) or is_constant(constant(i)) for i in items)

    def _is_known(self, term: ast.Term, known: set[str]) -> bool:
        match term:
            case ast.Var(name):
                return name in known
            case ast.Ref():
                return next(self.refs(term), None) == term and self.risks(term) == 0
            case _:
                return is_constant(constant(term))


def _is(kind: str, ref: ast.Ref) -> ast.Expr:
    call = ast.Call(ast.Ref((ast.Var(f"is_{kind}"),), ref.loc), (ref,), ref.loc)
    return ast.Expr(call, loc=ref.loc)


def _compares_refs(kind: ast.ExprKind) -> bool:
    """Whether two references are compared: the index asks for neither."""
    match kind:
        case ast.Unify(lhs, rhs) | ast.Call(ast.Ref((ast.Var("equal"),)), (lhs, rhs)):
            return isinstance(lhs, ast.Ref) and isinstance(rhs, ast.Ref)
        case _:
            return False


def _is_sure(call: ast.Call) -> bool:
    match call.operator.terms:
        case (ast.Var(name),):
            return name in _SURE or name.startswith("is_")
        case (ast.Var("internal"), ast.String("member_2")):
            return True
        case _:
            return False


def _root(ref: ast.Ref) -> str:
    """The name that a reference begins with."""
    head = ref.terms[0]
    return head.name if isinstance(head, ast.Var) else ""


def _parts(node: object) -> tuple[Any, ...]:
    of = _PARTS.get(type(node))
    return () if of is None else of(node)


# By type: a `match` of classes takes several times as long, and this runs for every term of every rule.
_PARTS: Final[Mapping[type, Callable[[Any], tuple[Any, ...]]]] = {
    ast.Unify: lambda node: (node.lhs, node.rhs),
    ast.Ref: lambda node: node.terms[1:] if type(node.terms[0]) is ast.Var else node.terms,
    ast.Call: lambda node: node.args,
    ast.Array: lambda node: node.items,
    ast.Set: lambda node: node.items,
    ast.Object: lambda node: tuple(term for pair in node.pairs for term in pair),
}


def _vars(node: object) -> Iterator[str]:
    """The variables that a node holds outside of closures."""
    if isinstance(node, ast.Var):
        yield node.name
    for part in _parts(node):
        yield from _vars(part)
