"""Bytes -> module model, and the walk over a function's instructions. Bounded: every length is checked
against what is left, so that hostile bytes give MalformedModuleError and nothing else.

It must not be trusted as a validator of code: types and stack discipline are wasmtime's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.encode import MAGIC
from cupcake.engine.wasm.errors import MalformedModuleError
from cupcake.engine.wasm.leb128 import read_sleb, read_uleb
from cupcake.engine.wasm.module import (
    Code,
    CustomSection,
    DataSegment,
    Descriptor,
    ElementSegment,
    Export,
    ExternKind,
    FuncType,
    Global,
    GlobalType,
    Import,
    Limits,
    Module,
    TableType,
)

_T = TypeVar("_T")
_KINDS: tuple[ExternKind, ...] = ("func", "table", "memory", "global")
_VALUE_TYPES = frozenset((op.I32, op.I64, op.F32, op.F64, op.FUNCREF, op.EXTERNREF, 0x7B))


class _Reader:
    """A cursor over one window of the bytes."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def fail(self, message: str) -> MalformedModuleError:
        return MalformedModuleError(message, self.at)

    def byte(self) -> int:
        if self.at >= self.end:
            raise self.fail("unexpected end")
        self.at += 1
        return self.data[self.at - 1]

    def u32(self) -> int:
        value, self.at = read_uleb(self.data, self.at)
        if self.at > self.end:
            raise self.fail("unexpected end")
        return value

    def signed(self, bits: int) -> int:
        value, self.at = read_sleb(self.data, self.at, bits)
        if self.at > self.end:
            raise self.fail("unexpected end")
        return value

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise self.fail(f"{size} bytes wanted, {self.end - self.at} left")
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        raw = self.take(self.u32())
        try:
            return raw.decode()
        except UnicodeDecodeError as e:
            raise self.fail("a name is not UTF-8") from e

    def vector(self, item: Callable[[], _T]) -> tuple[_T, ...]:
        count = self.u32()
        # Every item takes at least one byte: a count beyond what is left is refused before anything is built.
        if count > self.end - self.at:
            raise self.fail(f"a vector of {count} items in {self.end - self.at} bytes")
        return tuple(item() for _ in range(count))

    def value_type(self) -> int:
        value = self.byte()
        if value not in _VALUE_TYPES:
            raise self.fail(f"unknown value type 0x{value:02x}")
        return value

    def limits(self) -> Limits:
        flag = self.byte()
        if flag > 1:
            raise self.fail(f"unsupported limits 0x{flag:02x}")
        minimum = self.u32()
        return Limits(minimum, self.u32() if flag else None)

    def table(self) -> TableType:
        return TableType(self.value_type(), self.limits())

    def global_type(self) -> GlobalType:
        value, mutable = self.value_type(), self.byte()
        if mutable > 1:
            raise self.fail("bad mutability")
        return GlobalType(value, bool(mutable))

    def constant(self) -> int:
        opcode = self.byte()
        if opcode == op.I32_CONST:
            value = self.signed(32) & 0xFFFFFFFF
        elif opcode == op.I64_CONST:
            value = self.signed(64)
        else:
            raise self.fail(f"unsupported constant expression 0x{opcode:02x}")
        if self.byte() != op.END:
            raise self.fail("a constant expression of more than one instruction")
        return value

    def func_type(self) -> FuncType:
        if self.byte() != 0x60:
            raise self.fail("unsupported type form")
        return FuncType(self.vector(self.value_type), self.vector(self.value_type))

    def kind(self) -> ExternKind:
        kind = self.byte()
        if kind >= len(_KINDS):
            raise self.fail(f"unsupported external kind {kind}")
        return _KINDS[kind]

    def import_(self) -> Import:
        module, name, kind = self.name(), self.name(), self.kind()
        descriptor: Descriptor
        if kind == "func":
            descriptor = self.u32()
        elif kind == "table":
            descriptor = self.table()
        elif kind == "memory":
            descriptor = self.limits()
        else:
            descriptor = self.global_type()
        return Import(module, name, kind, descriptor)

    def export(self) -> Export:
        return Export(self.name(), self.kind(), self.u32())

    def global_(self) -> Global:
        return Global(self.global_type(), self.constant())

    def element(self) -> ElementSegment:
        form = self.u32()
        if form not in (0, 2):
            raise self.fail("unsupported element segment")
        table = self.u32() if form == 2 else 0
        offset = self.constant()
        if form == 2 and self.byte() != 0:
            raise self.fail("unsupported element kind")
        return ElementSegment(offset, self.vector(self.u32), table)

    def data_segment(self) -> DataSegment:
        if self.u32() != 0:
            raise self.fail("unsupported data segment")
        return DataSegment(self.constant(), self.take(self.u32()))

    def body(self) -> bytes:
        return self.take(self.u32())


