"""What a query depends on: the rules that it may ask for, and the documents that no rule makes. Pure, over the checked form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions
from cupcake.engine.rego.graph import RuleTree

# What a document is called: `input` or `data`, and the keys that are known.
Name = tuple[str, *tuple[ast.Term, ...]]
_GROUND = (ast.String, ast.Number, ast.Boolean, ast.Null)


@dataclass(frozen=True, slots=True)
class Needs:
    """`base`: refs to documents, as far as they are constant; `virtual`: the paths of rules below `data`. Both sorted."""

    base: tuple[ast.Ref | ast.Var, ...]
    virtual: tuple[Path, ...]


def dependencies_of(checked: Checked, body: ast.Body) -> Needs:
    """What a query's checked body may ask for, directly or by way of rules. Of one body or rule a document counts that is not
    inside of another one."""
    tree = RuleTree.of(checked.rules)
    base: set[Name] = set()
    reached: set[Path] = set()
    left: list[Path] = []

    def take(node: object) -> None:
        found: set[Name] = set()
        for name, ref in _documents(node):
            paths: set[Path] = set()
            if name[0] == "data":
                tree.reach(ref, 0, paths, [])
            if not paths:
                found.add(name)
            left.extend(paths - reached)
            reached.update(paths)
        base.update(n for n in found if not any(n[:size] in found for size in range(1, len(n))))

    take(body)
    while left:
        take(_rules_of(checked.rules[left.pop()]))
    return Needs(
        tuple(_term(name) for name in sorted(base, key=_order)),
        tuple(sorted(reached, key=lambda path: [_key(_as_term(part)) for part in path])),
    )


def _rules_of(group: RuleGroup) -> tuple[ast.Rule, ...]:
    return tuple(definitions(group))


def _documents(node: Any) -> Iterator[tuple[Name, tuple[ast.Term, ...]]]:
    """The refs to `input` and `data` in a node: what is constant of each, and all its operands."""
    if isinstance(node, tuple):
        for item in node:
            yield from _documents(item)
        return
    if not is_dataclass(node) or isinstance(node, (ast.Location, ast.Annotations)):
        return
    if isinstance(node, ast.Var):
        if node.name in ("input", "data"):
            yield (node.name,), ()
        return
    terms: Iterable[Any] = ()
    if isinstance(node, ast.Ref):
        head, *operands = node.terms
        if isinstance(head, ast.Var) and head.name in ("input", "data"):
            size = 0
            while size < len(operands) and isinstance(operands[size], _GROUND):
                size += 1
            yield (head.name, *operands[:size]), tuple(operands)
            terms = operands
        else:
            terms = node.terms
    elif isinstance(node, ast.Rule):
        # The name of a rule is no ref to it.
        head_ = node.head
        terms = (
            *head_.ref.terms[1:],
            head_.args or (),
            head_.key,
            head_.value,
            node.body,
            node.else_,
        )
    else:
        terms = (getattr(node, field.name) for field in fields(node) if field.name != "loc")
    for term in terms:
        yield from _documents(term)


def _term(name: Name) -> ast.Ref | ast.Var:
    head = ast.Var(name[0])
    return ast.Ref((head, *name[1:])) if len(name) > 1 else head


def _as_term(part: object) -> ast.Term:
    return ast.String(part) if isinstance(part, str) else part  # type: ignore[return-value]


def _order(name: Name) -> tuple[Any, ...]:
    return (name[0], *(_key(term) for term in name[1:]))


def _key(term: ast.Term) -> tuple[int, Any]:
    """Rego's order of scalars: null, booleans, numbers, strings."""
    match term:
        case ast.Null():
            return 0, 0
        case ast.Boolean(value):
            return 1, value
        case ast.Number(text):
            return 2, float(text)
        case ast.String(value):
            return 3, value
    return 4, repr(term)
