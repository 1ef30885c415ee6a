"""The two modules that our own VM runs instead of the linked one: the runtime as a module of its own (`core_module`),
compiled once a machine, and the policy alone (`policy_module`), which is all that a reload has to compile.

The core owns the memory and a table with all its functions; the policy imports both and has a small function for each
one that it uses, which calls through the table at a constant position. So an instance of a policy needs two imports, however many functions it uses. The pair belongs together by
the core's digest, which is in the name that the policy imports from. It must not change what `link.py` would
compute: the functions are the same bytes but for how they call.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cupcake.engine.artifact import core_namespace
from cupcake.engine.runtime import abi
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled
from cupcake.engine.wasm.codegen import Generated
from cupcake.engine.wasm.encode import encode
from cupcake.engine.wasm.errors import LinkError
from cupcake.engine.wasm.image import RuntimeImage, runtime_image
from cupcake.engine.wasm.leb128 import sleb, uleb
from cupcake.engine.wasm.link import HOST_CALLS, PAGE, data_segments, value_type
from cupcake.engine.wasm.module import (
    Code,
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

# Pages that a core's instance has from the start; untouched pages cost nothing. A bigger policy makes the VM grow them.
CORE_PAGES = 64
CORE_EXPORTS = ("opa_malloc", "opa_heap_ptr_get", "opa_value_parse", "opa_value_dump")
POLICY_EXPORTS = ("opa_eval",)


@dataclass(frozen=True, slots=True)
class Core:
    """`wasm`: the runtime as a module; `positions`: where each of its functions stands in its table."""

    wasm: bytes
    namespace: str
    positions: Mapping[str, int]
    types: Mapping[str, FuncType]
    table_size: int


def core_module(image: RuntimeImage) -> Core:
    """The runtime, owning its memory and exporting it with a table of all its exported functions and host calls."""
    module = image.module
    types = list(module.types)
    imports = list(image.func_imports)
    known = {i.name for i in imports}
    added = [name for name in HOST_CALLS if name not in known]
    shift = len(added)

    def type_index(wanted: FuncType) -> int:
        if wanted not in types:
            types.append(wanted)
        return types.index(wanted)

    def moved(index: int) -> int:
        return index if index < len(imports) else index + shift

    codes = [
        _shifted(code, sites, len(imports), shift)
        for code, sites in zip(module.codes, image.sites, strict=True)
    ]
    start = max((t.limits.minimum for t in module.tables), default=1)
    functions = {i.name: n for n, i in enumerate(imports)}
    functions |= {name: len(imports) + n for n, name in enumerate(added)}
    functions |= {name: moved(index) for name, index in image.funcs.items()}
    names = sorted(functions)
    size = start + len(names)
    wasm = encode(
        replace(
            module,
            types=tuple(types),
            imports=(
                *imports,
                *(Import("env", n, "func", type_index(HOST_CALLS[n])) for n in added),
            ),
            codes=tuple(codes),
            tables=(TableType(op.FUNCREF, Limits(size, size)),),
            memories=(Limits(CORE_PAGES),),
            start=None,
            exports=(
                Export("memory", "memory", 0),
                Export("table", "table", 0),
                *(Export(name, "func", functions[name]) for name in CORE_EXPORTS),
            ),
            elements=(
                *(replace(e, funcs=tuple(map(moved, e.funcs))) for e in module.elements),
                ElementSegment(start, tuple(functions[name] for name in names)),
            ),
            customs=(),
        )
    )
    signatures = {n: HOST_CALLS[n] if n in HOST_CALLS else image.signature(n) for n in names}
    return Core(
        wasm=wasm,
        namespace=core_namespace(wasm),
        positions={name: start + i for i, name in enumerate(names)},
        types=signatures,
        table_size=size,
    )


@functools.cache
def shipped_core() -> Core:
    """The core of the runtime that ships with the package. Made once a process; it never changes."""
    return core_module(runtime_image())


def policy_module(generated: Generated, core: Core) -> bytes:
    """The policy alone. LinkError when the core lacks a function that the policy calls."""
    functions = _reached(generated)
    index = {f.name: i for i, f in enumerate(functions)}
    types: list[FuncType] = []

    def type_index(wanted: FuncType) -> int:
        if wanted not in types:
            types.append(wanted)
        return types.index(wanted)

    called: dict[str, int] = {}
    codes = []
    for f in functions:
        parts: list[bytes] = []
        at = 0
        for r in f.relocations:
            match r.kind:
                case "global":
                    parts += (f.body[at : r.offset], uleb(r.number))
                    at = r.offset
                case "indirect":
                    # The policy's own functions are in a table of its own, the second.
                    parts += (f.body[at : r.offset], uleb(type_index(value_type(r.number))), b"\x01")
                    at = r.offset + 1
                case "call":
                    number = index.get(r.symbol)
                    if number is None:
                        number = called.setdefault(r.symbol, len(index) + len(called))
                    parts += (f.body[at : r.offset], uleb(number))
                    at = r.offset
        parts.append(f.body[at:])
        wanted = FuncType((op.I32,) * f.params, (op.I32,) * f.results)
        codes.append(Code(type_index(wanted), b"".join(parts)))
    for symbol in called:
        position = core.positions.get(symbol)
        if position is None:
            raise LinkError(f"runtime.wasm has no function {symbol!r}: rebuild the runtime")
        signature = type_index(core.types[symbol])
        codes.append(Code(signature, _gate(position, signature, core.types[symbol])))
    # Numbered from `table_base`, as in the linked module.
    own_size = generated.table_base + len(generated.table)
    own_table = TableType(op.FUNCREF, Limits(own_size, own_size))
    return encode(
        Module(
            types=tuple(types),
            imports=(
                Import(
                    core.namespace, "memory", "memory", Limits(generated.heap_start // PAGE + 1)
                ),
                Import(
                    core.namespace,
                    "table",
                    "table",
                    TableType(op.FUNCREF, Limits(core.table_size, core.table_size)),
                ),
            ),
            codes=tuple(codes),
            tables=(own_table,),
            globals=(
                *(Global(GlobalType(op.I32, True), 0) for _ in range(generated.globals)),
                Global(GlobalType(op.I32, False), abi.OPA_ABI_VERSION),
            ),
            exports=tuple(Export(name, "func", index[name]) for name in POLICY_EXPORTS),
            elements=(
                (
                    ElementSegment(
                        generated.table_base,
                        tuple(index[name] for name in generated.table),
                        table=1,
                    ),
                )
                if generated.table
                else ()
            ),
            data=data_segments(generated, ()),
        )
    )


def _gate(position: int, signature: int, of: FuncType) -> bytes:
    """A function that passes its arguments on to one of the core's. An indirect call is a dozen instructions of native
    code and several branches: they are made once a function here instead of once a call."""
    arguments = b"".join(bytes((op.LOCAL_GET,)) + uleb(i) for i in range(len(of.params)))
    indirect = bytes((op.I32_CONST,)) + sleb(position) + bytes((op.CALL_INDIRECT,)) + uleb(signature)
    return b"\0" + arguments + indirect + b"\0" + bytes((op.END,))


def _reached(generated: Generated) -> list[Assembled]:
    """The functions that `opa_eval` can come to."""
    by_name = {f.name: f for f in generated.functions}
    seen: set[str] = set()
    work = list(POLICY_EXPORTS)
    while work:
        name = work.pop()
        if name not in seen and name in by_name:
            seen.add(name)
            work += (r.symbol for r in by_name[name].relocations if r.kind == "call")
            if any(r.kind == "indirect" for r in by_name[name].relocations):
                work += generated.table
    return [f for f in generated.functions if f.name in seen]


def _shifted(
    code: Code, sites: tuple[tuple[int, int, bool, int], ...], imports: int, shift: int
) -> Code:
    """The code with `shift` imports more before the functions that it calls."""
    if not shift:
        return code
    parts: list[bytes] = []
    at = 0
    for offset, width, is_type, target in sites:
        if not is_type and target >= imports:
            parts += (code.body[at:offset], uleb(target + shift))
            at = offset + width
    parts.append(code.body[at:])
    return Code(code.type, b"".join(parts))
