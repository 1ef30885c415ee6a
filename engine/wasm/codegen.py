"""IR -> the functions, data and tables that the linker joins with the runtime.

Beside one function for each planned function and plan it makes those of OPA's ABI that depend on the policy: `eval`,
`opa_eval`, `builtins`, `entrypoints`. It must not look into the runtime's code.

`opa_eval(options, entrypoint, data, input, input_len, heap, format)`: OPA's one-shot call. Its first parameter is
reserved there and 0; here bit 0 makes errors of builtins abort (strict), and the bits of `abi.TEXT_*` say in which form
the input comes, as `format` does for the result. `data` 0 is the policy's own base document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cupcake.engine.builtins.types import ERROR, Builtin
from cupcake.engine.plan import ir
from cupcake.engine.runtime import abi
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled, Assembler, Hole
from cupcake.engine.wasm.errors import LinkError
from cupcake.engine.wasm.functions import compile_function, compile_plan
from cupcake.engine.wasm.image import RuntimeImage
from cupcake.engine.wasm.placement import FRAME, Placement
from cupcake.engine.wasm.statements import ASSIGN_ONCE, INSERT_ONCE
from cupcake.engine.wasm.unit import (
    REGEX_COMPILE,
    CodeCache,
    GlobCompiler,
    PatternCompiler,
    Unit,
    plan_symbol,
)

# The functions that the final module exports under their own names, made here.
POLICY_EXPORTS = ("eval", "opa_eval", "builtins", "entrypoints")
OPTION_STRICT = 1
_EXTRA_GLOBALS = 3


@dataclass(frozen=True, slots=True)
class Generated:
    """`numbers`: what stands in the functions' holes, but for calls, types and globals. `data` belongs at `data_base`; `heap_start` is the first free byte behind it. `words`: address -> initial i32
    of a runtime variable. `table`: functions from `table_base` on. `globals`: number of mutable i32 globals wanted.
    `files`: what the file numbers in places stand for. `counters`: address of those
    of CountStmt, and how many there are."""

    functions: tuple[Assembled, ...]
    numbers: Mapping[Hole, bytes]
    data: bytes
    data_base: int
    heap_start: int
    words: Mapping[int, int]
    table: tuple[str, ...]
    table_base: int
    globals: int
    builtins: Mapping[str, int]
    entrypoints: tuple[str, ...]
    files: tuple[str, ...]
    counters: tuple[int, int] = (0, 0)


def generate(
    policy: ir.Policy,
    image: RuntimeImage,
    *,
    compile_pattern: PatternCompiler,
    compile_glob: GlobCompiler,
    extra_builtins: Iterable[Builtin] = (),
    cache: CodeCache | None = None,
) -> Generated:
    """Compile a verified policy. CodegenError when a limit is exceeded or a name is unknown. With a `cache`, planned
    functions that are the same objects as before are not compiled again."""
    unit = Unit(
        policy,
        image,
        compile_pattern=compile_pattern,
        compile_glob=compile_glob,
        extra_builtins=extra_builtins,
        cache=cache,
    )
    placement = Placement(unit)
    data = placement.document()
    placement.count(policy.counters)
    functions = [compile_function(unit, f) for f in policy.funcs]
    functions += [compile_plan(unit, i, p) for i, p in enumerate(policy.plans)]
    frame_size = 4 * len(unit.memo_slots)
    placement.place(functions)
    words = _pattern_tables(unit.image, placement) | _called_back(unit.image, placement)
    names = tuple(p.name for p in policy.plans)
    run_constants = _run_texts(unit)
    own = [
        _assign_once(),
        _insert_once(),
        _memo_push(unit, frame_size),
        _memo_pop(unit),
        _run(unit, len(names), data, frame_size, run_constants),
        _eval(),
        _opa_eval(unit, run_constants),
        _constant_function("builtins", unit.value(_ids(placement.host_ids))),
        _constant_function("entrypoints", unit.value(_ids({n: i for i, n in enumerate(names)}))),
    ]
    placement.place(own)
    pool = bytes(placement.pool.finish(placement.base))
    # The first memo frame follows the constants: memory is zero there, and needs no bytes in the file.
    frame = (placement.base + len(pool) + 15) & ~15
    placement.frame(frame)
    heap_start = (frame + frame_size + 15) & ~15
    words[_address(image, "rt_heap_start")] = heap_start
    unit.forget_others()
    return Generated(
        functions=(*functions, *own),
        numbers=placement.numbers,
        data=pool,
        data_base=placement.base,
        heap_start=heap_start,
        words=words,
        table=tuple(placement.table),
        table_base=placement.table_base,
        globals=_EXTRA_GLOBALS,
        builtins=dict(placement.host_ids),
        entrypoints=names,
        files=policy.static.files,
        counters=(placement.counters, policy.counters),
    )


def _ids(ids: Mapping[str, int]) -> ir.Const:
    return ir.ConstObject(tuple((name, ir.ConstNumber(str(n))) for name, n in ids.items()))


def _address(image: RuntimeImage, name: str) -> int:
    image_address = image.addresses.get(name)
    if image_address is None:
        raise LinkError(f"runtime.wasm does not export the variable {name}: rebuild the runtime")
    return image_address


def _pattern_tables(image: RuntimeImage, placed: Placement) -> dict[int, int]:
    words: dict[int, int] = {}
    for kind, pairs in (("regex", placed.regexes.values()), ("glob", placed.globs.values())):
        if pairs:
            table = b"".join(n.to_bytes(4, "little") for pair in pairs for n in pair)
            words[_address(image, f"rt_{kind}_table")] = placed.bytes_at(table)
            words[_address(image, f"rt_{kind}_count")] = len(pairs)
    return words


# What the runtime itself calls on the host: its variable, and the builtins whose ids stand there one after the other.
_CALLED_BACK = (
    ("rt_regex_compile_id", {0: REGEX_COMPILE}),
    ("rt_error_id", {0: ERROR.name}),
    (
        "rt_zoned_ids",
        {
            abi.ZONED_ADD_DATE: "time.add_date",
            abi.ZONED_CLOCK: "time.clock",
            abi.ZONED_DATE: "time.date",
            abi.ZONED_DIFF: "time.diff",
            abi.ZONED_WEEKDAY: "time.weekday",
        },
    ),
)


def _called_back(image: RuntimeImage, placed: Placement) -> dict[int, int]:
    """The ids of those that this policy needs, by address; the others stay -1."""
    return {
        image.addresses[variable] + 4 * place: placed.host_ids[name]
        for variable, names in _CALLED_BACK
        for place, name in names.items()
        if name in placed.host_ids
    }


@dataclass(frozen=True, slots=True)
class _Texts:
    bad_input: Hole
    bad_entrypoint: Hole


def _run_texts(unit: Unit) -> _Texts:
    return _Texts(
        unit.value("the input is not valid JSON, or nested too deeply"),
        unit.value("there is no entrypoint with this number"),
    )


def _abort(asm: Assembler, code: int, message: Hole) -> None:
    asm.const(code)
    asm.const(message)
    asm.call("rt_fail")
    asm.emit(op.UNREACHABLE)


def _fill(asm: Assembler, size: int) -> None:
    """memory.fill(address on the stack, 0, size)."""
    asm.const(0)
    asm.const(size)
    asm.emit(op.PREFIX, op.MEMORY_FILL, 0)


def _assign_once() -> Assembled:
    """(old, new, message) -> new, or old when they are equal; eval_conflict_error when they differ."""
    asm = Assembler(ASSIGN_ONCE, 3)
    asm.get(0)
    asm.emit(op.I32_EQZ)
    asm.if_()
    asm.get(1)
    asm.emit(op.RETURN)
    asm.end()
    asm.get(0)
    asm.get(1)
    asm.call("rt_equal")
    asm.emit(op.I32_EQZ)
    asm.if_()
    _conflict(asm, 2)
    asm.end()
    asm.get(0)
    return asm.finish()


def _insert_once() -> Assembled:
    """(object, key, value, message) -> (): insert, or eval_conflict_error when the key has another value."""
    asm = Assembler(INSERT_ONCE, 4, 0)
    for local in range(3):
        asm.get(local)
    asm.call("rt_object_put_once")
    asm.emit(op.I32_EQZ)
    asm.if_()
    _conflict(asm, 3)
    asm.end()
    return asm.finish()


def _conflict(asm: Assembler, message: int) -> None:
    asm.const(abi.ERR_CONFLICT)
    asm.get(message)
    asm.call("rt_fail")
    asm.emit(op.UNREACHABLE)


def _memo_push(unit: Unit, size: int) -> Assembled:
    """() -> (): a fresh memo frame becomes the current one; frames given back are used again."""
    asm = Assembler("memo_push", 0, 0)
    frame = asm.fixed_local()
    asm.get_global(unit.free_global)
    asm.tee(frame)
    asm.if_()
    asm.get(frame)
    asm.load()
    asm.set_global(unit.free_global)
    asm.else_()
    asm.const(max(size, 4))
    asm.call("opa_malloc")
    asm.set(frame)
    asm.end()
    asm.get(frame)
    _fill(asm, size)
    asm.get(frame)
    asm.set_global(unit.memo_global)
    return asm.finish()


def _memo_pop(unit: Unit) -> Assembled:
    """(frame) -> (): the current memo frame joins the free ones, `frame` becomes the current one."""
    asm = Assembler("memo_pop", 1, 0)
    asm.get_global(unit.memo_global)
    asm.get_global(unit.free_global)
    asm.store()
    asm.get_global(unit.memo_global)
    asm.set_global(unit.free_global)
    asm.get(0)
    asm.set_global(unit.memo_global)
    return asm.finish()


def _run(unit: Unit, plans: int, data: int, frame_size: int, texts: _Texts) -> Assembled:
    """(entrypoint, input, data) -> result set: what `eval` and `opa_eval` share. `data`: the base document's address."""
    asm = Assembler("run", 3)
    asm.const(0)
    asm.set_global(unit.free_global)
    asm.const(FRAME)
    asm.set_global(unit.memo_global)
    if frame_size:
        # The first evaluation of an instance finds the frame zero; the page need not be touched for that.
        asm.get_global(unit.used_global)
        asm.if_()
        asm.const(FRAME)
        _fill(asm, frame_size)
        asm.end()
        asm.const(1)
        asm.set_global(unit.used_global)
    asm.get(2)
    asm.emit(op.I32_EQZ)
    asm.if_()
    asm.const(data)
    asm.set(2)
    asm.end()
    default = asm.block()
    cases = [asm.block() for _ in range(plans)]
    asm.get(0)
    asm.br_table(cases, default)
    for number in reversed(range(plans)):
        asm.end()
        asm.get(1)
        asm.get(2)
        asm.call(plan_symbol(number))
        asm.emit(op.RETURN)
    asm.end()
    _abort(asm, abi.ERR_INTERNAL, texts.bad_entrypoint)
    return asm.finish()


