"""Calls the C builtins of `runtime.wasm` directly, with values as text; for the tests of this folder.

Value text is OPA's: JSON, and `{1,2}`, `set()` and keys of any type. A fresh instance for each call,
as in an evaluation.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import wasmtime

from cupcake.engine import runtime
from cupcake.engine.builtins.host.regex import regex_compile
from cupcake.engine.builtins.registry import REGISTRY

WASM = Path(os.environ.get("CUPCAKE_RUNTIME", Path(runtime.__file__).with_name("runtime.wasm")))


class Aborted(Exception):
    """The runtime called opa_abort."""


@cache
def _module() -> tuple[wasmtime.Engine, wasmtime.Module]:
    engine = wasmtime.Engine()
    return engine, wasmtime.Module.from_file(engine, str(WASM))


class Machine:
    """One instance."""

    def __init__(self, *, strict: bool = True, max_memory: int = 64 << 20) -> None:
        engine, module = _module()
        self.store = wasmtime.Store(engine)
        self.store.set_limits(memory_size=max_memory)
        self.memory = wasmtime.Memory(self.store, wasmtime.MemoryType(wasmtime.Limits(16, None)))
        imports: list[wasmtime.Memory | wasmtime.Func] = []
        for item in module.imports:
            if item.name == "memory":
                imports.append(self.memory)
            else:
                assert isinstance(item.type, wasmtime.FuncType)
                imports.append(wasmtime.Func(self.store, item.type, self._import(item.name or "")))
        self.exports = wasmtime.Instance(self.store, module, imports).exports(self.store)
        self._poke("rt_strict", int(strict))
        self._poke("rt_regex_compile_id", 0)

    def _import(self, name: str) -> Callable[..., int | None]:
        def call(*args: int) -> int | None:
            if name == "opa_abort":
                raise Aborted(self._c_string(args[0]))
            if name == "opa_println":
                return None
            assert name == "opa_builtin1", name
            return self.value(_quoted(regex_compile(self._decoded(args[2]))))

        return call

    def _decoded(self, address: int) -> object:
        import json

        return json.loads(self.text(address))

    def _poke(self, variable: str, value: int) -> None:
        address = self.exports[variable].value(self.store)
        self.memory.write(self.store, value.to_bytes(4, "little", signed=True), address)

    def _c_string(self, address: int) -> str:
        raw = self.memory.read(self.store, address, address + 4_000_000)
        return bytes(raw[: raw.index(0)]).decode("utf-8", "replace")

    def value(self, text: str) -> int:
        raw = text.encode("utf-8", "surrogatepass")
        at = self.exports["opa_malloc"](self.store, len(raw) + 1)
        self.memory.write(self.store, raw + b"\0", at)
        address = int(self.exports["opa_value_parse"](self.store, at, len(raw)))
        assert address, f"not a value: {text!r}"
        return address

    def text(self, address: int) -> str:
        return self._c_string(self.exports["opa_value_dump"](self.store, address))

    def call(self, name: str, *args: str) -> str | None:
        symbol = REGISTRY[name].symbol
        result = self.exports[symbol](self.store, *(self.value(arg) for arg in args))
        return self.text(result) if result else None


def _quoted(text: str) -> str:
    import json

    return json.dumps(text)


def call(name: str, *args: str) -> str:
    """The result as value text, "undefined", or the message of the abort."""
    machine = Machine()
    try:
        result = machine.call(name, *args)
    except wasmtime.WasmtimeError as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, Aborted):
            return f"! {cause}"
        raise
    except Aborted as error:
        return f"! {error}"
    return "undefined" if result is None else result


def blob(text: str) -> bytes:
    """The bytes of a compiled pattern as the host hands it out."""
    return base64.b64decode(text)
