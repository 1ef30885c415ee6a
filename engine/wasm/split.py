"""The two modules that our own VM runs instead of the linked one: the runtime as a module of its own (`core_module`),
compiled once a machine, and the policy alone (`policy_module`), which is all that a reload has to compile.

The policy owns the memory, with the data of both in it, so that an instance starts from a copy-on-write image and pays for
the pages it touches, not for the size of the policy. It owns a table too. The core imports both and puts its
functions into the table; the policy has a small function for each one that it uses, which calls through the table at a
constant position. Host functions come in through the policy (two, however many builtins there are), which puts them into the
last places of the table.

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
CORE_EXPORTS = (
    "opa_malloc",
    "opa_heap_ptr_get",
    "rt_read",
    "rt_write",
    "rt_document",
)
# Called by hosts through OPA's ABI, never by a policy's own code.
_HOST_ONLY = frozenset(
    (
        "rt_document", "opa_json_parse", "opa_json_dump", "opa_value_parse", "opa_value_dump", "opa_free",
        "opa_heap_ptr_get", "opa_heap_blocks_stash", "opa_heap_blocks_restore", "opa_heap_stash_clear",
        "opa_value_add_path", "opa_value_remove_path", "opa_println",
        "opa_eval_ctx_new", "opa_eval_ctx_set_input", "opa_eval_ctx_set_data", "opa_eval_ctx_set_entrypoint",
        "opa_eval_ctx_get_result",
    )
)  # fmt: skip
# What nearly every evaluation calls, many of it often.
_DIRECT = frozenset(
    (
        "opa_heap_ptr_set", "rt_read", "rt_write", "rt_get", "rt_equal", "rt_is_true", "rt_iter_key",
        "rt_iter_value", "rt_len", "rt_type", "rt_set", "rt_set_put", "rt_object", "rt_object_put", "rt_array",
        "rt_array_push",
    )
)  # fmt: skip
POLICY_EXPORTS = ("opa_eval",)
# What an instance of the policy hands on to the core, in the order of the core's imports.
SHARED = ("memory", "table")
_ABORT = FuncType((op.I32,), ())
_NO_PLACES = [(0, (0, 0, 0))]
# host(arity, id, up to four operands) -> value: all of opa_builtin0..4 in one.
_HOST = FuncType((op.I32,) * (2 + MAX_HOST_ARGS), (op.I32,))


@dataclass(frozen=True, slots=True)
class Core:
    """`wasm`: the runtime as a module; `positions`: where each of its functions stands in the shared table; `data`: its
    data, which the policy's module carries.

    Filling a shared table costs 65 ns an entry and instance, a table of the core's own nothing (wasmtime fills it when it
    is used). So what is not called all the time is `grouped` in one of its own, and reached by one function a type."""

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

    # Functions: the host's two, one for each host call of the ABI, then the runtime's.
    of_host = (_ABORT, _HOST)
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
    grouped = sorted(n for n in functions if n not in _DIRECT and n not in _HOST_ONLY)
    for of in dict.fromkeys(signatures[n] for n in grouped):
        functions[_group(of)] = len(of_host) + len(codes)
        signatures[_group(of)] = replace(of, params=(*of.params, op.I32))
        codes.append(Code(type_index(signatures[_group(of)]), _group_call(of, type_index(of))))
    names = sorted(set(functions) - {*grouped, *_HOST_ONLY, "opa_abort"})
    # Behind them the host's two, which the policy puts there.
    host = start + len(names)
    size = host + len(of_host)
    own = [
        Code(type_index(of), _gate(len(of.params), host + i, type_index(of), None))
        for i, of in enumerate(of_host)
    ]
    wasm = encode(
        replace(
            module,
            types=tuple(types),
            imports=(
                Import("policy", "memory", "memory", Limits(image.heap_base // PAGE + 1)),
                Import("policy", "table", "table", TableType(op.FUNCREF, Limits(size, size))),
            ),
            codes=(*own, *codes),
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
            target = _group(of)
        gate = _gate(len(of.params), core.positions[target], type_index(core.types[target]), number)
        codes.append(Code(type_index(of), gate))
    # The policy's own functions, numbered from `table_base` as in the linked module.
    own_size = generated.table_base + len(generated.table)
    pages = generated.heap_start // PAGE + 1 + HEADROOM
    own_elements: tuple[ElementSegment, ...] = ()
    if generated.table:
        entries_of_own = tuple(index[name] for name in generated.table)
        own_elements = (ElementSegment(generated.table_base, entries_of_own, table=1),)
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
                *(Export(name, "func", index[name]) for name in POLICY_EXPORTS),
            ),
            elements=(ElementSegment(core.table_size - 2, (0, 1)), *own_elements),
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


def _group(of: FuncType) -> str:
    """Name of the function that reaches the grouped functions of a type."""
    return f"group:{bytes(of.params).hex()}:{bytes(of.results).hex()}"


def _group_call(of: FuncType, signature: int) -> bytes:
    """(arguments, number) -> what the function of this number gives."""
    arguments = b"".join(bytes((op.LOCAL_GET, i)) for i in range(len(of.params) + 1))
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
