"""Which string values of which parts of `input` a rule can only hold for.

A guard is a necessary condition: a rule whose guard is not met certainly yields nothing. What is not understood gives
no guard. This file only reads the checked AST.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from cupcake.engine.plan import ir
from cupcake.engine.plan.constants import collection_items, constant
from cupcake.engine.plan.reuse import Answers
from cupcake.engine.plan.rule_tree import Group, Node, key_of
from cupcake.engine.rego import ast

InputPath: TypeAlias = tuple[str, ...]
Guards: TypeAlias = Mapping[InputPath, frozenset[str]]

_NONE: Guards = {}
_MAX_DEPTH = 4


class GuardReader:
    """Reads guards of rules and groups; `root` resolves constants and helper rules that bodies name."""

    def __init__(self, root: Node, known: Answers[Guards]) -> None:
        self._root = root
        self._groups = known

    def group(self, group: Group) -> Guards:
        """Guards of a whole group: what all of its rules need. None when there are defaults."""
        if group.defaults or not group.rules:
            return _NONE
        known = self._groups.get(group.path)
        if known is None:
            known = _either([self.rule(rule) for rule in group.rules])
            self._groups.put(group.path, known)
        return known

    def rule(self, rule: ast.Rule, depth: int = 0) -> Guards:
        """Guards of a rule: what each link of its else chain needs."""
        links = [rule]
        while links[-1].else_ is not None:
            links.append(links[-1].else_)
        return _either([self._body(link.body, depth) for link in links])

    def _body(self, body: ast.Body, depth: int) -> Guards:
        plain = [expr.kind for expr in body if not expr.negated and not expr.withs]
        aliases: dict[str, ast.Term] = {}
        for kind in plain:
            if isinstance(kind, ast.Unify):
                for var, term in ((kind.lhs, kind.rhs), (kind.rhs, kind.lhs)):
                    if isinstance(var, ast.Var) and isinstance(term, ast.Ref | ast.String):
                        aliases.setdefault(var.name, term)
        found: dict[InputPath, frozenset[str]] = {}
        for kind in plain:
            for path, values in self._expr(kind, aliases, depth).items():
                found[path] = found[path] & values if path in found else values
        return found

    def _expr(self, kind: ast.ExprKind, aliases: Mapping[str, ast.Term], depth: int) -> Guards:
        match kind:
            case ast.Unify():
                return self._equality(kind.lhs, kind.rhs, aliases)
            case ast.Call(operator=ast.Ref(terms=(ast.Var(name="equal"),)), args=(lhs, rhs)):
                return self._equality(lhs, rhs, aliases)
            case ast.Call(
                operator=ast.Ref(terms=(ast.Var(name="internal"), ast.String(value="member_2"))),
                args=(member, collection),
            ):
                path = _input_path(_resolve(member, aliases))
                values = self._strings(_resolve(collection, aliases))
                return {path: values} if path is not None and values is not None else _NONE
            case ast.Ref():
                group = self._named(kind)
                if group is None or group.kind != "complete" or depth >= _MAX_DEPTH:
                    return _NONE
                if any(constant(_value(rule)) is not False for rule in group.defaults):
                    return _NONE
                return _either([self.rule(rule, depth + 1) for rule in group.rules])
        return _NONE

    def _equality(self, lhs: ast.Term, rhs: ast.Term, aliases: Mapping[str, ast.Term]) -> Guards:
        lhs, rhs = _resolve(lhs, aliases), _resolve(rhs, aliases)
        for one, other in ((lhs, rhs), (rhs, lhs)):
            path = _input_path(one)
            if path is not None:
                value = other.value if isinstance(other, ast.String) else self._constant(other)
                if isinstance(value, str):
                    return {path: frozenset((value,))}
        return _NONE

    def _strings(self, term: ast.Term) -> frozenset[str] | None:
        value = constant(term)
        if not isinstance(value, ir.ConstArray | ir.ConstSet | ir.ConstObject):
            value = self._constant(term)
        if not isinstance(value, ir.ConstArray | ir.ConstSet | ir.ConstObject):
            return None
        items = collection_items(value) or ()
        strings = [item for item in items if isinstance(item, str)]
        return frozenset(strings) if len(strings) == len(items) else None

    def _constant(self, term: ast.Term) -> ir.Const:
        """The value of a rule that is one constant; None (which no caller takes for a value) otherwise."""
        group = self._named(term)
        if group is None or group.kind != "complete" or group.defaults or len(group.rules) != 1:
            return None
        rule = group.rules[0]
        if rule.else_ is not None:
            return None
        value = constant(_value(rule))
        return (
            value if isinstance(value, str | ir.ConstArray | ir.ConstSet | ir.ConstObject) else None
        )

    def _named(self, term: ast.Term) -> Group | None:
        if not isinstance(term, ast.Ref) or term.terms[0] != ast.Var("data"):
            return None
        node = self._root
        for operand in term.terms[1:]:
            if node.is_document:
                return None
            key = key_of(operand)
            child = None if key is None else node.children.get(key)
            if child is None:
                return None
            node = child
        return node.group


def _value(rule: ast.Rule) -> ast.Term:
    return ast.Boolean(True) if rule.head.value is None else rule.head.value


def _resolve(term: ast.Term, aliases: Mapping[str, ast.Term]) -> ast.Term:
    for _ in range(_MAX_DEPTH):
        if not isinstance(term, ast.Var) or term.name not in aliases:
            break
        term = aliases[term.name]
    return term


def _input_path(term: ast.Term) -> InputPath | None:
    if not isinstance(term, ast.Ref) or term.terms[0] != ast.Var("input"):
        return None
    keys = [operand.value for operand in term.terms[1:] if isinstance(operand, ast.String)]
    return tuple(keys) if len(keys) == len(term.terms) - 1 else None


def _either(alternatives: Sequence[Guards]) -> Guards:
    """What is needed when any one of `alternatives` may hold."""
    if not alternatives:
        return _NONE
    if len(alternatives) == 1:
        return alternatives[0]
    common = set(alternatives[0])
    for each in alternatives[1:]:
        common &= set(each)
    return {
        path: frozenset().union(*(each[path] for each in alternatives)) for path in sorted(common)
    }
