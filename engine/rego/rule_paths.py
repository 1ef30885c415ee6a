"""What the paths of all rules say of each other: which lie above others, and what stands behind each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cupcake.engine.rego.checked import Path, RuleGroup


@dataclass(frozen=True, slots=True)
class RulePaths:
    """`above`: beginnings of paths; `names_only`: those that go on with texts only; `below`: what stands behind a
    beginning, in the order of the rules; `functions`: paths of functions by their names."""

    above: frozenset[Path]
    names_only: frozenset[Path]
    below: Mapping[Path, tuple[object, ...]]
    functions: Mapping[str, Path]

    @classmethod
    def of(cls, groups: Mapping[Path, RuleGroup]) -> RulePaths:
        below: dict[Path, dict[object, None]] = {}
        mixed: set[Path] = set()
        for path in groups:
            for size, name in enumerate(path):
                below.setdefault(path[:size], {})[name] = None
                if not isinstance(name, str):
                    mixed.add(path[:size])
        above = frozenset(path for path in below if path)
        functions = {
            "data." + ".".join(str(p) for p in path): path
            for path, group in groups.items()
            if group.kind == "function"
        }
        return cls(above, above - mixed, {p: tuple(names) for p, names in below.items()}, functions)
