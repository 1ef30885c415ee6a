"""Which rules a rule depends on, and recursion, which Rego forbids.

Works on checked rules. A ref with variables depends on every rule that it may reach; `with` changes nothing,
because what it replaces is known only while evaluating.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions, path_text, ref_text
from cupcake.engine.rego.resolve import Problems

RECURSION = "rego_recursion_error"

# The operands of every ref to `data` in a rule (calls included); `()` is `data` itself.
DataRefs: TypeAlias = "list[tuple[ast.Term, ...]]"

# So many rules on cycles are reported; finding the way of each takes a search of its own.
_MANY: Final = 100
# So many rules of a cycle are named.
_LONG: Final = 20


class RuleTree:
    """The groups as a tree by path, to find what a ref may reach."""

    __slots__ = ("children", "path")

    def __init__(self) -> None:
        self.path: Path | None = None
        self.children: dict[object, RuleTree] = {}

    @classmethod
    def of(cls, paths: Iterable[Path]) -> RuleTree:
        root = cls()
        for path in paths:
            node = root
            for part in path:
                node = node.children.setdefault(part, cls())
            node.path = path
        return root

    def below(self, out: set[Path]) -> None:
        if self.path is not None:
            out.add(self.path)
        for child in self.children.values():
            child.below(out)

    def reach(
        self, terms: tuple[ast.Term, ...], at: int, out: set[Path], ways: list[object]
    ) -> None:
        """Add the groups that a ref may touch whose terms from `at` on are left; to `ways`, which keys lead on where a variable
        chooses, and where no rule lies on the way."""
        node = self
        while at < len(terms):
            if node.path is not None:
                out.add(node.path)
            if not node.children:
                return
            term = terms[at]
            at += 1
            if isinstance(term, ast.String):
                child = node.children.get(term.value)
            elif isinstance(term, (ast.Null, ast.Boolean, ast.Number)):
                child = node.children.get(term)
            else:
                ways.append(tuple(node.children))
                for child in node.children.values():
                    child.reach(terms, at, out, ways)
                return
            if child is None:
                ways.append(at)
                return
            node = child
        node.below(out)


def data_refs(rule: ast.Rule) -> DataRefs:
    """What a rule with its `else` rules refers to."""
    found: DataRefs = []
    stack: list[ast.Term] = []
    bodies: list[ast.Body] = []
    link: ast.Rule | None = rule
    while link is not None:
        head = link.head
        stack.extend(head.ref.terms[1:])
        stack.extend(t for t in (head.key, head.value) if t is not None)
        stack.extend(head.args or ())
        bodies.append(link.body)
        link = link.else_
    while stack or bodies:
        while bodies:
            for expr in bodies.pop():
                kind = expr.kind
                if isinstance(kind, ast.Unify):
                    stack.append(kind.lhs)
                    stack.append(kind.rhs)
                elif isinstance(kind, ast.Every):
                    stack.append(kind.domain)
                    bodies.append(kind.body)
                elif isinstance(kind, ast.Block):
                    bodies.append(kind.body)
                elif not isinstance(
                    kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)
                ):
                    stack.append(kind)
                for w in expr.withs:
                    stack.append(w.target)
                    stack.append(w.value)
        if stack:
            term = stack.pop()
            if isinstance(term, ast.Ref):
                head_term = term.terms[0]
                if isinstance(head_term, ast.Var):
                    if head_term.name == "data":
                        found.append(term.terms[1:])
                else:
                    stack.append(head_term)
                stack.extend([t for t in term.terms[1:] if type(t) is not ast.String])
            elif isinstance(term, ast.Var):
                if term.name == "data":
                    found.append(())
            elif isinstance(term, ast.Call):
                head_term = term.operator.terms[0]
                if isinstance(head_term, ast.Var) and head_term.name == "data":
                    found.append(term.operator.terms[1:])
                stack.extend(term.args)
            elif isinstance(term, (ast.Array, ast.Set)):
                stack.extend(term.items)
            elif isinstance(term, ast.Object):
                for k, v in term.pairs:
                    stack.append(k)
                    stack.append(v)
            elif isinstance(term, (ast.ArrayComprehension, ast.SetComprehension)):
                stack.append(term.term)
                bodies.append(term.body)
            elif isinstance(term, ast.ObjectComprehension):
                stack.append(term.key)
                stack.append(term.value)
                bodies.append(term.body)
    return found


def dependencies(refs: DataRefs, tree: RuleTree, ways: list[object]) -> set[Path]:
    """The groups that a rule with these refs may read or call."""
    out: set[Path] = set()
    for terms in refs:
        tree.reach(terms, 0, out, ways)
    return out


@dataclass(frozen=True, slots=True)
class Dependencies:
    """`order`: all groups, each after the groups that it depends on, which are in `edges`. `ways`: what the refs of a group met
    on their way, beside other groups (see `RuleTree.reach`)."""

    order: list[Path]
    edges: Mapping[Path, set[Path]]
    ways: Mapping[Path, list[object]]


def check_recursion(
    groups: Mapping[Path, RuleGroup],
    refs: Mapping[int, DataRefs],
    written: Mapping[int, Mapping[str, str]],
    problems: Problems,
) -> Dependencies | None:
    """Report each rule that depends on itself; None if there is one. By `id(rule)`: `refs` gives its data refs, `written`
    the names in it as they were written."""
    tree = RuleTree.of(groups)
    by_rule: list[tuple[Path, ast.Rule, set[Path]]] = []
    edges: dict[Path, set[Path]] = {path: set() for path in groups}
    ways: dict[Path, list[object]] = {path: [] for path in groups}
    for path, group in groups.items():
        for rule in definitions(group):
            found = dependencies(refs[id(rule)], tree, ways[path])
            by_rule.append((path, rule, found))
            edges[path] |= found
    order, cyclic = _order(edges)
    if not cyclic:
        return Dependencies(order, edges, ways)
    reported = 0
    for path, rule, found in by_rule:
        if path not in cyclic or reported >= _MANY:
            continue
        cycle = _shortest(path, found & cyclic, edges)
        if cycle is None:
            continue
        reported += 1 + len(cycle) // 100
        name = ref_text(rule.head.ref, written.get(id(rule)))
        names = [path_text(p) for p in cycle[:-1]]
        if len(names) > _LONG:
            names[_LONG:] = [f"... ({len(names) - _LONG} more)"]
        text = " -> ".join([name, *names, name])
        place = _guilty(rule, cycle[0], tree).loc
        problems.add(RECURSION, f"rule {name} is recursive: {text}", place)
    return None


def _guilty(rule: ast.Rule, path: Path, tree: RuleTree) -> ast.Rule:
    """The first of a rule and its `else` rules that leads to `path`."""
    link: ast.Rule | None = rule
    while link is not None:
        if path in dependencies(data_refs(replace(link, else_=None)), tree, []):
            return link
        link = link.else_
    return rule


def _order(edges: Mapping[Path, set[Path]]) -> tuple[list[Path], set[Path]]:
    """Nodes whose ways all end, each after those that it leads to; and the nodes on cycles."""
    left = {p: len(out) for p, out in edges.items()}
    incoming: dict[Path, list[Path]] = {p: [] for p in edges}
    for p, out in edges.items():
        for q in out:
            incoming[q].append(p)
    order = [p for p, count in left.items() if not count]
    for p in order:
        del left[p]
        for q in incoming[p]:
            left[q] -= 1
            if not left[q]:
                order.append(q)
    # Of the rest, some only lead to a cycle.
    if len(left) > _MANY:
        return order, set(left)
    return order, {p for p in left if _shortest(p, edges[p], edges) is not None}


def _shortest(
    goal: Path, starts: Iterable[Path], edges: Mapping[Path, set[Path]]
) -> list[Path] | None:
    """The shortest way from one of `starts` to `goal`, ends included; None if there is none."""
    came: dict[Path, Path | None] = {}
    queue: list[Path] = []
    for start in sorted(starts, key=str):
        came[start] = None
        queue.append(start)
    for node in queue:
        if node == goal:
            way: list[Path] = []
            step: Path | None = node
            while step is not None:
                way.append(step)
                step = came[step]
            return way[::-1]
        for after in sorted(edges.get(node, ()), key=str):
            if after not in came:
                came[after] = node
                queue.append(after)
    return None
