"""A program to compare: modules, documents, and what is asked of them. Pure: no engine, no OPA."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Final

#: In place of an input: there is none.
MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Module:
    """`package` is its path with dots, without `data`; a rule may hold several lines."""

    package: str
    imports: tuple[str, ...]
    rules: tuple[str, ...]

    def text(self) -> str:
        return "\n".join([f"package {self.package}", *self.imports, *self.rules]) + "\n"


@dataclass(frozen=True, slots=True)
class Program:
    """`paths` are what is asked for, as "a/b"; `strict`: errors of builtins count."""

    modules: tuple[Module, ...]
    data: dict[str, Any]
    input: Any
    paths: tuple[str, ...]
    strict: bool = False
    v0: bool = False

    def texts(self) -> dict[str, str]:
        return {f"m{i}": m.text() for i, m in enumerate(self.modules)}

    @property
    def packages(self) -> frozenset[str]:
        """The packages, as paths."""
        return frozenset(module.package.replace(".", "/") for module in self.modules)

    def show(self) -> str:
        parts = [f"# m{i}\n{m.text()}" for i, m in enumerate(self.modules)]
        given = "none" if self.input is MISSING else json.dumps(self.input, ensure_ascii=False)
        parts += [f"data: {json.dumps(self.data, ensure_ascii=False)}", f"input: {given}"]
        return "\n".join([*parts, f"strict: {self.strict}, v0: {self.v0}"])

    def with_module(self, number: int, module: Module) -> Program:
        """The program with another module in the place of one."""
        before, after = self.modules[:number], self.modules[number + 1 :]
        return replace(self, modules=(*before, module, *after))

    @property
    def has_templates(self) -> bool:
        """Whether it holds template strings, which OPA 1.7 does not know."""
        return any('$"' in rule for module in self.modules for rule in module.rules)