def decode(data: bytes) -> Module:
    """The model of a module in the subset of `module.py`; MalformedModuleError for everything else."""
    if data[:8] != MAGIC:
        raise MalformedModuleError("no WebAssembly 1 header", 0)
    at, last = 8, 0
    found: dict[int, tuple[object, ...]] = {}
    customs: list[CustomSection] = []
    while at < len(data):
        number = data[at]
        size, at = read_uleb(data, at + 1)
        if size > len(data) - at:
            raise MalformedModuleError(
                f"section {number} of {size} bytes, {len(data) - at} left", at
            )
        r = _Reader(data, at, at + size)
        at += size
        if number == 0:
            name = r.name()
            customs.append(CustomSection(name, r.take(r.end - r.at)))
            continue
        order = _ORDER.get(number)
        if order is None:
            raise r.fail(f"unsupported section {number}")
        if order <= last:
            raise r.fail(f"section {number} is out of order")
        last = order
        if number in _SKIPPED:
            continue
        found[number] = (r.u32(),) if number == 8 else _section(r, number)
        if r.at != r.end:
            raise r.fail(f"section {number} has bytes left over")
    signatures, bodies = found.get(3, ()), found.get(10, ())
    if len(signatures) != len(bodies):
        raise MalformedModuleError(
            f"{len(signatures)} functions but {len(bodies)} bodies", len(data)
        )
    return Module(
        types=found.get(1, ()),  # type: ignore[arg-type]
        imports=found.get(2, ()),  # type: ignore[arg-type]
        codes=tuple(Code(t, b) for t, b in zip(signatures, bodies, strict=True)),  # type: ignore[arg-type]
        tables=found.get(4, ()),  # type: ignore[arg-type]
        memories=found.get(5, ()),  # type: ignore[arg-type]
        globals=found.get(6, ()),  # type: ignore[arg-type]
        exports=found.get(7, ()),  # type: ignore[arg-type]
        start=found.get(8, (None,))[0],  # type: ignore[arg-type]
        elements=found.get(9, ()),  # type: ignore[arg-type]
        data=found.get(11, ()),  # type: ignore[arg-type]
        customs=tuple(customs),
    )


# Position of each section; the data count section (12) stands before the code.
_ORDER = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, 12: 10, 10: 11, 11: 12}
_SKIPPED = frozenset((12,))


def _section(r: _Reader, number: int) -> tuple[object, ...]:
    readers: dict[int, Callable[[], object]] = {
        1: r.func_type,
        2: r.import_,
        3: r.u32,
        4: r.table,
        5: r.limits,
        6: r.global_,
        7: r.export,
        9: r.element,
        10: r.body,
        11: r.data_segment,
    }
    return r.vector(readers[number])


@dataclass(frozen=True, slots=True)
class Reference:
    """An index inside a function body that linking has to change. `kind`: func or type."""

    kind: str
    offset: int
    width: int
    index: int


def references(body: bytes) -> Iterator[Reference]:
    """Every function index and every type index of `call_indirect` in a code entry, in order."""
    r = _Reader(body, 0, len(body))
    for _ in range(r.u32()):
        r.u32()
        r.value_type()
    while r.at < r.end:
        start = r.at
        opcode = r.byte()
        if opcode == op.PREFIX:
            immediates = op.PREFIXED_IMMEDIATES.get(r.u32())
        else:
            immediates = op.IMMEDIATES.get(opcode)
        if immediates is None:
            raise MalformedModuleError(f"unknown opcode 0x{opcode:02x}", start)
        for immediate in immediates:
            at = r.at
            match immediate:
                case "f":
                    yield _reference("func", at, r)
                case "y":
                    yield _reference("type", at, r)
                    r.u32()
                case "x" | "g" | "l" | "0" | "T" | "d" | "e":
                    r.u32()
                case "m":
                    r.u32()
                    r.u32()
                case "i":
                    r.signed(32)
                case "j":
                    r.signed(64)
                case "b":
                    r.signed(33)
                case "t":
                    for _ in range(r.u32() + 1):
                        r.u32()
                case "v":
                    r.vector(r.value_type)
                case "r":
                    r.value_type()
                case "4":
                    r.take(4)
                case "8":
                    r.take(8)


def _reference(kind: str, at: int, r: _Reader) -> Reference:
    index = r.u32()
    return Reference(kind, at, r.at - at, index)
