"""Module model -> bytes. It validates nothing: link and codegen make well-formed modules."""

from __future__ import annotations

from collections.abc import Iterable

from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.leb128 import read_uleb, sleb, uleb
from cupcake.engine.wasm.module import (
    ElementSegment,
    FuncType,
    GlobalType,
    Import,
    Limits,
    Module,
    TableType,
)

MAGIC = b"\0asm\x01\0\0\0"
_CODE = 10
KINDS = ("func", "table", "memory", "global")


def encode(module: Module) -> bytes:
    """The binary form; sections that would be empty are left out."""
    out = [MAGIC]
    _section(out, 1, [_func_type(t) for t in module.types])
    _section(out, 2, [_import(i) for i in module.imports])
    _section(out, 3, [uleb(c.type) for c in module.codes])
    _section(out, 4, [_table(t) for t in module.tables])
    _section(out, 5, [_limits(m) for m in module.memories])
    _section(out, 6, [_global_type(g.type) + _const(g.type.value, g.init) for g in module.globals])
    _section(
        out,
        7,
        [_name(e.name) + bytes((KINDS.index(e.kind),)) + uleb(e.index) for e in module.exports],
    )
    if module.start is not None:
        start = uleb(module.start)
        out += (b"\x08", uleb(len(start)), start)
    _section(
        out,
        9,
        [_element(e) for e in module.elements],
    )
    _section(out, 10, [uleb(len(c.body)) + c.body for c in module.codes])
    _section(
        out,
        11,
        [b"\0" + _const(op.I32, d.offset) + uleb(len(d.data)) + d.data for d in module.data],
    )
    for custom in module.customs:
        payload = _name(custom.name) + custom.data
        out += (b"\0", uleb(len(payload)), payload)
    return b"".join(out)


def code_offsets(wasm: bytes) -> list[int]:
    """Where in a module each of its functions' bodies starts."""
    at = len(MAGIC)
    while at < len(wasm):
        number = wasm[at]
        size, at = read_uleb(wasm, at + 1)
        if number == _CODE:
            count, at = read_uleb(wasm, at)
            found = []
            for _ in range(count):
                size, at = read_uleb(wasm, at)
                found.append(at)
                at += size
            return found
        at += size
    return []


def _section(out: list[bytes], number: int, items: list[bytes]) -> None:
    if items:
        payload = _vector(items)
        out += (bytes((number,)), uleb(len(payload)), payload)


def _vector(items: Iterable[bytes]) -> bytes:
    listed = list(items)
    return uleb(len(listed)) + b"".join(listed)


def _name(text: str) -> bytes:
    raw = text.encode()
    return uleb(len(raw)) + raw


def _func_type(t: FuncType) -> bytes:
    return b"\x60" + uleb(len(t.params)) + bytes(t.params) + uleb(len(t.results)) + bytes(t.results)


def _limits(limits: Limits) -> bytes:
    if limits.maximum is None:
        return b"\0" + uleb(limits.minimum)
    return b"\x01" + uleb(limits.minimum) + uleb(limits.maximum)


def _table(t: TableType) -> bytes:
    return bytes((t.element,)) + _limits(t.limits)


def _global_type(t: GlobalType) -> bytes:
    return bytes((t.value, t.mutable))


def _const(value_type: int, value: int) -> bytes:
    opcode = op.I32_CONST if value_type == op.I32 else op.I64_CONST
    if value_type == op.I32 and value >= 1 << 31:
        value -= 1 << 32
    return bytes((opcode,)) + sleb(value) + bytes((op.END,))


def _element(e: ElementSegment) -> bytes:
    items = _vector([uleb(f) for f in e.funcs])
    if e.table == 0:
        return b"\0" + _const(op.I32, e.offset) + items
    # Form 2 names the table, and the kind of its elements (0, functions).
    return b"\x02" + uleb(e.table) + _const(op.I32, e.offset) + b"\0" + items


def _import(i: Import) -> bytes:
    head = _name(i.module) + _name(i.name) + bytes((KINDS.index(i.kind),))
    match i.descriptor:
        case int() as index:
            return head + uleb(index)
        case TableType() as table:
            return head + _table(table)
        case Limits() as limits:
            return head + _limits(limits)
        case GlobalType() as g:
            return head + _global_type(g)
