"""Writes one function's instructions: labels by absolute depth, locals handed out and taken back, calls by name.

All values are i32. It knows nothing of Rego or the runtime; it must not be reused after `finish`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cupcake.engine.places import Entry
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.leb128 import sleb, uleb

# Implementation limits of the WebAssembly JavaScript API that wasmtime shares.
MAX_LOCALS = 50_000
MAX_BODY = 7_000_000


@dataclass(frozen=True, slots=True)
class Relocation:
    """Where an index belongs that the linker knows. `call`: the function `symbol`, behind the call opcode. `indirect`: the
    type of `number` i32 parameters and an i32 result, behind the opcode and before the table's number (0 in `body`).
    `global`: the policy's global `number`."""

    offset: int
    kind: Literal["call", "indirect", "global"]
    symbol: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class Assembled:
    """A function with holes: each relocation's index is to be inserted at its offset of `body`.

    `places`: (offset of `body`, file number, row, column) from where on instructions belong to a place."""

    name: str
    params: int
    results: int
    body: bytes
    relocations: tuple[Relocation, ...]
    places: tuple[Entry, ...] = ()


class Assembler:
    """An append-only writer of one function."""

    __slots__ = (
        "_free", "_locals", "_place", "depth", "name", "out", "params", "places", "relocations", "results",
    )  # fmt: skip

    def __init__(self, name: str, params: int, results: int = 1) -> None:
        self.name, self.params, self.results = name, params, results
        self.out = bytearray()
        self.relocations: list[Relocation] = []
        self.places: list[Entry] = []
        self._place: tuple[int, int, int] | None = None
        self.depth = 0
        self._locals = params
        self._free: list[int] = []

    def new_local(self) -> int:
        """A local of its own; 0 at the function's start, anything when it was given back before."""
        if self._free:
            return self._free.pop()
        self._locals += 1
        if self._locals > MAX_LOCALS:
            raise CodegenError(
                f"{self.name} needs more than {MAX_LOCALS} locals: split the rule or the data literal in it"
            )
        return self._locals - 1

    def fixed_local(self) -> int:
        """A local that was never used before, so that it starts as 0."""
        free, self._free = self._free, []
        local = self.new_local()
        self._free = free
        return local

    def give_back(self, local: int) -> None:
        self._free.append(local)

    def at(self, file: int, row: int, col: int) -> None:
        """The instructions that follow belong to this place."""
        place = (file, row, col)
        if place != self._place:
            self._place = place
            self.places.append((len(self.out), file, row, col))

    def emit(self, *parts: int) -> None:
        """Raw bytes: opcodes without immediates."""
        self.out.extend(parts)

    def get(self, local: int) -> None:
        self.out.append(op.LOCAL_GET)
        self.out += uleb(local)

    def set(self, local: int) -> None:
        self.out.append(op.LOCAL_SET)
        self.out += uleb(local)

    def tee(self, local: int) -> None:
        self.out.append(op.LOCAL_TEE)
        self.out += uleb(local)

    def get_global(self, index: int) -> None:
        self.out.append(op.GLOBAL_GET)
        self.relocations.append(Relocation(len(self.out), "global", number=index))

    def set_global(self, index: int) -> None:
        self.out.append(op.GLOBAL_SET)
        self.relocations.append(Relocation(len(self.out), "global", number=index))

    def const(self, value: int) -> None:
        self.out.append(op.I32_CONST)
        self.out += sleb(value if value < 1 << 31 else value - (1 << 32))

    def const64(self, value: int) -> None:
        self.out.append(op.I64_CONST)
        self.out += sleb(value)

    def load(self, offset: int = 0) -> None:
        """i32 at (address on the stack) + offset."""
        self.out += bytes((op.I32_LOAD, 2)) + uleb(offset)

    def store(self, offset: int = 0) -> None:
        self.out += bytes((op.I32_STORE, 2)) + uleb(offset)

    def call(self, symbol: str) -> None:
        self.out.append(op.CALL)
        self.relocations.append(Relocation(len(self.out), "call", symbol))

    def call_indirect(self, params: int) -> None:
        """Through the table; the entry's number is on the stack behind `params` i32 arguments."""
        self.out.append(op.CALL_INDIRECT)
        self.relocations.append(Relocation(len(self.out), "indirect", number=params))
        self.out.append(0)

    def block(self) -> int:
        """Open a block; its label is for `br` and `br_if`, which leave it."""
        self.out += bytes((op.BLOCK, op.EMPTY))
        self.depth += 1
        return self.depth

    def loop(self) -> int:
        """Open a loop; a branch to its label starts it again."""
        self.out += bytes((op.LOOP, op.EMPTY))
        self.depth += 1
        return self.depth

    def if_(self) -> int:
        self.out += bytes((op.IF, op.EMPTY))
        self.depth += 1
        return self.depth

    def else_(self) -> None:
        self.out.append(op.ELSE)

    def end(self) -> None:
        self.out.append(op.END)
        self.depth -= 1

    def br(self, label: int) -> None:
        self.out.append(op.BR)
        self.out += uleb(self.depth - label)

    def br_if(self, label: int) -> None:
        self.out.append(op.BR_IF)
        self.out += uleb(self.depth - label)

    def br_table(self, labels: list[int], default: int) -> None:
        self.out.append(op.BR_TABLE)
        self.out += uleb(len(labels))
        for label in (*labels, default):
            self.out += uleb(self.depth - label)

    def finish(self) -> Assembled:
        """Close the function."""
        self.out.append(op.END)
        if len(self.out) > MAX_BODY:
            raise CodegenError(
                f"{self.name} compiles to {len(self.out)} bytes, more than the {MAX_BODY} that a function may have: "
                "split the rule"
            )
        extra = self._locals - self.params
        head = b"\x01" + uleb(extra) + bytes((op.I32,)) if extra else b"\0"
        shift = len(head)
        return Assembled(
            self.name,
            self.params,
            self.results,
            head + bytes(self.out),
            tuple(
                Relocation(r.offset + shift, r.kind, r.symbol, r.number) for r in self.relocations
            ),
            tuple((offset + shift, *place) for offset, *place in self.places),  # type: ignore[misc]
        )
