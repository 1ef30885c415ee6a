"""Runs a module that imports its memory (OPA's ABI 1.2 and later: `opa build -t wasm`, and our own linked form)
through wasmtime's public API. Slower than `native.Program`, and its oracle in tests.

It must not be used for the daemon's own policies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import wasmtime

from cupcake.engine.builtins.texts import from_bytes, readable_bytes, readable_escapes
from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.runtime.abi import TEXT_HOST
from cupcake.engine.vm.failures import abort_error, trap_error
from cupcake.engine.vm.limits import Limits
from cupcake.engine.vm.native import Machine, Session

_PAGE = 65536


#: Number of i32 operands and results of what a module must export, and may import.
_EXPORTS = {
    "opa_eval": (7, 1),
    "builtins": (0, 1),
    "entrypoints": (0, 1),
    "opa_malloc": (1, 1),
    "opa_json_parse": (2, 1),
    "opa_json_dump": (1, 1),
    "opa_value_parse": (2, 1),
    "opa_value_dump": (1, 1),
    "opa_heap_ptr_get": (0, 1),
}
_IMPORTS = {
    "opa_abort": (1, 0),
    "opa_println": (1, 0),
    **{f"opa_builtin{n}": (n + 2, 1) for n in range(5)},
}
#: What modules of our own compiler export beside these: text that keeps bytes which are not UTF-8.
_HOST_TEXT = {"rt_read": (3, 1), "rt_write": (2, 1)}
_TABLE_ELEMENTS = 1 << 20
#: Calls of builtins inside of each other; an honest module has one.
_NESTED = 4


class ForeignProgram:
    """A module of OPA's ABI with its base document. LoadError for any other module."""

    def __init__(
        self, machine: Machine, module: wasmtime.Module, limits: Limits, data: bytes
    ) -> None:
        self._machine, self._module, self.limits = machine, module, limits
        self._data = data
        _check_exports(module)
        self.has_host_text = _has(module, _HOST_TEXT)
        self._pages = _check_imports(module)
        try:
            running = _Running(self, None)
            self.builtins: dict[str, int] = running.document("builtins")
            self.entrypoints: dict[str, int] = running.document("entrypoints")
        except EvaluationError as e:
            raise LoadError(f"the module cannot be started: {e.message} ({e.code})") from e

    def run(
        self, text: bytes, entrypoint: int, options: int, session: Session | None, form: int = 0
    ) -> bytes:
        """As `native.Program.run`."""
        if len(text) > self.limits.input_bytes:
            raise EvaluationError(
                "eval_limit_input",
                f"the input has {len(text)} bytes, the limit is {self.limits.input_bytes}",
            )
        running = _Running(self, session)
        data = running.parse("opa_json_parse", self._data)
        at = running.write(text)
        heap = running.call("opa_heap_ptr_get")
        answer = running.read(
            running.call("opa_eval", options, entrypoint, data, at, len(text), heap, form)
        )
        return answer if answer.isascii() else readable_bytes(answer).encode()


def _check_exports(module: wasmtime.Module) -> None:
    found = {e.name: e.type for e in module.exports}
    missing = _EXPORTS.keys() - found
    if missing:
        raise LoadError(
            f"the module does not export {', '.join(sorted(missing))}: it is not of OPA's WebAssembly ABI 1.2 or later"
        )
    for name, shape in _EXPORTS.items():
        if not _is_function(found[name], shape):
            raise LoadError(
                f"the module's export {name} is no function of OPA's ABI ({shape[0]} i32 in, {shape[1]} out)"
            )


def _has(module: wasmtime.Module, functions: dict[str, tuple[int, int]]) -> bool:
    found = {e.name: e.type for e in module.exports}
    return all(_is_function(found.get(name), shape) for name, shape in functions.items())


def _check_imports(module: wasmtime.Module) -> int:
    """The pages of memory that the module wants at first."""
    pages: list[int] = []
    for item in module.imports:
        name = f"{item.module}.{item.name}"
        if isinstance(item.type, wasmtime.MemoryType) and name == "env.memory":
            if item.type.is_64 or getattr(item.type, "is_shared", False):
                raise LoadError("the module wants a memory of 64 bits or one that threads share")
            pages.append(int(item.type.limits.min))
        elif item.module != "env" or item.name not in _IMPORTS:
            raise LoadError(f"the module imports {name}, which is not of OPA's ABI")
        elif not _is_function(item.type, _IMPORTS[item.name]):
            raise LoadError(f"the module imports {name} as something else than OPA's ABI has it")
    if len(pages) != 1:
        raise LoadError("the module does not import env.memory as OPA's ABI wants")
    return pages[0]


def _is_function(kind: object, shape: tuple[int, int]) -> bool:
    if not isinstance(kind, wasmtime.FuncType):
        return False
    all_i32 = all(str(t) == "i32" for t in (*kind.params, *kind.results))
    return all_i32 and (len(kind.params), len(kind.results)) == shape