def _eval() -> Assembled:
    """(ctx) -> 0; the result goes into the context."""
    asm = Assembler("eval", 1)
    asm.get(0)
    for offset in (abi.OFF_CTX_ENTRYPOINT, abi.OFF_CTX_INPUT, abi.OFF_CTX_DATA):
        asm.get(0)
        asm.load(offset)
    asm.call("run")
    asm.store(abi.OFF_CTX_RESULT)
    asm.const(0)
    return asm.finish()


def _opa_eval(unit: Unit, texts: _Texts) -> Assembled:
    asm = Assembler("opa_eval", 7)
    options, entrypoint, data, text, size, heap, form = range(7)
    value = asm.fixed_local()
    asm.get(heap)
    asm.if_()
    asm.get(heap)
    asm.call("opa_heap_ptr_set")
    asm.end()
    asm.const(_address(unit.image, "rt_strict"))
    asm.get(options)
    asm.const(OPTION_STRICT)
    asm.emit(op.I32_AND)
    asm.store()
    asm.get(size)
    asm.if_()
    asm.get(text)
    asm.get(size)
    asm.get(options)
    asm.const(abi.TEXT_VALUE | abi.TEXT_HOST)
    asm.emit(op.I32_AND)
    asm.call("rt_read")
    asm.set(value)
    asm.get(value)
    asm.emit(op.I32_EQZ)
    asm.if_()
    _abort(asm, abi.ERR_INPUT, texts.bad_input)
    asm.end()
    asm.end()
    asm.get(entrypoint)
    asm.get(value)
    asm.get(data)
    asm.call("run")
    asm.set(value)
    asm.get(value)
    asm.get(form)
    asm.call("rt_write")
    return asm.finish()


def _constant_function(name: str, value: Hole) -> Assembled:
    asm = Assembler(name, 0)
    asm.const(value)
    return asm.finish()
