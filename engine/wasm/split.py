"""The two modules that our own VM runs instead of the linked one: the runtime as a module of its own (`core_module`),
compiled once a machine, and the policy alone (`policy_module`), which is all that a reload has to compile.

The policy owns the memory, with the data of both in it, so that an instance starts from a copy-on-write image and pays for
the pages it touches, not for the size of the policy. It owns a table too. The core imports both and puts its
functions into the table; the policy has a small function for each one that it uses, which calls through the table at a
constant position. Host functions come in through the policy (two, however many builtins there are) and go on to the core.

The pair belongs together by the core's digest, which is in the name that the policy imports from. This file must not change
what `link.py` would compute: the functions are the same bytes but for how they call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cupcake.engine.artifact import core_namespace
from cupcake.engine.places import Place, write_places
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled
from cupcake.engine.wasm.codegen import Generated
from cupcake.engine.wasm.encode import code_offsets, encode
from cupcake.engine.wasm.errors import LinkError
from cupcake.engine.wasm.image import RuntimeImage, runtime_image
from cupcake.engine.wasm.leb128 import sleb, uleb
from cupcake.engine.wasm.link import HOST_CALLS, PAGE, data_segments, value_type
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
from cupcake.engine.wasm.unit import MAX_HOST_ARGS, PLAN_PREFIX, POLICY_PREFIX

# Pages behind the static data that an instance has from the start: most evaluations never grow memory, and untouched
# pages cost nothing.
HEADROOM = 16
# Called by the host only, so not in the table that policies call through.
_HOST_ONLY = "rt_document"
CORE_EXPORTS = (
    "opa_malloc",
    "opa_heap_ptr_get",
    "opa_value_parse",
    "opa_value_dump",
    _HOST_ONLY,
)
POLICY_EXPORTS = ("opa_eval",)
# What an instance of the policy hands on to the core, in the order of the core's imports.
SHARED = ("memory", "table", "abort", "host")
_ABORT = FuncType((op.I32,), ())
_NO_PLACES = [(0, (0, 0, 0))]
# host(arity, id, up to four operands) -> value: all of opa_builtin0..4 in one.
_HOST = FuncType((op.I32,) * (2 + MAX_HOST_ARGS), (op.I32,))


@dataclass(frozen=True, slots=True)
class Core:
    """`wasm`: the runtime as a module; `positions`: where each of its functions stands in the shared table; `data`: its
    data, which the policy's module carries.

    Filling a shared table costs 65 ns an entry and instance, a table of the core's own nothing (wasmtime fills it when it
    is used). So the builtins, which are many, are `grouped` in one of its own, and reached by one function an arity."""

    wasm: bytes
    namespace: str
    positions: Mapping[str, int]
    grouped: Mapping[str, int]
    types: Mapping[str, FuncType]
    table_size: int
    data: tuple[DataSegment, ...]


def core_module(image: RuntimeImage) -> Core:
    """The runtime, importing SHARED and filling the table with all its exported functions and host calls."""
    module = image.module
    types = list(module.types)

    def type_index(wanted: FuncType) -> int:
        if wanted not in types:
            types.append(wanted)
        return types.index(wanted)

    # Functions: the two imports, one for each host call of the ABI, then the runtime's.
    host_calls = {"opa_abort": _ABORT, "opa_println": _ABORT, **HOST_CALLS}
    functions = {name: 1 + i for i, name in enumerate(host_calls)} | {"opa_abort": 0}
    first = 1 + len(host_calls)
    codes = [
        Code(type_index(host_calls[name]), _host_call(name))
        for name in host_calls
        if name != "opa_abort"
    ]
    imports = [i.name for i in image.func_imports]

    def moved(index: int) -> int:
        return functions[imports[index]] if index < len(imports) else first + index - len(imports)

    codes += [
        _moved(code, sites, moved) for code, sites in zip(module.codes, image.sites, strict=True)
    ]
    functions |= {name: moved(index) for name, index in image.funcs.items()}
    start = max((t.limits.minimum for t in module.tables), default=1)
    signatures = {n: host_calls[n] if n in host_calls else image.signature(n) for n in functions}
    grouped = sorted(
        n
        for n in functions
        if n.startswith("bi_") and signatures[n] == value_type(len(signatures[n].params))
    )
    for arity in sorted({len(signatures[n].params) for n in grouped}):
        functions[_group(arity)] = 2 + len(codes)
        signatures[_group(arity)] = value_type(arity + 1)
        of = value_type(arity)
        codes.append(Code(type_index(value_type(arity + 1)), _group_call(arity, type_index(of))))
    names = sorted(set(functions) - {*grouped, _HOST_ONLY})
    size = start + len(names)
    wasm = encode(
        replace(
            module,
            types=tuple(types),
            imports=(
                Import("policy", "memory", "memory", Limits(image.heap_base // PAGE + 1)),
                Import("policy", "table", "table", TableType(op.FUNCREF, Limits(size, size))),
                Import("policy", "abort", "func", type_index(_ABORT)),
                Import("policy", "host", "func", type_index(_HOST)),
            ),
            codes=tuple(codes),
            tables=(TableType(op.FUNCREF, Limits(len(grouped), len(grouped))),),
            memories=(),
            start=None,
            exports=tuple(Export(name, "func", functions[name]) for name in CORE_EXPORTS),
            elements=(
                # First: behind a segment of an imported table wasmtime fills tables at once.
                ElementSegment(0, tuple(functions[name] for name in grouped), table=1),
                *(replace(e, funcs=tuple(map(moved, e.funcs))) for e in module.elements),
                ElementSegment(start, tuple(functions[name] for name in names)),
            ),
            data=(),
            customs=(),
        )
    )
    return Core(
        wasm=wasm,
        namespace=core_namespace(wasm),
        positions={name: start + i for i, name in enumerate(names)},
        grouped={name: i for i, name in enumerate(grouped)},
        types=signatures,
        table_size=size,
        data=module.data,
    )


@functools.cache
def shipped_core() -> Core:
    """The core of the runtime that ships with the package. Made once a process; it never changes."""
    return core_module(runtime_image())


def policy_module(generated: Generated, core: Core) -> tuple[bytes, str]:
    """The policy alone, and the places of its instructions. LinkError when the core lacks a function that the policy calls."""
    functions = _reached(generated)
    # Behind the two imports.
    index = {f.name: i for i, f in enumerate(functions, 2)}
    types: list[FuncType] = []

    def type_index(wanted: FuncType) -> int:
        if wanted not in types:
            types.append(wanted)
        return types.index(wanted)

    imports = (
        Import(core.namespace, "abort", "func", type_index(_ABORT)),
        Import(core.namespace, "host", "func", type_index(_HOST)),
    )
    called: dict[str, int] = {}
    codes = []
    placed: list[list[tuple[int, Place]]] = []
    numbers = dict(generated.numbers)
    for i in range(generated.globals):
        numbers[f"global {i}"] = uleb(i)
    numbers |= {"call " + name: uleb(i) for name, i in index.items()}
    for f in functions:
        for symbol in f.calls:
            if symbol not in index and symbol not in called:
                called[symbol] = 2 + len(index) + len(called)
                numbers["call " + symbol] = uleb(called[symbol])
        for params in f.indirect:
            # The policy's own functions are in a table of its own, the second.
            numbers[f"type {params}"] = uleb(type_index(value_type(params))) + b"\x01"
        wanted = FuncType((op.I32,) * f.params, (op.I32,) * f.results)
        codes.append(Code(type_index(wanted), f.body(numbers)))
        placed.append(f.placed(numbers))
    for symbol in called:
        of = core.types.get(symbol)
        if of is None:
            raise LinkError(f"runtime.wasm has no function {symbol!r}: rebuild the runtime")
        number, target = core.grouped.get(symbol), symbol
        if number is not None:
            target = _group(len(of.params))
        gate = _gate(len(of.params), core.positions[target], type_index(core.types[target]), number)
        codes.append(Code(type_index(of), gate))
    # The policy's own functions, numbered from `table_base` as in the linked module.
    own_size = generated.table_base + len(generated.table)
    pages = generated.heap_start // PAGE + 1 + HEADROOM
    core_table = TableType(op.FUNCREF, Limits(core.table_size, core.table_size))
    wasm = encode(
        Module(
            types=tuple(types),
            imports=imports,
            codes=tuple(codes),
            tables=(core_table, TableType(op.FUNCREF, Limits(own_size, own_size))),
            memories=(Limits(pages),),
            globals=tuple(Global(GlobalType(op.I32, True), 0) for _ in range(generated.globals)),
            exports=(
                Export("memory", "memory", 0),
                Export("table", "table", 0),
                Export("abort", "func", 0),
                Export("host", "func", 1),
                *(Export(name, "func", index[name]) for name in POLICY_EXPORTS),
            ),
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
            data=data_segments(generated, core.data),
            customs=(_names(functions, index),),
        )
    )
    entries: list[tuple[int, Place]] = []
    for start, places in zip(code_offsets(wasm), placed, strict=False):
        # A function without places of its own must not count to the one before it.
        entries += [(start + offset, place) for offset, place in places or _NO_PLACES]
    return wasm, write_places(generated.files, entries)


def _names(functions: list[Assembled], index: Mapping[str, int]) -> CustomSection:
    """The name section (appendix of the specification), for planned functions and plans: a trap's backtrace has them."""
    named = [f.name for f in functions if f.name.startswith((POLICY_PREFIX, PLAN_PREFIX))]
    entries = [uleb(index[n]) + uleb(len(raw := n.encode())) + raw for n in named]
    payload = uleb(len(entries)) + b"".join(entries)
    return CustomSection("name", b"\x01" + uleb(len(payload)) + payload)


