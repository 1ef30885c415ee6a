"""The stock aggregation: all values under a verb anywhere below a data prefix, found without visiting every policy.

Cupcake's `system/evaluate.rego` collects decisions by

    sets := [value | walk(data.prefix, [path, value]); path[count(path) - 1] == verb]
    ... some set in sets; some decision in set ...

which builds and visits every document below the prefix. `find` recognises that shape by its syntax tree, and only
where `sets` is used for nothing but such a nested iteration: then elements that hold nothing to iterate over
cannot be observed and rules that cannot match the event need not run. `collector.py` plans the same values in the
same order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass

from cupcake.engine.plan.rule_tree import Path, key_of
from cupcake.engine.rego import ast


@dataclass(frozen=True, slots=True)
class Collection:
    """A recognised comprehension: `var` gets all values below `prefix` whose last key is `verb`."""

    var: ast.Var
    prefix: Path
    verb: ast.Term


def find(rule: ast.Rule) -> dict[int, Collection]:
    """Collections among the expressions of a rule's body, by position."""
    found: dict[int, Collection] = {}
    for position, expr in enumerate(rule.body):
        if isinstance(expr.kind, ast.Unify) and not expr.negated and not expr.withs:
            for var, term in ((expr.kind.lhs, expr.kind.rhs), (expr.kind.rhs, expr.kind.lhs)):
                if isinstance(var, ast.Var) and isinstance(term, ast.ArrayComprehension):
                    collection = _collection(var, term)
                    if collection is not None and _only_flattened(rule, var.name):
                        found[position] = collection
    return found


def _collection(var: ast.Var, term: ast.ArrayComprehension) -> Collection | None:
    if len(term.body) != 2 or any(expr.negated or expr.withs for expr in term.body):
        return None
    match term.body[0].kind:
        case ast.Call(
            operator=ast.Ref(terms=(ast.Var(name="walk"),)),
            args=(ast.Ref() as root, ast.Array(items=(ast.Var() as path, ast.Var() as value))),
        ) if value == term.term and path != value:
            pass
        case _:
            return None
    match term.body[1].kind:
        case ast.Call(operator=ast.Ref(terms=(ast.Var(name="equal"),)), args=(lhs, rhs)):
            pass
        case ast.Unify(lhs=lhs, rhs=rhs):
            pass
        case _:
            return None
    keys = [key_of(operand) for operand in root.terms[1:]]
    if root.terms[0] != ast.Var("data") or not all(isinstance(key, str) for key in keys):
        return None
    for last, verb in ((lhs, rhs), (rhs, lhs)):
        if (
            _is_last(last, path)
            and isinstance(verb, ast.Var | ast.String)
            and verb not in (path, value)
        ):
            return Collection(var, tuple(key for key in keys if key is not None), verb)
    return None


def _is_last(term: ast.Term, path: ast.Var) -> bool:
    """Whether `term` is `path[count(path) - 1]`."""
    count = ast.Call(ast.Ref((ast.Var("count"),)), (path,))
    index = ast.Call(ast.Ref((ast.Var("minus"),)), (count, ast.Number("1")))
    return term == ast.Ref((path, index))


def _only_flattened(rule: ast.Rule, name: str) -> bool:
    """Whether the variable is only iterated over, and its elements only iterated over in turn."""
    uses: Counter[str] = Counter()
    iterated: dict[str, list[str]] = {}
    for node in _nodes(rule):
        if isinstance(node, ast.Var):
            uses[node.name] += 1
        elif isinstance(node, ast.Unify):
            match node:
                case ast.Unify(
                    lhs=ast.Var() as element, rhs=ast.Ref(terms=(ast.Var() as xs, ast.Var()))
                ):
                    iterated.setdefault(xs.name, []).append(element.name)
    keys = {
        node.terms[1].name
        for node in _nodes(rule)
        if isinstance(node, ast.Ref)
        and len(node.terms) == 2
        and isinstance(node.terms[0], ast.Var)
        and isinstance(node.terms[1], ast.Var)
        and (node.terms[0].name == name or node.terms[0].name in iterated.get(name, ()))
    }
    elements = iterated.get(name, [])
    return (
        uses[name] == 1 + len(elements)
        and len(elements) >= 1
        and all(uses[key] == 1 for key in keys)
        and all(
            len(iterated.get(element, ())) >= 1 and uses[element] == 1 + len(iterated[element])
            for element in elements
        )
    )


def _nodes(node: object) -> Iterator[object]:
    """All syntax nodes below `node`, itself included."""
    if isinstance(node, tuple):
        for item in node:
            yield from _nodes(item)
    elif is_dataclass(node) and not isinstance(node, ast.Location | ast.Annotations):
        yield node
        for each in fields(node):
            yield from _nodes(getattr(node, each.name))