class _Running:
    """One Store, with the module's instance in it."""

    def __init__(self, program: ForeignProgram, session: Session | None) -> None:
        machine, module = program._machine, program._module
        self.session = session
        self.error: BaseException | None = None
        self._nested = 0
        self._has_host_text = program.has_host_text
        self.store = wasmtime.Store(machine.engine)
        self.store.set_limits(
            memory_size=program.limits.memory_bytes, table_elements=_TABLE_ELEMENTS
        )
        self.store.set_epoch_deadline(program.limits.ticks)
        machine.ticker.cover(program.limits.ticks)
        try:
            self.memory = wasmtime.Memory(
                self.store, wasmtime.MemoryType(wasmtime.Limits(program._pages, None))
            )
            imports: list[Any] = []
            for item in module.imports:
                if isinstance(item.type, wasmtime.MemoryType):
                    imports.append(self.memory)
                else:
                    imports.append(
                        wasmtime.Func(self.store, cast(Any, item.type), self._host(item.name or ""))
                    )
            self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        except wasmtime.WasmtimeError as e:
            raise EvaluationError("eval_limit_memory", str(e).strip().splitlines()[0]) from e
        except wasmtime.Trap as e:
            # Of a start function, or of data that does not fit into the memory that the module asks for.
            raise (self.error or trap_error(e)) from e

    def _host(self, name: str) -> Callable[..., Any]:
        def abort(address: int) -> None:
            self._fail(abort_error(readable_bytes(self.read(address))))

        def println(address: int) -> None:
            return None

        def builtin(number: int, ctx: int, *operands: int) -> int:
            self._nested += 1
            try:
                if self._nested > _NESTED:
                    raise EvaluationError(
                        "eval_limit_depth",
                        "the module calls builtins while its host reads operands",
                    )
                if self.session is None:
                    raise EvaluationError(
                        "eval_internal_error", "a builtin is called where none is served"
                    )
                texts = tuple(self._dumped(o) for o in operands)
                result = self.session.call(number, texts)
                return 0 if result is None else self._parsed(result)
            except Exception as e:
                self._fail(e)
                return 0
            finally:
                self._nested -= 1

        if name == "opa_abort":
            return abort
        return println if name == "opa_println" else builtin

    def _fail(self, error: Exception) -> None:
        if self.error is None:
            self.error = error
        raise error

    def call(self, name: str, *arguments: int) -> int:
        """An exported function; i32 in, unsigned i32 out."""
        try:
            result = cast(wasmtime.Func, self.exports[name])(self.store, *arguments)
        except wasmtime.Trap as e:
            raise (self.error or trap_error(e)) from None
        except Exception as e:
            raise (self.error or e) from None
        return int(result or 0) & 0xFFFFFFFF

    def read(self, address: int) -> bytes:
        """The NUL-terminated bytes at an address."""
        size = self.memory.data_len(self.store)
        if not 0 < address < size:
            raise EvaluationError(
                "eval_internal_error", "the module gave an address outside of its memory"
            )
        at, take = address, 1024
        found = bytearray()
        while at < size:
            chunk = bytes(self.memory.read(self.store, at, min(at + take, size)))
            end = chunk.find(0)
            if end >= 0:
                return bytes(found + chunk[:end])
            found += chunk
            at, take = at + take, take * 16
        raise EvaluationError("eval_internal_error", "the module gave a text without an end")

    def write(self, data: bytes) -> int:
        address = self.call("opa_malloc", len(data) + 1)
        if not address or address + len(data) > self.memory.data_len(self.store):
            raise EvaluationError("eval_limit_memory", "no memory for the input")
        self.memory.write(self.store, data, address)
        return address

    def _dumped(self, value: int) -> str:
        """Value text for a builtin of the host."""
        if self._has_host_text:
            return from_bytes(self.read(self.call("rt_write", value, TEXT_HOST)))
        # OPA's own runtime writes the bytes of strings as they are.
        return from_bytes(self.read(self.call("opa_value_dump", value)))

    def _parsed(self, text: str) -> int:
        """The value of a builtin's answer."""
        if self._has_host_text:
            return self.parse("rt_read", text.encode(), TEXT_HOST)
        # And reads nothing but UTF-8.
        return self.parse("opa_value_parse", readable_escapes(text).encode())

    def parse(self, function: str, data: bytes, *form: int) -> int:
        value = self.call(function, self.write(data), len(data), *form)
        if not value:
            raise EvaluationError(
                "eval_input_error", "the module cannot read a document that it is given"
            )
        return value

    def document(self, function: str) -> dict[str, int]:
        """`builtins` or `entrypoints`: names and numbers."""
        raw = self.read(self.call("opa_json_dump", self.call(function)))
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(type(n) is int for n in found.values()):
            raise LoadError(f"the module's {function} are no object of names and numbers")
        return found
