"""What `with` has changed where code is being planned: replaced parts of `data` and mocked functions.

Each distinct scope is a generation (`g0`, `g1` ...) of planned functions. This file must not emit statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cupcake.engine.plan import ir
from cupcake.engine.plan.rule_tree import Path


@dataclass(frozen=True, slots=True)
class MockCall:
    """Calls go to the function at `path` instead, or to the builtin `name` when `path` is None."""

    name: str
    path: Path | None


@dataclass(frozen=True, slots=True)
class MockConst:
    """Calls yield this constant."""

    value: ir.Const


@dataclass(frozen=True, slots=True)
class MockSlot:
    """Calls yield the value that a WithStmt has put into `data` under this (reserved) key."""

    key: str


Mock: TypeAlias = MockCall | MockConst | MockSlot

SLOT_PREFIX = "\x00with:"


@dataclass(frozen=True, slots=True)
class Scope:
    """`removed`: paths whose virtual documents are replaced. `mocks`: replaced calls by name, sorted."""

    removed: frozenset[Path] = frozenset()
    mocks: tuple[tuple[str, Mock], ...] = ()

    def mock(self, name: str) -> Mock | None:
        """The replacement of the function or builtin `name`, if any."""
        for mocked, mock in self.mocks:
            if mocked == name:
                return mock
        return None

    def with_mock(self, name: str, mock: Mock) -> Scope:
        """This scope with `name` replaced."""
        mocks = {**dict(self.mocks), name: mock}
        return Scope(self.removed, tuple(sorted(mocks.items(), key=lambda item: item[0])))

    def without_mocks(self) -> Scope:
        """The scope in which the body of a replacement function runs."""
        return Scope(self.removed, ())

    def with_removed(self, path: Path) -> Scope:
        """This scope with the virtual documents at and under `path` replaced."""
        return Scope(self.removed | {path}, self.mocks)

    @property
    def has_slots(self) -> bool:
        """Whether `data` carries reserved keys here."""
        return any(isinstance(mock, MockSlot) for _, mock in self.mocks)
