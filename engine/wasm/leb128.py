"""LEB128 integers (WebAssembly core specification, section 5.2.2): encode, and bounded decode.

It must not accept an integer that is longer than its type allows.
"""

from __future__ import annotations

from cupcake.engine.wasm.errors import MalformedModuleError

_SINGLE = tuple(bytes((i,)) for i in range(128))


def uleb(value: int) -> bytes:
    """The shortest unsigned form; `value` must not be negative."""
    if 0 <= value < 128:
        return _SINGLE[value]
    if value < 0:
        raise ValueError(f"unsigned LEB128 of {value}")
    out = bytearray()
    while value >= 128:
        out.append((value & 127) | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def sleb(value: int) -> bytes:
    """The shortest signed form."""
    out = bytearray()
    while True:
        low = value & 127
        value >>= 7
        if (value == 0 and not low & 64) or (value == -1 and low & 64):
            out.append(low)
            return bytes(out)
        out.append(low | 128)


def read_uleb(data: bytes, at: int, bits: int = 32) -> tuple[int, int]:
    """(value, next offset); raises MalformedModuleError when cut off or wider than `bits`."""
    start, result, shift = at, 0, 0
    while True:
        if at >= len(data):
            raise MalformedModuleError("integer is cut off", start)
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift >= bits:
            raise MalformedModuleError(f"integer is longer than {bits} bits allow", start)
    if result >> bits:
        raise MalformedModuleError(f"integer exceeds {bits} bits", start)
    return result, at


def read_sleb(data: bytes, at: int, bits: int = 32) -> tuple[int, int]:
    """(value, next offset); raises MalformedModuleError when cut off or wider than `bits`."""
    start, result, shift = at, 0, 0
    while True:
        if at >= len(data):
            raise MalformedModuleError("integer is cut off", start)
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
        if shift >= bits:
            raise MalformedModuleError(f"integer is longer than {bits} bits allow", start)
    if byte & 64:
        result -= 1 << shift
    if not -(1 << (bits - 1)) <= result < 1 << (bits - 1):
        raise MalformedModuleError(f"integer exceeds {bits} bits", start)
    return result, at
