"""Joins generated functions with the runtime into the one module of OPA's ABI: what is not reached is left out, the rest
renumbered. (What our own VM runs is made by `split.py`.) The runtime's start function is left out: wasm-ld makes it to zero
the uninitialised data of an imported memory, ours is always new (and the variables that we set would be lost). It must not change any instruction but the indices in calls.
"""

from __future__ import annotations

from collections.abc import Iterable

from cupcake.engine.runtime import abi
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled
from cupcake.engine.wasm.codegen import POLICY_EXPORTS, Generated
from cupcake.engine.wasm.encode import encode
from cupcake.engine.wasm.errors import LinkError
from cupcake.engine.wasm.image import RuntimeImage
from cupcake.engine.wasm.leb128 import uleb
from cupcake.engine.wasm.module import (
    Code,
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
from cupcake.engine.wasm.unit import MAX_HOST_ARGS

# OPA's ABI 1.3, as far as the runtime serves it under the same names.
RUNTIME_EXPORTS = (
    "opa_malloc",
    "opa_free",
    "opa_json_parse",
    "opa_json_dump",
    "opa_value_parse",
    "opa_value_dump",
    "rt_read",
    "rt_write",
    "opa_heap_ptr_get",
    "opa_heap_ptr_set",
    "opa_value_add_path",
    "opa_value_remove_path",
    "opa_eval_ctx_new",
    "opa_eval_ctx_set_input",
    "opa_eval_ctx_set_data",
    "opa_eval_ctx_set_entrypoint",
    "opa_eval_ctx_get_result",
    "opa_heap_blocks_stash",
    "opa_heap_blocks_restore",
    "opa_heap_stash_clear",
)
HOST_CALLS = {
    f"opa_builtin{n}": FuncType((op.I32,) * (n + 2), (op.I32,)) for n in range(MAX_HOST_ARGS + 1)
}
PAGE = 65536


def link(generated: Generated, image: RuntimeImage) -> bytes:
    """The module that imports `env.memory`. LinkError when the runtime lacks a function."""
    return encode(_Linker(generated, image).module())


def data_segments(generated: Generated, runtime: Iterable[DataSegment]) -> tuple[DataSegment, ...]:
    """The runtime's segments with its variables set, then the policy's. A variable in zeroed memory gets a segment of
    its own; no two segments overlap."""
    words = dict(generated.words)
    segments: list[DataSegment] = []
    for segment in runtime:
        inside = [a for a in words if segment.offset <= a <= segment.offset + len(segment.data) - 4]
        if inside:
            data = bytearray(segment.data)
            for address in inside:
                at = address - segment.offset
                data[at : at + 4] = (words.pop(address) & 0xFFFFFFFF).to_bytes(4, "little")
            segment = DataSegment(segment.offset, bytes(data))
        segments.append(segment)
    for address, value in words.items():
        segments.append(DataSegment(address, (value & 0xFFFFFFFF).to_bytes(4, "little")))
    segments.append(DataSegment(generated.data_base, generated.data))
    return tuple(sorted(segments, key=lambda s: s.offset))


class _Linker:
    """One module."""

    def __init__(self, generated: Generated, image: RuntimeImage) -> None:
        self.generated, self.image = generated, image
        self.types = list(image.module.types)
        self.generated_by_name = {f.name: f for f in generated.functions}
        self.n_imports = len(image.func_imports)
        self.imports_by_name = {i.name: n for n, i in enumerate(image.func_imports)}
        # Host calls that the policy makes but the runtime does not.
        self.extra_imports = {n: t for n, t in HOST_CALLS.items() if n not in self.imports_by_name}
        self.reached: set[int] = set()
        self.reached_names: set[str] = set()
        self.indirect: set[FuncType] = set()

    def module(self) -> Module:
        """The linked module."""
        image, generated = self.image, self.generated
        exports = [*POLICY_EXPORTS, *RUNTIME_EXPORTS]
        self._reach(exports)
        kept_imports = [i for i in range(self.n_imports) if i in self.reached]
        extra = [name for name in self.extra_imports if name in self.reached_names]
        kept = sorted(i for i in self.reached if i >= self.n_imports)
        functions = [f for f in generated.functions if f.name in self.reached_names]
        number = {old: new for new, old in enumerate(kept_imports)}
        names = {name: len(number) + i for i, name in enumerate(extra)}
        first = len(kept_imports) + len(extra)
        number |= {old: first + i for i, old in enumerate(kept)}
        names |= {f.name: first + len(kept) + i for i, f in enumerate(functions)}
        codes = [self._runtime_code(i, number) for i in kept]
        codes += self._policy_codes(functions, names, number)
        globals_ = list(image.module.globals)
        globals_ += [Global(GlobalType(op.I32, True), 0)] * generated.globals
        version = len(globals_)
        globals_ += [
            Global(GlobalType(op.I32, False), abi.OPA_ABI_VERSION),
            Global(GlobalType(op.I32, False), abi.OPA_ABI_MINOR),
        ]
        # No headroom: SDKs make the memory themselves, often small.
        memory = Limits(generated.heap_start // PAGE + 1)
        func_imports = [image.func_imports[i] for i in kept_imports]
        func_imports += [
            Import("env", name, "func", self._type_index(self.extra_imports[name]))
            for name in extra
        ]
        return Module(
            types=tuple(self.types),
            imports=(Import("env", "memory", "memory", memory), *func_imports),
            codes=tuple(codes),
            tables=self._tables(),
            globals=tuple(globals_),
            exports=(
                Export("memory", "memory", 0),
                *(
                    Export(name, "func", self._export_index(name, names, number))
                    for name in exports
                ),
                Export("opa_wasm_abi_version", "global", version),
                Export("opa_wasm_abi_minor_version", "global", version + 1),
            ),
            elements=tuple(self._elements(names, number)),
            data=data_segments(generated, image.module.data),
        )

    # -- reachability ---------------------------------------------------------------------------------------

    def _reach(self, roots: Iterable[str]) -> None:
        """Fill `reached` (runtime and imports, by index), `reached_names` and `indirect`."""
        work: list[int | str] = [self._resolve(name) for name in roots]
        while True:
            while work:
                item = work.pop()
                if isinstance(item, str):
                    if item not in self.reached_names:
                        self.reached_names.add(item)
                        if item in self.generated_by_name:
                            work += self._policy_targets(self.generated_by_name[item])
                elif item not in self.reached:
                    self.reached.add(item)
                    if item >= self.n_imports:
                        work += self._runtime_targets(item)
            # A table entry lives when something that lives calls through the table with its type.
            work = [f for _, f in self._live_entries() if not self._is_reached(f)]
            if not work:
                return

    def _is_reached(self, item: int | str) -> bool:
        return item in self.reached_names if isinstance(item, str) else item in self.reached

    def _resolve(self, symbol: str) -> int | str:
        if symbol in self.generated_by_name or symbol in self.extra_imports:
            return symbol
        found = self.imports_by_name.get(symbol)
        if found is None:
            found = self.image.funcs.get(symbol)
        if found is None:
            raise LinkError(f"runtime.wasm has no function {symbol!r}: rebuild the runtime")
        return found

    def _policy_targets(self, function: Assembled) -> list[int | str]:
        self.indirect.update(value_type(params) for params in function.indirect)
        return [self._resolve(symbol) for symbol in function.calls]

    def _runtime_targets(self, index: int) -> list[int | str]:
        targets: list[int | str] = []
        for _, _, is_type, target in self.image.sites[index - self.n_imports]:
            if is_type:
                self.indirect.add(self.image.module.types[target])
            else:
                targets.append(target)
        return targets

    def _entries(self) -> Iterable[tuple[int, int | str]]:
        """(table position, function) of runtime and policy."""
        for segment in self.image.module.elements:
            yield from enumerate(segment.funcs, segment.offset)
        yield from enumerate(self.generated.table, self.generated.table_base)

    def _live_entries(self) -> list[tuple[int, int | str]]:
        if not self.indirect:
            return []
        return [(at, f) for at, f in self._entries() if self._type_of(f) in self.indirect]

    def _type_of(self, function: int | str) -> FuncType:
        if isinstance(function, str):
            return value_type(self.generated_by_name[function].params)
        if function < self.n_imports:
            index = self.image.func_imports[function].descriptor
            assert isinstance(index, int)
            return self.image.module.types[index]
        return self.image.module.types[self.image.module.codes[function - self.n_imports].type]

    # -- output ---------------------------------------------------------------------------------------------

    def _type_index(self, wanted: FuncType) -> int:
        try:
            return self.types.index(wanted)
        except ValueError:
            self.types.append(wanted)
            return len(self.types) - 1

    def _runtime_code(self, index: int, number: dict[int, int]) -> Code:
        code = self.image.module.codes[index - self.n_imports]
        sites = self.image.sites[index - self.n_imports]
        if not sites:
            return code
        parts: list[bytes] = []
        at = 0
        for offset, width, is_type, target in sites:
            if not is_type:
                parts += (code.body[at:offset], uleb(number[target]))
                at = offset + width
        parts.append(code.body[at:])
        return Code(code.type, b"".join(parts))

    def _policy_codes(
        self, functions: Iterable[Assembled], names: dict[str, int], number: dict[int, int]
    ) -> list[Code]:
        numbers = dict(self.generated.numbers)
        first = len(self.image.module.globals)
        for i in range(self.generated.globals):
            numbers[f"global {i}"] = uleb(first + i)
        codes: list[Code] = []
        for f in functions:
            for symbol in f.calls:
                hole = "call " + symbol
                if hole not in numbers:
                    numbers[hole] = uleb(self._export_index(symbol, names, number))
            for params in f.indirect:
                numbers[f"type {params}"] = uleb(self._type_index(value_type(params))) + b"\0"
            wanted = FuncType((op.I32,) * f.params, (op.I32,) * f.results)
            codes.append(Code(self._type_index(wanted), f.body(numbers)))
        return codes

    def _export_index(self, symbol: str, names: dict[str, int], number: dict[int, int]) -> int:
        resolved = self._resolve(symbol)
        return names[resolved] if isinstance(resolved, str) else number[resolved]

    def _tables(self) -> tuple[TableType, ...]:
        if not self.indirect:
            return ()
        size = self.generated.table_base + len(self.generated.table)
        return (TableType(op.FUNCREF, Limits(size, size)),)

    def _elements(self, names: dict[str, int], number: dict[int, int]) -> Iterable[ElementSegment]:
        run: list[int] = []
        start = 0
        for at, function in self._live_entries():
            index = names[function] if isinstance(function, str) else number[function]
            if run and at != start + len(run):
                yield ElementSegment(start, tuple(run))
                run = []
            if not run:
                start = at
            run.append(index)
        if run:
            yield ElementSegment(start, tuple(run))


def value_type(params: int) -> FuncType:
    """The type of a function over values."""
    return FuncType((op.I32,) * params, (op.I32,))
