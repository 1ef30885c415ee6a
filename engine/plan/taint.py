"""Whether a rule's value can hold a given string as an object key anywhere inside.

Answers err on the side of "yes". This file only reads the checked AST.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from cupcake.engine.plan import ir
from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.reuse import Answers
from cupcake.engine.plan.rule_tree import Group, Node, Path, key_of
from cupcake.engine.rego import ast


class Taint(IntEnum):
    """Whether a value can hold the key inside: never, only if input does, or who knows."""

    NO = 0
    INPUT = 1
    YES = 2


# Builtins whose results are scalars, or collections of scalars without string keys.
_KEYLESS: Final = frozenset(
    [
        "abs",
        "base64.decode",
        "base64.encode",
        "base64url.decode",
        "base64url.encode",
        "bits.and",
        "bits.or",
        "ceil",
        "concat",
        "contains",
        "count",
        "crypto.md5",
        "crypto.sha1",
        "crypto.sha256",
        "div",
        "endswith",
        "equal",
        "floor",
        "format_int",
        "glob.match",
        "gt",
        "gte",
        "hex.decode",
        "hex.encode",
        "indexof",
        "indexof_n",
        "internal.member_2",
        "internal.member_3",
        "internal.template_string",
        "is_array",
        "is_boolean",
        "is_null",
        "is_number",
        "is_object",
        "is_set",
        "is_string",
        "json.is_valid",
        "json.marshal",
        "lower",
        "lt",
        "lte",
        "mul",
        "neq",
        "numbers.range",
        "plus",
        "regex.find_all_string_submatch_n",
        "regex.find_n",
        "regex.is_valid",
        "regex.match",
        "regex.replace",
        "regex.split",
        "rem",
        "replace",
        "round",
        "semver.compare",
        "semver.is_valid",
        "split",
        "sprintf",
        "startswith",
        "strings.any_prefix_match",
        "strings.any_suffix_match",
        "strings.count",
        "strings.replace_n",
        "strings.reverse",
        "substring",
        "time.now_ns",
        "to_number",
        "trim",
        "trim_left",
        "trim_prefix",
        "trim_right",
        "trim_space",
        "trim_suffix",
        "type_name",
        "upper",
        "urlquery.decode",
        "urlquery.encode",
    ]
)
_MAX_DEPTH = 8


class TaintReader:
    """Answers for one key, remembering what it found for each group."""

    def __init__(
        self, root: Node, key: str, definitions: Definitions, known: Answers[Taint]
    ) -> None:
        self._root = root
        self.definitions = definitions
        self.key = key
        self._known = known
        self._groups: dict[tuple[Path, int], Taint] = {}

    def group(self, group: Group, depth: int = 0) -> Taint:
        """Whether the document (or the results of the function) can hold the key inside."""
        # By depth too: an answer that was cut short there must not stand for one that is not.
        known = self._groups.get((group.path, depth)) if depth else self._known.get(group.path)
        if known is None:
            worst = Taint.NO
            for rule in (*group.rules, *group.defaults):
                link: ast.Rule | None = rule
                while link is not None and worst is not Taint.YES:
                    worst = max(worst, self._rule(link, len(group.path) + 1, depth))
                    link = link.else_
            known = worst
            if depth:
                self._groups[group.path, depth] = worst
            else:
                self._known.put(group.path, worst)
        return known

    def _rule(self, rule: ast.Rule, prefix: int, depth: int) -> Taint:
        values = _Values(self, rule.body, depth)
        worst = Taint.NO
        for operand in rule.head.ref.terms[prefix:]:
            worst = max(worst, values.key(operand))
        for term in (rule.head.key, rule.head.value):
            if term is not None:
                worst = max(worst, values.term(term))
        return worst

    def named(self, ref: ast.Ref, depth: int) -> Taint:
        """Taint of what a ref into `data` finds, YES when it is not one rule's document."""
        node = self._root
        for operand in ref.terms[1:]:
            if node.is_document:
                break
            key = key_of(operand)
            child = None if key is None else node.children.get(key)
            if child is None:
                return Taint.YES
            node = child
        if node.group is None or depth >= _MAX_DEPTH:
            return Taint.YES
        return self.group(node.group, depth + 1)


class Definitions:
    """What the variables of rules are unified with; shared by readers for different keys."""

    def __init__(self) -> None:
        self._bodies: dict[int, tuple[ast.Body, dict[str, list[ast.Term]]]] = {}

    def of(self, body: ast.Body) -> dict[str, list[ast.Term]]:
        """Terms that each variable of `body`, inner scopes included, equals in every solution of its scope."""
        known = self._bodies.get(id(body))
        if known is None:
            # the body is kept with its answer so that its id stays its own
            known = self._bodies[id(body)] = (body, {})
            _define(body, frozenset(), known[1])
        return known[1]