def _host_call(name: str) -> bytes:
    """Body of a function of OPA's ABI that the host serves, in terms of `host`."""
    if name == "opa_println":
        return b"\0" + bytes((op.END,))
    arity = int(name[-1])
    parts = [b"\0", bytes((op.I32_CONST,)), sleb(arity), bytes((op.LOCAL_GET, 0))]
    # The second parameter is OPA's evaluation context, which no host needs.
    parts += [bytes((op.LOCAL_GET, 2 + i)) for i in range(arity)]
    parts += [bytes((op.I32_CONST, 0))] * (MAX_HOST_ARGS - arity)
    return b"".join((*parts, bytes((op.CALL, 1, op.END))))


def _gate(arity: int, position: int, signature: int, number: int | None) -> bytes:
    """A function that passes its arguments on to one of the core's; behind them `number`, when it is one of a group. An
    indirect call is a dozen instructions of native code and several branches: they are made once a function here
    instead of once a call."""
    parts = [b"\0", *(bytes((op.LOCAL_GET, i)) for i in range(arity))]
    if number is not None:
        parts.append(bytes((op.I32_CONST,)) + sleb(number))
    parts += [
        bytes((op.I32_CONST,)),
        sleb(position),
        bytes((op.CALL_INDIRECT,)),
        uleb(signature),
        b"\0",
    ]
    return b"".join((*parts, bytes((op.END,))))


