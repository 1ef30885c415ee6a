"""Runs a module that imports its memory (OPA's ABI 1.2 and later: `opa build -t wasm`, and our own linked form)
through wasmtime's public API. Slower than `native.Program`, and its oracle in tests.

It must not be used for the daemon's own policies.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import wasmtime

from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.vm.limits import Limits
from cupcake.engine.vm.native import Machine, Session, abort_error, trap_error

_PAGE = 65536


class ForeignProgram:
    """A module of OPA's ABI with its base document."""

    def __init__(
        self, machine: Machine, module: wasmtime.Module, limits: Limits, data: bytes
    ) -> None:
        self._machine, self._module, self.limits = machine, module, limits
        self._data = data
        exports = {e.name for e in module.exports}
        missing = {"opa_eval", "builtins", "entrypoints", "opa_malloc", "opa_json_parse"} - exports
        if missing:
            raise LoadError(
                f"the module does not export {', '.join(sorted(missing))}: it is not of OPA's WebAssembly ABI 1.2 or later"
            )
        memory = [i.type for i in module.imports if isinstance(i.type, wasmtime.MemoryType)]
        if len(memory) != 1:
            raise LoadError("the module does not import env.memory as OPA's ABI wants")
        self._pages = int(memory[0].limits.min)
        running = _Running(self, None)
        self.builtins: dict[str, int] = running.document("builtins")
        self.entrypoints: dict[str, int] = running.document("entrypoints")

    def run(
        self, text: bytes, entrypoint: int, options: int, session: Session, form: int = 0
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
        return running.read(
            running.call("opa_eval", options, entrypoint, data, at, len(text), heap, form)
        )


class _Running:
    """One Store, with the module's instance in it."""

    def __init__(self, program: ForeignProgram, session: Session | None) -> None:
        machine, module = program._machine, program._module
        self.session = session
        self.error: BaseException | None = None
        self.store = wasmtime.Store(machine.engine)
        self.store.set_limits(memory_size=program.limits.memory_bytes)
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
                elif isinstance(item.type, wasmtime.FuncType) and item.module == "env":
                    imports.append(
                        wasmtime.Func(self.store, item.type, self._host(item.name or ""))
                    )
                else:
                    raise LoadError(
                        f"the module imports {item.module}.{item.name}, which is not of OPA's ABI"
                    )
            self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        except wasmtime.WasmtimeError as e:
            raise EvaluationError("eval_limit_memory", str(e).strip().splitlines()[0]) from e
        except wasmtime.Trap as e:
            raise LoadError(
                "the module cannot be started: its data does not fit into the memory that it asks for"
            ) from e

    def _host(self, name: str) -> Callable[..., Any]:
        def abort(address: int) -> None:
            self._fail(abort_error(self.read(address).decode("utf-8", "replace")))

        def println(address: int) -> None:
            return None

        def builtin(number: int, ctx: int, *operands: int) -> int:
            try:
                if self.session is None:
                    raise EvaluationError(
                        "eval_internal_error", "a builtin is called where none is served"
                    )
                texts = tuple(
                    self.read(self.call("opa_value_dump", o)).decode("utf-8", "replace")
                    for o in operands
                )
                result = self.session.call(number, texts)
                return 0 if result is None else self.parse("opa_value_parse", result.encode())
            except Exception as e:
                self._fail(e)
                return 0

        if name == "opa_abort":
            return abort
        if name == "opa_println":
            return println
        if name.startswith("opa_builtin"):
            return builtin
        raise LoadError(f"the module imports env.{name}, which is not of OPA's ABI")

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
        address &= 0xFFFFFFFF
        data = self.memory.read(self.store, address, self.memory.data_len(self.store))
        return bytes(data[: data.index(0)]) if 0 in data else bytes(data)

    def write(self, data: bytes) -> int:
        address = self.call("opa_malloc", len(data) + 1)
        if not address or address + len(data) > self.memory.data_len(self.store):
            raise EvaluationError("eval_limit_memory", "no memory for the input")
        self.memory.write(self.store, data, address)
        return address

    def parse(self, function: str, data: bytes) -> int:
        value = self.call(function, self.write(data), len(data))
        if not value:
            raise EvaluationError(
                "eval_input_error", "the module cannot read a document that it is given"
            )
        return value

    def document(self, function: str) -> dict[str, int]:
        """`builtins` or `entrypoints`: names and numbers."""
        found = json.loads(self.read(self.call("opa_json_dump", self.call(function))))
        if not isinstance(found, dict):
            raise LoadError(f"the module's {function} are no object")
        return {str(k): int(v) for k, v in found.items()}
