"""Writes one function's instructions: labels by absolute depth, locals handed out and taken back, calls and all that
depends on the rest of the module by name, as holes.

All values are i32. It knows nothing of Rego or the runtime; it must not be reused after `finish`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

from cupcake.engine.places import Place
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.leb128 import sleb, uleb

# Implementation limits of the WebAssembly JavaScript API that wasmtime shares.
MAX_LOCALS = 50_000
MAX_BODY = 7_000_000


# What only the whole module can say, by kind and name. A whole instruction that pushes: `const 17` (the address of a
# constant), `host name` (the id of a host builtin), `counter 3` (its address), `dispatch` (the address of the tree of rules), `memo f` (the base of
# the memo frame for the slot of a function). An immediate: `slot f` (the slot's offset from that base), `call f`,
# `type 2` (a type of two values to a value, and the table), `global 0` (of the policy's globals).
Hole: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Assembled:
    """A function with holes: its code is pieces[0], holes[0], pieces[1] ... `needs` are patterns to prepare for it.
    `calls`: the functions that it calls, each once. `indirect`: numbers of parameters of its calls through the table.
    `places`: (number of holes before, bytes of pieces before, place) from where on instructions belong to a place."""

    name: str
    params: int
    results: int
    pieces: tuple[bytes, ...]
    holes: tuple[Hole, ...]
    needs: tuple[Need, ...]
    calls: tuple[str, ...]
    indirect: tuple[int, ...]
    places: tuple[tuple[int, int, Place], ...] = ()

    def body(self, numbers: Mapping[Hole, bytes]) -> bytes:
        """The code with every hole filled."""
        parts: list[bytes] = [b""] * (2 * len(self.holes) + 1)
        parts[::2] = self.pieces
        parts[1::2] = [numbers[hole] for hole in self.holes]
        return b"".join(parts)

    def placed(self, numbers: Mapping[Hole, bytes]) -> list[tuple[int, Place]]:
        """(offset in the filled code, place)."""
        if not self.places:
            return []
        sizes = accumulate([len(numbers[hole]) for hole in self.holes], initial=0)
        filled = list(sizes)
        return [(offset + filled[holes], place) for holes, offset, place in self.places]


@dataclass(frozen=True, slots=True)
class Need:
    """Something to prepare before a function runs: a builtin's pattern (an array with its delimiters for a glob), or a builtin of
    the `host` that the runtime may call itself. `text` is the pattern, or the name."""

    kind: Literal["regex", "glob", "host"]
    text: str
    delimiters: tuple[str, ...] | None = None


class Assembler:
    """An append-only writer of one function."""

    __slots__ = (
        "_cuts",
        "_free",
        "_holes",
        "_locals",
        "_place",
        "depth",
        "name",
        "needs",
        "out",
        "params",
        "places",
        "results",
    )

    def __init__(self, name: str, params: int, results: int = 1) -> None:
        self.name, self.params, self.results = name, params, results
        self.out = bytearray()
        self.needs: list[Need] = []
        self.places: list[tuple[int, int, Place]] = []
        self._place: Place | None = None
        self._cuts: list[int] = []
        self._holes: list[Hole] = []
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

    def at(self, place: Place) -> None:
        """The instructions that follow belong to this place."""
        if place != self._place:
            self._place = place
            self.places.append((len(self._cuts), len(self.out), place))

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
        self.hole(f"global {index}")

    def set_global(self, index: int) -> None:
        self.out.append(op.GLOBAL_SET)
        self.hole(f"global {index}")

    def hole(self, hole: Hole) -> None:
        self._cuts.append(len(self.out))
        self._holes.append(hole)

    def const(self, value: int | Hole) -> None:
        """Push a number, or what a hole of a whole instruction pushes."""
        if isinstance(value, str):
            self._cuts.append(len(self.out))
            self._holes.append(value)
            return
        self.out.append(op.I32_CONST)
        self.out += sleb(value if value < 1 << 31 else value - (1 << 32))

    def const64(self, value: int) -> None:
        self.out.append(op.I64_CONST)
        self.out += sleb(value)

    def load(self, offset: int | Hole = 0) -> None:
        """i32 at (address on the stack) + offset."""
        self.out += bytes((op.I32_LOAD, 2))
        self._offset(offset)

    def store(self, offset: int | Hole = 0) -> None:
        self.out += bytes((op.I32_STORE, 2))
        self._offset(offset)

    def _offset(self, offset: int | Hole) -> None:
        if isinstance(offset, str):
            self.hole(offset)
        else:
            self.out += uleb(offset)

    def call(self, symbol: str) -> None:
        self.out.append(op.CALL)
        self.hole("call " + symbol)

    def call_indirect(self, params: int) -> None:
        """Through the table; the entry's number is on the stack behind `params` i32 arguments."""
        self.out.append(op.CALL_INDIRECT)
        self.hole(f"type {params}")

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
        out, holes = bytes(self.out), self._holes
        if len(out) + 6 * len(holes) > MAX_BODY:
            raise CodegenError(
                f"{self.name} compiles to {len(out)} bytes, more than the {MAX_BODY} that a function may have: "
                "split the rule"
            )
        extra = self._locals - self.params
        head = b"\x01" + uleb(extra) + bytes((op.I32,)) if extra else b"\0"
        pieces: list[bytes] = []
        at = 0
        for cut in self._cuts:
            pieces.append(out[at:cut])
            at = cut
        pieces.append(out[at:])
        pieces[0] = head + pieces[0]
        distinct = dict.fromkeys(holes)
        return Assembled(
            self.name,
            self.params,
            self.results,
            tuple(pieces),
            tuple(holes),
            tuple(self.needs),
            calls=tuple([h[5:] for h in distinct if h.startswith("call ")]),
            indirect=tuple([int(h[5:]) for h in distinct if h.startswith("type ")]),
            places=tuple([(n, offset + len(head), place) for n, offset, place in self.places]),
        )
