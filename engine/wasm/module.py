"""The module model that encode, decode and link share. Data only.

It covers what the ABI needs: one memory, one table, functions, globals, active data and element segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ExternKind: TypeAlias = Literal["func", "table", "memory", "global"]


@dataclass(frozen=True, slots=True)
class FuncType:
    """Value types as their binary codes (`opcodes.I32` ...)."""

    params: tuple[int, ...]
    results: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """Pages for a memory, entries for a table; `maximum` None = none."""

    minimum: int
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class GlobalType:
    value: int
    mutable: bool


@dataclass(frozen=True, slots=True)
class TableType:
    element: int
    limits: Limits


Descriptor: TypeAlias = "int | TableType | Limits | GlobalType"


@dataclass(frozen=True, slots=True)
class Import:
    """`descriptor`: a type index (func), TableType, Limits (memory) or GlobalType."""

    module: str
    name: str
    kind: ExternKind
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class Export:
    name: str
    kind: ExternKind
    index: int


@dataclass(frozen=True, slots=True)
class Global:
    """`init` is the constant of an i32.const/i64.const initialiser."""

    type: GlobalType
    init: int


@dataclass(frozen=True, slots=True)
class Code:
    """One function's code entry: everything behind its size field (locals vector, instructions, end)."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class DataSegment:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ElementSegment:
    offset: int
    funcs: tuple[int, ...]
    table: int = 0


@dataclass(frozen=True, slots=True)
class CustomSection:
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Module:
    types: tuple[FuncType, ...] = ()
    imports: tuple[Import, ...] = ()
    codes: tuple[Code, ...] = ()
    tables: tuple[TableType, ...] = ()
    memories: tuple[Limits, ...] = ()
    globals: tuple[Global, ...] = ()
    exports: tuple[Export, ...] = ()
    start: int | None = None
    elements: tuple[ElementSegment, ...] = ()
    data: tuple[DataSegment, ...] = ()
    customs: tuple[CustomSection, ...] = ()

    @property
    def imported_funcs(self) -> int:
        """How many indices of the function space the imports take."""
        return sum(1 for i in self.imports if i.kind == "func")
