"""Which rules a `with` replaces, and which depend on these, directly or through other rules.

Computed when a `with` asks for it, once for each target. It reads checked rules and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions
from cupcake.engine.rego.graph import RuleTree, data_refs, dependencies


class Reach:
    """Answers for one set of groups."""

    def __init__(self, groups: Mapping[Path, RuleGroup]) -> None:
        self._groups = groups
        self._known: dict[Path, frozenset[Path]] = {}
        self._readers: dict[Path, set[Path]] | None = None

    def of(self, target: ast.Term) -> frozenset[Path]:
        """The groups that `target` may be, and those that depend on them: as in OPA, none for the input and for builtins."""
        if not isinstance(target, ast.Ref) or target.terms[0] != ast.Var("data"):
            return frozenset()
        path: Path = ()
        for term in target.terms[1:]:
            if not isinstance(term, ast.String):
                break
            path = (*path, term.value)
        found = self._known.get(path)
        if found is None:
            size = len(path)
            replaced = {p for p in self._groups if p[:size] == path[: len(p)]}
            found = self._known[path] = self._closed(replaced)
        return found

    def _closed(self, found: set[Path]) -> frozenset[Path]:
        readers = self._read_by()
        queue = list(found)
        for path in queue:
            for reader in readers.get(path, ()):
                if reader not in found:
                    found.add(reader)
                    queue.append(reader)
        return frozenset(found)

    def _read_by(self) -> dict[Path, set[Path]]:
        """For each group those that refer to it."""
        if self._readers is None:
            self._readers = {}
            tree = RuleTree.of(self._groups)
            for path, group in self._groups.items():
                refs = [terms for rule in definitions(group) for terms in data_refs(rule)]
                for below in dependencies(refs, tree, []):
                    self._readers.setdefault(below, set()).add(path)
        return self._readers
