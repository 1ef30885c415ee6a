"""Opcodes as data: what codegen writes, and the shape of every instruction that the decoder can walk over.

Source: WebAssembly core specification 2.0, section 5.4 (without SIMD). It holds no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

I32: Final = 0x7F
I64: Final = 0x7E
F32: Final = 0x7D
F64: Final = 0x7C
FUNCREF: Final = 0x70
EXTERNREF: Final = 0x6F
EMPTY: Final = 0x40

UNREACHABLE: Final = 0x00
BLOCK: Final = 0x02
LOOP: Final = 0x03
IF: Final = 0x04
ELSE: Final = 0x05
END: Final = 0x0B
BR: Final = 0x0C
BR_IF: Final = 0x0D
BR_TABLE: Final = 0x0E
RETURN: Final = 0x0F
CALL: Final = 0x10
CALL_INDIRECT: Final = 0x11
DROP: Final = 0x1A
LOCAL_GET: Final = 0x20
LOCAL_SET: Final = 0x21
LOCAL_TEE: Final = 0x22
GLOBAL_GET: Final = 0x23
GLOBAL_SET: Final = 0x24
I32_LOAD: Final = 0x28
I64_LOAD: Final = 0x29
I32_STORE: Final = 0x36
MEMORY_GROW: Final = 0x40
I32_CONST: Final = 0x41
I64_CONST: Final = 0x42
I32_EQZ: Final = 0x45
I32_EQ: Final = 0x46
I32_NE: Final = 0x47
I32_LT_S: Final = 0x48
I32_GE_S: Final = 0x4E
I32_ADD: Final = 0x6A
I32_SUB: Final = 0x6B
I32_AND: Final = 0x71
SELECT: Final = 0x1B
I32_WRAP_I64: Final = 0xA7
I64_EXTEND_I32_S: Final = 0xAC
PREFIX: Final = 0xFC
MEMORY_FILL: Final = 11

# Immediates: "" none, "b" block type, "l" label, "t" label vector, "f" function index, "y" type and table index,
# "x" local, "g" global, "m" memory argument, "0" memory index, "i" s32, "j" s64, "4" and "8" raw bytes,
# "r" reference type, "v" vector of value types, "T" table index.
_PLAIN: dict[int, str] = {
    UNREACHABLE: "", 0x01: "", BLOCK: "b", LOOP: "b", IF: "b", ELSE: "", END: "", BR: "l", BR_IF: "l",
    BR_TABLE: "t", RETURN: "", CALL: "f", CALL_INDIRECT: "y", DROP: "", SELECT: "", 0x1C: "v",
    LOCAL_GET: "x", LOCAL_SET: "x", LOCAL_TEE: "x", GLOBAL_GET: "g", GLOBAL_SET: "g", 0x25: "T", 0x26: "T",
    0x3F: "0", MEMORY_GROW: "0", I32_CONST: "i", I64_CONST: "j", 0x43: "4", 0x44: "8",
    0xD0: "r", 0xD1: "", 0xD2: "f",
    **dict.fromkeys(range(0x28, 0x3F), "m"), **dict.fromkeys(range(0x45, 0xC5), ""),
}  # fmt: skip
_PREFIXED: dict[int, str] = {
    **dict.fromkeys(range(8), ""), 8: "d0", 9: "d", 10: "00", 11: "0", 12: "eT", 13: "e", 14: "TT",
    15: "T", 16: "T", 17: "T",
}  # fmt: skip

IMMEDIATES: Final[Mapping[int, str]] = MappingProxyType(_PLAIN)
PREFIXED_IMMEDIATES: Final[Mapping[int, str]] = MappingProxyType(_PREFIXED)
