"""Which rules depend on a document or function that `with` replaces, directly or through other rules.

Computed when a `with` asks for it, once for each target. It reads checked rules and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions
from cupcake.engine.rego.graph import DataRefs, RuleTree, data_refs, dependencies


class Reach:
    """Answers for one set of groups."""

    def __init__(self, groups: Mapping[Path, RuleGroup]) -> None:
        self._groups = groups
        self._known: dict[tuple[str, Path], frozenset[Path]] = {}
        self._refs: dict[Path, DataRefs] = {}
        self._readers: dict[Path, set[Path]] = {}

    def of(self, target: ast.Term) -> frozenset[Path]:
        """The groups that depend on `target`; all of them for a builtin function."""
        terms = target.terms if isinstance(target, ast.Ref) else (target,)
        head = terms[0]
        if head not in (ast.Var("input"), ast.Var("data")):
            return frozenset(self._groups)
        root = "input" if head == ast.Var("input") else "data"
        path: Path = ()
        for term in terms[1:]:
            if not isinstance(term, ast.String):
                break
            path = (*path, term.value)
        key = (root, path)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._closed(self._direct(root, path))
        return found

    def _direct(self, root: str, path: Path) -> set[Path]:
        if root == "input":
            return {
                group.path
                for group in self._groups.values()
                if any(_reads_input(rule, path) for rule in definitions(group))
            }
        self._load()
        return {
            group
            for group, refs in self._refs.items()
            if any(_overlap(terms, path) for terms in refs)
        }

    def _closed(self, found: set[Path]) -> frozenset[Path]:
        self._load()
        queue = list(found)
        for path in queue:
            for reader in self._readers.get(path, ()):
                if reader not in found:
                    found.add(reader)
                    queue.append(reader)
        return frozenset(found)

    def _load(self) -> None:
        if self._refs:
            return
        tree = RuleTree.of(self._groups)
        for path, group in self._groups.items():
            refs = [terms for rule in definitions(group) for terms in data_refs(rule)]
            self._refs[path] = refs
            for below in dependencies(refs, tree, []):
                self._readers.setdefault(below, set()).add(path)


def _overlap(terms: tuple[ast.Term, ...], path: Path) -> bool:
    """Whether a ref may read what is at `path`, above it or below it."""
    for term, part in zip(terms, path, strict=False):
        if isinstance(term, ast.String) and term.value != part:
            return False
    return True


def _reads_input(rule: ast.Rule, path: Path) -> bool:
    """Whether a rule may read what is at `path` of the input."""
    stack: list[object] = [rule]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
            continue
        if node == ast.Var("input"):
            return True
        if isinstance(node, ast.Ref) and node.terms[0] == ast.Var("input"):
            if _overlap(node.terms[1:], path):
                return True
            stack.extend(node.terms[1:])
        elif is_dataclass(node) and not isinstance(node, (ast.Location, ast.Annotations)):
            stack.extend(getattr(node, field.name) for field in fields(node))
    return False