def _group(arity: int) -> str:
    """Name of the function that reaches the grouped builtins of an arity."""
    return f"group:{arity}"


def _group_call(arity: int, signature: int) -> bytes:
    """(arguments, number) -> what the builtin of this number gives."""
    arguments = b"".join(bytes((op.LOCAL_GET, i)) for i in range(arity + 1))
    return b"\0" + arguments + bytes((op.CALL_INDIRECT,)) + uleb(signature) + bytes((1, op.END))


def _reached(generated: Generated) -> list[Assembled]:
    """The functions that `opa_eval` can come to."""
    by_name = {f.name: f for f in generated.functions}
    seen: set[str] = set()
    work = list(POLICY_EXPORTS)
    while work:
        name = work.pop()
        if name not in seen and name in by_name:
            seen.add(name)
            work += by_name[name].calls
            if by_name[name].indirect:
                work += generated.table
    return [f for f in generated.functions if f.name in seen]


def _moved(
    code: Code, sites: tuple[tuple[int, int, bool, int], ...], moved: Callable[[int], int]
) -> Code:
    """The code with its calls renumbered."""
    parts: list[bytes] = []
    at = 0
    for offset, width, is_type, target in sites:
        if not is_type:
            parts += (code.body[at:offset], uleb(moved(target)))
            at = offset + width
    parts.append(code.body[at:])
    return Code(code.type, b"".join(parts))
