"""The runtime module prepared for linking: decoded once a process, with the call sites of every function at hand.

Finding the call sites means walking every instruction, which takes Python longer than a whole link may. So they are kept
in an index file beside `runtime.wasm` (`runtime.index.json`), bound to it by digest; without a fitting index they
are found again. `python -m cupcake.engine.wasm.image` writes the index. It must not change a function's body.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypeAlias

from cupcake.engine.wasm.decode import decode, references
from cupcake.engine.wasm.errors import LinkError
from cupcake.engine.wasm.module import FuncType, Import, Module

RUNTIME_FILE = "runtime.wasm"
INDEX_FILE = "runtime.index.json"
_FORMAT = 1

# Byte offset in the code entry, width of the index there, whether it names a type, the index.
Site: TypeAlias = tuple[int, int, bool, int]


@dataclass(frozen=True, slots=True)
class RuntimeImage:
    """The runtime as the linker needs it. `sites[i]` are the call sites of `module.codes[i]`; function indices
    count imports first, as in the module. `heap_base`: the first byte behind the runtime's own data."""

    module: Module
    func_imports: tuple[Import, ...]
    sites: tuple[tuple[Site, ...], ...]
    funcs: Mapping[str, int]
    addresses: Mapping[str, int]
    heap_base: int

    def signature(self, name: str) -> FuncType:
        """The type of an exported function or of an import; LinkError when the runtime has neither."""
        for imported in self.func_imports:
            if imported.name == name and isinstance(imported.descriptor, int):
                return self.module.types[imported.descriptor]
        index = self.funcs.get(name)
        if index is None:
            raise LinkError(f"runtime.wasm has no function {name!r}: rebuild the runtime")
        return self.module.types[self.module.codes[index - len(self.func_imports)].type]


def find_sites(module: Module) -> tuple[tuple[Site, ...], ...]:
    """The call sites of every function, found by walking its instructions."""
    return tuple(
        tuple((r.offset, r.width, r.kind == "type", r.index) for r in references(code.body))
        for code in module.codes
    )


def build_image(wasm: bytes, index: bytes | None = None) -> RuntimeImage:
    """Prepare a runtime module. `index` is used when it was made from the same bytes, else made anew."""
    module = decode(wasm)
    exported = {e.name: e.index for e in module.exports if e.kind == "func"}
    imported_globals = sum(1 for i in module.imports if i.kind == "global")
    addresses = {
        e.name: module.globals[e.index - imported_globals].init
        for e in module.exports
        if e.kind == "global" and not module.globals[e.index - imported_globals].type.mutable
    }
    if "__heap_base" not in addresses:
        raise LinkError("runtime.wasm does not export __heap_base: rebuild the runtime")
    return RuntimeImage(
        module=module,
        func_imports=tuple(i for i in module.imports if i.kind == "func"),
        sites=_read_index(wasm, index) or find_sites(module),
        funcs=exported,
        addresses=addresses,
        heap_base=addresses["__heap_base"],
    )


def make_index(wasm: bytes) -> bytes:
    """The index file of a runtime module, as JSON text."""
    sites = [[int(n) for site in func for n in site] for func in find_sites(decode(wasm))]
    document = {"format": _FORMAT, "runtime": hashlib.sha256(wasm).hexdigest(), "sites": sites}
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _read_index(wasm: bytes, index: bytes | None) -> tuple[tuple[Site, ...], ...] | None:
    if index is None:
        return None
    document = json.loads(index)
    if document["format"] != _FORMAT or document["runtime"] != hashlib.sha256(wasm).hexdigest():
        return None
    return tuple(tuple(_sites(flat)) for flat in document["sites"])


def _sites(flat: list[int]) -> Iterable[Site]:
    it = iter(flat)
    for offset, width, is_type, index in zip(it, it, it, it, strict=True):
        yield offset, width, bool(is_type), index


@functools.cache
def runtime_image() -> RuntimeImage:
    """The image of the runtime that ships with the package. Read once a process; it never changes."""
    folder = resources.files("cupcake.engine.runtime")
    runtime, index = folder / RUNTIME_FILE, folder / INDEX_FILE
    if not runtime.is_file():
        raise LinkError("runtime.wasm is not installed with the package: reinstall it")
    return build_image(runtime.read_bytes(), index.read_bytes() if index.is_file() else None)


def main() -> int:
    """Write the index beside `runtime.wasm` of a source tree."""
    folder = resources.files("cupcake.engine.runtime")
    target = str(folder / INDEX_FILE)
    with open(target, "wb") as f:
        f.write(make_index((folder / RUNTIME_FILE).read_bytes()))
    print(f"wrote {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
