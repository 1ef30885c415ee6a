"""What a compile leaves for the next one: checked modules, types, and fingerprints that say which rules are the same.

A fingerprint is a number for a rule group with all that it depends on, directly or not: while it is equal, whatever was made
of the group (its type, its plan) holds. Numbers are never given twice, so that a group that is gone cannot be mistaken
for another. Nothing here decides anything; a compile without it gives the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cupcake.engine.builtins import types as ty
from cupcake.engine.errors import Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions
from cupcake.engine.rego.graph import DataRefs, Dependencies, data_refs


class NoticedFunctions(dict[str, int]):
    """Arities of the policy's functions by name, and which of them were asked for since `start`."""

    __slots__ = ("_noticed",)

    def start(self) -> dict[str, int | None]:
        """From now on what is asked for is noted in the returned table."""
        self._noticed: dict[str, int | None] = {}
        return self._noticed

    def get(self, name: str, default: int | None = None) -> int | None:  # type: ignore[override]
        found = super().get(name, default)
        self._noticed[name] = found
        return found

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, str)
        return self.get(name) is not None

    def agrees(self, noticed: Mapping[str, int | None]) -> bool:
        """Whether the same questions get the same answers."""
        find = super().get
        return all(find(name) == arity for name, arity in noticed.items())


@dataclass(frozen=True, slots=True)
class ModuleResult:
    """What `check` made of one module, with all that it depended on; reusable while that is equal.

    `refs`: for each rule, what it refers to in `data`. The rules are numbered from `serial` on."""

    module: ast.Module
    context: tuple[object, ...]
    functions: Mapping[str, int | None]
    checked: ast.Module
    written: tuple[Mapping[str, str], ...]
    found: tuple[Diagnostic, ...]
    refs: tuple[DataRefs, ...]
    serial: int


@dataclass(slots=True)
class ModuleCache:
    """Give it to every `check` of the same policy in turn.

    `modules`: results by `id` of the parsed module (which the result holds, so that an id cannot be taken over)."""

    modules: dict[int, ModuleResult] = field(default_factory=dict)
    _types: dict[Path, tuple[int, ty.Type]] = field(default_factory=dict)
    _numbers: dict[tuple[object, ...], int] = field(default_factory=dict)
    _serial: int = 0
    _number: int = 0

    def __len__(self) -> int:
        return len(self.modules)

    def result(
        self,
        module: ast.Module,
        *,
        context: tuple[object, ...],
        functions: Mapping[str, int | None],
        checked: ast.Module,
        written: Sequence[Mapping[str, str]],
        found: tuple[Diagnostic, ...],
    ) -> ModuleResult:
        """A new result, its rules numbered."""
        serial = self._serial
        self._serial += len(checked.rules)
        refs = tuple([data_refs(rule) for rule in checked.rules])
        return ModuleResult(
            module, context, functions, checked, tuple(written), found, refs, serial
        )

    def fingerprints(
        self,
        groups: Mapping[Path, RuleGroup],
        dependencies: Dependencies,
        options: tuple[object, ...],
    ) -> dict[Path, int]:
        """A number for each group. `options` are what else the result of a compile depends on."""
        serials: dict[int, int] = {}
        for result in self.modules.values():
            for serial, rule in enumerate(result.checked.rules, result.serial):
                serials[id(rule)] = serial
        kept: dict[tuple[object, ...], int] = {}
        found: dict[Path, int] = {}
        edges, ways = dependencies.edges, dependencies.ways
        for path in dependencies.order:
            group = groups[path]
            key = (
                path,
                group.kind,
                tuple([serials[id(rule)] for rule in definitions(group)]),
                tuple(sorted([found[below] for below in edges[path]])),
                tuple(ways[path]),
                options,
            )
            number = self._numbers.get(key)
            if number is None:
                number = self._number
                self._number += 1
            kept[key] = found[path] = number
        self._numbers = kept
        return found

    def known_types(self, fingerprints: Mapping[Path, int]) -> dict[Path, ty.Type]:
        """Types of groups that were checked before, without an error, and are still the same."""
        return {
            path: kind
            for path, (number, kind) in self._types.items()
            if fingerprints.get(path) == number
        }

    def keep_types(self, fingerprints: Mapping[Path, int], types: Mapping[Path, ty.Type]) -> None:
        """The types of a program without errors."""
        self._types = {path: (number, types[path]) for path, number in fingerprints.items()}