def _define(body: ast.Body, outer: frozenset[str], found: dict[str, list[ast.Term]]) -> None:
    """Notes the unifications of one scope. An inner scope that unifies an outer variable may have no solution,
    so says nothing about it."""
    kinds = [expr.kind for expr in body if not expr.negated and not expr.withs]
    for kind in kinds:
        if isinstance(kind, ast.Unify):
            _note(kind.lhs, kind.rhs, outer, found)
            _note(kind.rhs, kind.lhs, outer, found)
    inner: list[ast.Body] = []
    names: set[str] = set(outer)
    for kind in kinds:
        if isinstance(kind, ast.Unify):
            _scan(kind.lhs, names, inner)
            _scan(kind.rhs, names, inner)
        elif not isinstance(
            kind,
            ast.Every | ast.Assign | ast.SomeDecl | ast.SomeIn | ast.Not | ast.Logical | ast.Block,
        ):
            _scan(kind, names, inner)
    for each in inner:
        _define(each, frozenset(names), found)


def _note(
    pattern: ast.Term, term: ast.Term, outer: frozenset[str], found: dict[str, list[ast.Term]]
) -> None:
    match pattern:
        case ast.Var():
            if pattern.name not in outer:
                found.setdefault(pattern.name, []).append(term)
        case ast.Array():
            for item in pattern.items:
                _note(item, term, outer, found)
        case ast.Object():
            for _, value in pattern.pairs:
                _note(value, term, outer, found)
        case _:
            pass


def _scan(term: ast.Term, names: set[str], inner: list[ast.Body]) -> None:
    """Adds the variables of one scope to `names`, bodies of comprehensions to `inner`."""
    match term:
        case ast.Var():
            names.add(term.name)
        case ast.Ref():
            for part in term.terms:
                _scan(part, names, inner)
        case ast.Call():
            for part in term.args:
                _scan(part, names, inner)
        case ast.Array() | ast.Set():
            for part in term.items:
                _scan(part, names, inner)
        case ast.Object():
            for key, value in term.pairs:
                _scan(key, names, inner)
                _scan(value, names, inner)
        case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
            inner.append(term.body)
        case _:
            pass


class _Values:
    """Follows values through the unifications of one rule."""

    def __init__(self, reader: TaintReader, body: ast.Body, depth: int) -> None:
        self._reader = reader
        self._depth = depth
        self._body = body
        self._open: set[str] = set()

    def key(self, term: ast.Term) -> Taint:
        """A term used as an object key."""
        value = constant(term)
        if is_constant(value) and not isinstance(
            value, ir.ConstObject | ir.ConstArray | ir.ConstSet
        ):
            return Taint.YES if value == self._reader.key else Taint.NO
        return Taint.YES

    def term(self, term: ast.Term) -> Taint:
        """A term used as a value."""
        value = constant(term)
        if is_constant(value):
            return Taint.YES if _holds(value, self._reader.key) else Taint.NO
        match term:
            case ast.Array() | ast.Set():
                return max((self.term(item) for item in term.items), default=Taint.NO)
            case ast.Object():
                return max(max(self.key(k), self.term(v)) for k, v in term.pairs)
            case ast.Ref():
                head = term.terms[0]
                if head == ast.Var("data"):
                    return self._reader.named(term, self._depth)
                return self.term(head)
            case ast.Var():
                return self._variable(term)
            case ast.Call():
                return self._call(term)
            case ast.TemplateString():
                return Taint.NO
            case ast.ArrayComprehension() | ast.SetComprehension():
                return self.term(term.term)
            case _:
                return Taint.YES

    def _call(self, call: ast.Call) -> Taint:
        if call.operator.terms[0] == ast.Var("data"):
            return self._reader.named(call.operator, self._depth)
        names = [
            part.name if isinstance(part, ast.Var) else getattr(part, "value", "?")
            for part in call.operator.terms
        ]
        return Taint.NO if ".".join(names) in _KEYLESS else Taint.YES

    def _variable(self, var: ast.Var) -> Taint:
        if var.name == "input":
            return Taint.INPUT
        definitions = self._reader.definitions.of(self._body).get(var.name)
        if definitions is None or var.name in self._open:
            return Taint.YES
        self._open.add(var.name)
        # all definitions hold at once, so the most harmless one tells the truth
        least = min(self.term(term) for term in definitions)
        self._open.discard(var.name)
        return least


def _holds(value: ir.Const, key: str) -> bool:
    match value:
        case ir.ConstArray() | ir.ConstSet():
            return any(_holds(item, key) for item in value.items)
        case ir.ConstObject():
            return any(name == key or _holds(item, key) for name, item in value.pairs)
        case _:
            return False
