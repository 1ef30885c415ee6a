"""Which rules depend on a document or function that `with` replaces, directly or through other rules.

Computed when a `with` asks for it, once for each target. It reads checked rules and decides nothing.
"""

from __future__ import annotations

import functools
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
        self._inputs: dict[Path, DataRefs] = {}
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
            if not self._inputs:
                for group in self._groups.values():
                    read = [terms for rule in definitions(group) for terms in _input_refs(rule)]
                    self._inputs[group.path] = read
            all_refs = self._inputs
        else:
            self._load()
            all_refs = self._refs
        return {
            group
            for group, refs in all_refs.items()
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


def _input_refs(rule: ast.Rule) -> DataRefs:
    """What a rule reads of the input, as paths of terms; the empty one is all of it."""
    found: DataRefs = []
    stack: list[object] = [rule]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(node)
        elif isinstance(node, ast.Ref) and node.terms[0] == ast.Var("input"):
            found.append(node.terms[1:])
            stack.extend(node.terms[1:])
        elif node == ast.Var("input"):
            found.append(())
        else:
            stack.extend(getattr(node, name) for name in _parts(type(node)))
    return found


@functools.cache
def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a class of nodes."""
    if not is_dataclass(kind) or issubclass(kind, (ast.Location, ast.Annotations)):
        return ()
    return tuple(field.name for field in fields(kind))
