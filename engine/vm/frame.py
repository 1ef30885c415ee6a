"""One Store as ctypes sees it: its instances, and the argument memory of the evaluation that runs in it.

Memory safety rests on two habits: pointers into linear memory are fetched again after every call, and every read is
bounded by the memory's size. It must not start or end Stores.
"""

from __future__ import annotations

import ctypes as c
import struct
import threading
from typing import Protocol

from wasmtime import _bindings as raw

from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import capi
from cupcake.engine.vm.failures import translate

# Values of a call of `opa_eval`: its seven arguments, and one more for what a host function is given.
SLOTS = 8
# What a policy hands on to its core, in the order of the core's imports (`wasm/split.py`).
SHARED = (b"memory", b"table")
ARG1 = struct.Struct(f"<i{capi.VAL - 4}x")
ARG2 = struct.Struct("<" + f"i{capi.VAL - 4}x" * 2)
VALS = raw.wasmtime_val_raw_t * SLOTS
_VALS_OF_CORE = raw.wasmtime_val_raw_t * 2
_CHUNK = 1024


class Session(Protocol):
    """Who serves the host calls of one evaluation (`hostcalls.HostSession`)."""

    def call(self, number: int, operands: tuple[str, ...]) -> str | None: ...


class Frame:
    """A Store with both instances of a program, or room for one."""

    __slots__ = (
        "at_core", "at_extern", "at_externs", "at_func", "at_memory", "at_policy", "at_trap", "at_vals", "base", "context", "core", "entry",
        "error", "externs", "is_sealed", "is_sound", "policy", "room", "session", "store", "trap", "vals",
    )  # fmt: skip

    def __init__(self) -> None:
        self.core, self.policy = raw.wasmtime_instance_t(), raw.wasmtime_instance_t()
        self.externs = (raw.wasmtime_extern_t * len(SHARED))()
        self.entry = raw.wasmtime_extern_t()  # `opa_eval`
        self.vals = VALS()
        self.trap = c.c_void_p()
        self.at_core, self.at_policy = c.addressof(self.core), c.addressof(self.policy)
        self.at_externs, self.at_extern = c.addressof(self.externs), c.addressof(self.entry)
        self.at_func = self.at_extern + capi.OF
        self.at_memory = self.at_externs + capi.OF
        self.at_vals, self.at_trap = c.addressof(self.vals), c.addressof(self.trap)
        self.store = self.context = 0
        self.base = 0  # where the memory is, until the next call
        self.room = 0  # bytes that it has at least
        self.is_sealed = False  # its constants are read only
        self.is_sound = False  # its last evaluation came to its end
        self.session: Session | None = None
        self.error: BaseException | None = None

    # -- used by host calls, while the module runs

    def call_core(self, name: bytes, arguments: bytes) -> int:
        """Call an exported function of the core with packed arguments; returns its i32."""
        func = raw.wasmtime_extern_t()
        vals = _VALS_OF_CORE()
        trap = c.c_void_p()
        if not capi.export_get(self.context, self.at_core, name, len(name), c.byref(func)):
            raise EvaluationError(
                "eval_internal_error", f"the module does not export {name.decode()}"
            )
        c.memmove(vals, arguments, len(arguments))
        error = capi.call(self.context, c.addressof(func) + capi.OF, vals, 2, c.byref(trap))
        if error or trap.value:
            raise translate(error, trap.value, self.error)
        return int(vals[0].i32) & 0xFFFFFFFF

    def text(self, address: int) -> bytes:
        """The NUL-terminated bytes at an address of linear memory."""
        self.base = base = capi.memory_data(self.context, self.at_memory)
        if 0 < address < self.room - _CHUNK:
            chunk = c.string_at(base + address, _CHUNK)
            end = chunk.find(0)
            if end >= 0:
                return chunk[:end]
        size = capi.memory_size(self.context, self.at_memory)
        if not 0 < address < size:
            raise EvaluationError(
                "eval_internal_error", "the module gave an address outside of its memory"
            )
        # Not an array type of the right length: ctypes remembers each length for ever.
        room, take = size - address, _CHUNK
        while True:
            chunk = c.string_at(base + address, min(take, room))
            end = chunk.find(0)
            if end >= 0:
                return chunk[:end]
            if take >= room:
                raise EvaluationError(
                    "eval_internal_error", "the module gave a text without an end"
                )
            take *= 16

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at an address of linear memory."""
        if not 0 <= address <= capi.memory_size(self.context, self.at_memory) - size:
            raise EvaluationError(
                "eval_internal_error", "the module gave an address outside of its memory"
            )
        return c.string_at(capi.memory_data(self.context, self.at_memory) + address, size)

    def dump(self, value: int) -> str:
        """Rego text of a value of the running module."""
        return self.text(self.call_core(b"opa_value_dump", ARG1.pack(signed(value)))).decode(
            "utf-8", "replace"
        )

    def parse(self, text: str) -> int:
        """A value of the running module from Rego text."""
        data = text.encode("utf-8", "replace")
        address = self.call_core(b"opa_malloc", ARG1.pack(len(data) + 1))
        if address + len(data) > capi.memory_size(self.context, self.at_memory) or not address:
            raise EvaluationError("eval_limit_memory", "no memory for the result of a builtin")
        c.memmove(capi.memory_data(self.context, self.at_memory) + address, data, len(data))
        value = self.call_core(b"opa_value_parse", ARG2.pack(signed(address), len(data)))
        if not value:
            raise EvaluationError(
                "eval_internal_error", "a builtin's result is no value that the module reads"
            )
        return value


class Frames(threading.local):
    """Per thread: frames at rest, and the evaluations that are running (nested when a builtin evaluates)."""

    def __init__(self) -> None:
        self.idle: list[Frame] = []
        self.running: list[Frame] = []


def signed(value: int) -> int:
    """An unsigned 32-bit number as wasmtime's values hold it."""
    return value - (1 << 32) if value >= 1 << 31 else value
