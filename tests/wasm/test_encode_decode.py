"""The module model survives encoding; hostile bytes end in one typed error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.decode import decode, references
from cupcake.engine.wasm.encode import encode
from cupcake.engine.wasm.errors import MalformedModuleError
from cupcake.engine.wasm.image import runtime_image
from cupcake.engine.wasm.module import (
    Code,
    CustomSection,
    DataSegment,
    ElementSegment,
    Export,
    FuncType,
    Global,
    GlobalType,
    Import,
    Limits,
    Module,
    TableType,
)

EVERYTHING = Module(
    types=(FuncType((op.I32, op.I64), (op.I32,)), FuncType((), ())),
    imports=(
        Import("env", "f", "func", 1),
        Import("env", "memory", "memory", Limits(2, 5)),
        Import("env", "table", "table", TableType(op.FUNCREF, Limits(3))),
        Import("env", "g", "global", GlobalType(op.I32, False)),
    ),
    codes=(Code(1, b"\x00\x10\x00\x0b"), Code(1, b"\x01\x02\x7f\x0b")),
    tables=(TableType(op.FUNCREF, Limits(4, 4)),),
    globals=(
        Global(GlobalType(op.I32, True), 0xFFFFFFFF),
        Global(GlobalType(op.I64, False), -(2**40)),
    ),
    exports=(Export("run", "func", 1), Export("höhe", "global", 1)),
    start=1,
    elements=(ElementSegment(1, (0, 2)), ElementSegment(0, (1,), table=1)),
    data=(DataSegment(8, b"abc"), DataSegment(65536, b"")),
    customs=(CustomSection("note", b"\x00\xff"),),
)


def test_a_module_with_every_section_is_read_back_as_it_was() -> None:
    assert decode(encode(EVERYTHING)) == EVERYTHING


def test_the_empty_module_is_only_the_header() -> None:
    assert encode(Module()) == b"\0asm\x01\0\0\0"


def test_the_runtime_survives_decoding_and_encoding() -> None:
    module = runtime_image().module
    assert decode(encode(module)) == module


def test_references_finds_calls_by_function_and_by_type() -> None:
    body = bytes.fromhex("00 1080808000 4100 110100 fc0b00 d205 1a 0b".replace(" ", ""))
    found = [(r.kind, r.offset, r.width, r.index) for r in references(body)]
    assert found == [("func", 2, 4, 0), ("type", 9, 1, 1), ("func", 15, 1, 5)]


@pytest.mark.parametrize("cut", range(len(encode(EVERYTHING))))
def test_every_prefix_is_refused_or_a_module(cut: int) -> None:
    data = encode(EVERYTHING)[:cut]
    try:
        decode(data)
    except MalformedModuleError as e:
        assert 0 <= e.offset <= len(data)


MALFORMED = {
    "no header": b"",
    "another version": b"\0asm\x02\0\0\0",
    "a section longer than the file": b"\0asm\x01\0\0\0\x01\x7f",
    "sections out of order": b"\0asm\x01\0\0\0\x03\x01\x00\x01\x01\x00",
    "an unknown section": b"\0asm\x01\0\0\0\x2a\x00",
    "more items than bytes": b"\0asm\x01\0\0\0\x01\x05\xff\xff\xff\xff\x0f",
    "bytes left over in a section": b"\0asm\x01\0\0\0\x01\x02\x00\x00",
    "functions without bodies": b"\0asm\x01\0\0\0\x03\x02\x01\x00",
    "a name that is not UTF-8": b"\0asm\x01\0\0\0\x07\x05\x01\x01\xff\x00\x00",
    "a passive data segment": b"\0asm\x01\0\0\0\x0b\x03\x01\x01\x00",
    "an initialiser that is no constant": b"\0asm\x01\0\0\0\x06\x06\x01\x7f\x00\x23\x00\x0b",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bytes_are_refused(name: str) -> None:
    with pytest.raises(MalformedModuleError, match="malformed WebAssembly module at byte"):
        decode(MALFORMED[name])


@settings(max_examples=300)
@given(st.data())
def test_flipped_bytes_never_raise_anything_else(data: st.DataObject) -> None:
    raw = bytearray(encode(EVERYTHING))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(8, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        module = decode(bytes(raw))
        for code in module.codes:
            list(references(code.body))
    except MalformedModuleError:
        pass
