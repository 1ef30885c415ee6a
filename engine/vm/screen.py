"""A look at a module's bytes before wasmtime compiles it: what would take long to compile is refused by its size.

It reads section headers only. Whether the module is valid is wasmtime's business; of what it asks the host for, `foreign`'s.
"""

from __future__ import annotations

from cupcake.engine.errors import LoadError

MAGIC = b"\0asm\1\0\0\0"
#: Compiling takes some 0.1 ms a function and 0.1 ms a KB: these are seconds. OPA's own modules have some 2,000 functions.
MAX_FUNCTIONS = 40_000
MAX_CODE = 64 << 20
_FUNCTIONS, _CODE = 3, 10


def screen(wasm: bytes) -> None:
    """LoadError when the bytes are no WebAssembly module, or one that is too large to be compiled."""
    if wasm[: len(MAGIC)] != MAGIC:
        raise LoadError("not a WebAssembly module: it does not begin as one (\\0asm, version 1)")
    at = len(MAGIC)
    while at < len(wasm):
        section = wasm[at]
        size, at = _number(wasm, at + 1)
        if size > len(wasm) - at:
            raise LoadError(f"not a whole WebAssembly module: section {section} is cut off")
        if section == _FUNCTIONS:
            count, _ = _number(wasm, at)
            if count > MAX_FUNCTIONS:
                raise LoadError(f"the module has {count} functions, the limit is {MAX_FUNCTIONS}")
        if section == _CODE and size > MAX_CODE:
            raise LoadError(f"the module has {size} bytes of code, the limit is {MAX_CODE}")
        at += size


def _number(wasm: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number of up to five bytes and the place behind it."""
    value = 0
    for i in range(5):
        if at + i >= len(wasm):
            break
        value |= (wasm[at + i] & 0x7F) << 7 * i
        if wasm[at + i] < 0x80:
            return value, at + i + 1
    raise LoadError(f"not a WebAssembly module: no number at byte {at}")
