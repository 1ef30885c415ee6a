"""The tree of packages and rule groups by path, as refs into `data` walk it.

Where a group with dynamic head refs (`p[x] := ...`) has groups below it (`p.q := ...`), these are absorbed: one node
then stands for the whole document. Must not emit statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from cupcake.engine.rego import ast

Key: TypeAlias = "str | ast.Null | ast.Boolean | ast.Number"
Path: TypeAlias = tuple[Key, ...]


class GroupLike(Protocol):
    """What the planner reads of the front end's RuleGroup."""

    @property
    def rules(self) -> tuple[ast.Rule, ...]: ...
    @property
    def kind(self) -> str: ...
    @property
    def default(self) -> ast.Rule | None: ...


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that make one document or function. `kind`: complete, partial_set, partial_object, function.

    `defaults`: default rules, more than one only when groups were absorbed."""

    path: Path
    kind: str
    rules: tuple[ast.Rule, ...]
    defaults: tuple[ast.Rule, ...] = ()


@dataclass(slots=True)
class Node:
    """A path of `data` under which rules live. `group` is None for packages."""

    path: Path
    children: dict[Key, Node] = field(default_factory=dict)
    group: Group | None = None

    @property
    def is_document(self) -> bool:
        """Whether the node holds a rule that refs can read (a function cannot be read)."""
        return self.group is not None and self.group.kind != "function"

    @property
    def readable(self) -> bool:
        """Whether refs can come here: to a document or a package, not to a mere function."""
        return self.group is None or self.group.kind != "function" or bool(self.children)

    def sorted_children(self) -> list[tuple[Key, Node]]:
        """Children in Rego's order of their keys."""
        return sorted(self.children.items(), key=lambda item: _order(item[0]))


def _order(key: Key) -> tuple[int, str]:
    match key:
        case str():
            return (4, key)
        case ast.Null():
            return (0, "")
        case ast.Boolean():
            return (1 + int(key.value), "")
        case ast.Number():
            return (3, key.text.rjust(40))


def key_of(term: ast.Term) -> Key | None:
    """The tree key that a ground scalar operand names, None for other terms."""
    match term:
        case ast.String():
            return term.value
        case ast.Null() | ast.Boolean() | ast.Number():
            return term
        case _:
            return None


def term_of(key: Key) -> ast.Scalar:
    """The term that names `key`."""
    return ast.String(key) if isinstance(key, str) else key


def build(groups: Mapping[Path, GroupLike], packages: Iterable[Path] = ()) -> Node:
    """The tree of all rule groups; `packages` adds those that have no rules, which are empty documents."""
    root = Node(())
    for path in packages:
        node = root
        for key in path:
            node = node.children.setdefault(key, Node((*node.path, key)))
    for path, group in groups.items():
        node = root
        for key in path:
            node = node.children.setdefault(key, Node((*node.path, key)))
        defaults = () if group.default is None else (group.default,)
        node.group = Group(node.path, group.kind, tuple(group.rules), defaults)
    _absorb(root)
    return root


def _absorb(node: Node) -> None:
    if node.group is not None and node.group.kind != "function" and node.children:
        below = [found for found in _groups(node.children.values()) if found.kind != "function"]
        if below:
            rules = node.group.rules + tuple(rule for found in below for rule in found.rules)
            defaults = node.group.defaults + tuple(r for found in below for r in found.defaults)
            node.group = Group(node.path, "partial_object", rules, defaults)
            for child in node.children.values():
                _strip(child)
        return
    for child in node.children.values():
        _absorb(child)


def _strip(node: Node) -> None:
    if node.group is not None and node.group.kind != "function":
        node.group = None
    for child in node.children.values():
        _strip(child)


def _groups(nodes: Iterable[Node]) -> Iterator[Group]:
    for node in nodes:
        if node.group is not None:
            yield node.group
        yield from _groups(node.children.values())
