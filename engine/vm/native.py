"""wasmtime, by way of its C API: compile, load, and one evaluation in a fresh Store. The only importer of wasmtime.

The public Python API costs as much per call as a whole evaluation takes here, so `Program.run` calls the C functions
itself, with argument memory prepared once a thread. It must not know Rego: texts go in, a text comes out.

Memory safety rests on three habits: pointers into linear memory are fetched again after every call, every read is
bounded by the memory's size, and a Store is deleted before its frame is used again.
"""

from __future__ import annotations

import contextlib
import ctypes as c
import functools
import platform
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import wasmtime
from wasmtime import _bindings as raw

from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.places import place_of
from cupcake.engine.runtime.abi import TEXT_HOST
from cupcake.engine.vm import capi, pool
from cupcake.engine.vm.failures import PoolIsFull, abort_error, first_line, take_error, translate
from cupcake.engine.vm.limits import STACK_BYTES, Limits, Ticker
from cupcake.engine.vm.screen import screen

_SLOTS = 8
# What a policy hands on to its core, in the order of the core's imports (`wasm/split.py`).
_SHARED = (b"memory", b"table")
_HOST_ARGS = 4
_CHUNK = 1024
_VALS = raw.wasmtime_val_raw_t * _SLOTS
_ARGS_OF_CORE = 3
_VALS_OF_CORE = raw.wasmtime_val_raw_t * _ARGS_OF_CORE
_ARGS = struct.Struct("<" + f"i{capi.VAL - 4}x" * 7)
_ARG1 = struct.Struct(f"<i{capi.VAL - 4}x")
_DOCUMENT = struct.Struct("<3I")  # `document` of document.c
_ARG2 = struct.Struct("<" + f"i{capi.VAL - 4}x" * 2)
_ARG3 = struct.Struct("<" + f"i{capi.VAL - 4}x" * _ARGS_OF_CORE)


class DoesNotFit(LoadError):
    """The module or its limits are larger than a slot of the pool."""


class Session(Protocol):
    """Who serves the host calls of one evaluation (`hostcalls.HostSession`)."""

    def call(self, number: int, operands: tuple[str, ...]) -> str | None: ...


class _Frame:
    """Argument memory of one evaluation; reused by the thread for the next one."""

    __slots__ = (
        "at_core", "at_externs", "at_func", "at_memory", "at_policy", "at_trap", "at_vals", "context", "core", "error",
        "externs", "floor", "func", "policy", "session", "trap", "vals",
    )  # fmt: skip

    def __init__(self) -> None:
        self.core, self.policy = raw.wasmtime_instance_t(), raw.wasmtime_instance_t()
        self.externs = (raw.wasmtime_extern_t * len(_SHARED))()
        self.func = raw.wasmtime_extern_t()
        self.vals = _VALS()
        self.trap = c.c_void_p()
        self.at_core, self.at_policy = c.addressof(self.core), c.addressof(self.policy)
        self.at_externs, self.at_func = c.addressof(self.externs), c.addressof(self.func)
        self.at_memory = self.at_externs + capi.OF
        self.at_vals, self.at_trap = c.addressof(self.vals), c.addressof(self.trap)
        self.context = 0
        self.floor = 0  # what the memory has at least
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
        error = capi.call(
            self.context, c.addressof(func) + capi.OF, vals, _ARGS_OF_CORE, c.byref(trap)
        )
        if error or trap.value:
            raise translate(error, trap.value, self.error)
        return int(vals[0].i32) & 0xFFFFFFFF

    def text(self, address: int) -> bytes:
        """The NUL-terminated bytes at an address of linear memory."""
        base = capi.memory_data(self.context, self.at_memory)
        if 0 < address < self.floor - _CHUNK:
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
        """Rego text of a value of the running module, in the form for hosts (`text.py`)."""
        address = self.call_core(b"rt_write", _ARG2.pack(_signed(value), TEXT_HOST))
        return self.text(address).decode("utf-8", "replace")

    def parse(self, text: str) -> int:
        """A value of the running module from Rego text."""
        data = text.encode("utf-8", "replace")
        address = self.call_core(b"opa_malloc", _ARG1.pack(len(data) + 1))
        if address + len(data) > capi.memory_size(self.context, self.at_memory) or not address:
            raise EvaluationError("eval_limit_memory", "no memory for the result of a builtin")
        c.memmove(capi.memory_data(self.context, self.at_memory) + address, data, len(data))
        value = self.call_core(b"rt_read", _ARG3.pack(_signed(address), len(data), TEXT_HOST))
        if not value:
            raise EvaluationError(
                "eval_internal_error", "a builtin's result is no value that the module reads"
            )
        return value


class _Frames(threading.local):
    """Per thread: frames at rest, and the evaluations that are running (nested when a builtin evaluates)."""

    def __init__(self) -> None:
        self.idle: list[_Frame] = []
        self.running: list[_Frame] = []


# How native code is made: by Cranelift for speed, by Cranelift in a hurry, by Winch in one pass.
Code: TypeAlias = Literal["optimised", "quick", "baseline"]


class Machine:
    """The process's wasmtime engine, its ticker, and the cores that policies run on."""

    def __init__(self, code: Code = "optimised", *, pooled: bool = False) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.max_wasm_stack = STACK_BYTES
        match code:
            case "optimised":
                config.cranelift_opt_level = "speed"
            case "quick":
                config.cranelift_opt_level = "none"
                config.cranelift_flag_set("regalloc_algorithm", "single_pass")
            case "baseline":
                capi.strategy_set(capi.address_of(config), capi.STRATEGY_WINCH)
        self.memory_bytes = Limits().memory_bytes if pooled else None
        if self.memory_bytes is not None:
            pool.use(config, self.memory_bytes)
        self.code = code
        self.engine = wasmtime.Engine(config)
        self.at_engine = capi.address_of(self.engine)
        self.ticker = Ticker(self.engine.increment_epoch)
        self.frames = _Frames()
        self._cores: dict[str, _Core] = {}
        self._lock = threading.Lock()
        self._abort = capi.CALLBACK(self._on_abort)
        self._host = capi.CALLBACK(self._on_host)

    @property
    def identity(self) -> str:
        """What a compiled module depends on beside its source: part of the cache's key."""
        return "|".join(
            (
                _wasmtime_version(),
                platform.system(),
                platform.machine(),
                _cpu_flags(),
                self.code,
                "pool" if self.memory_bytes is not None else "",
            )
        )

    def compile(self, wasm: bytes) -> wasmtime.Module:
        """LoadError when it is no valid module, DoesNotFit when a pooled machine cannot hold it."""
        screen(wasm)
        try:
            return wasmtime.Module(self.engine, wasm)
        except wasmtime.WasmtimeError as e:
            if self.memory_bytes is not None and "pooling allocator" in str(e):
                raise DoesNotFit(first_line(e)) from e
            raise LoadError(f"not a valid WebAssembly module: {first_line(e)}") from e

    def serialize(self, module: wasmtime.Module) -> bytes:
        return bytes(module.serialize())

    def deserialize(self, native: bytes) -> wasmtime.Module | None:
        """The module of trusted native code; None when wasmtime finds that it is not of this engine."""
        try:
            return wasmtime.Module.deserialize(self.engine, native)
        except wasmtime.WasmtimeError:
            return None

    def moved(self, module: wasmtime.Module, to: Machine) -> wasmtime.Module:
        """A module of this machine as one of another with the same settings but for the pool."""
        found = to.deserialize(self.serialize(module))
        if found is None:
            raise EvaluationError("eval_internal_error", "a module cannot leave the pool")
        return found

    def core(self, name: str, compiled: Callable[[], wasmtime.Module]) -> _Core:
        """The core of this name, compiled at its first use."""
        with self._lock:
            found = self._cores.get(name)
            if found is None:
                if len(self._cores) >= 4:
                    # Cores differ only between versions of the runtime; keep the newest few.
                    self._cores.pop(next(iter(self._cores)))
                found = self._cores[name] = self._core(name, compiled)
            return found

    # -- host functions: (env, caller, values, count) -> trap or 0

    def _guarded(self, serve: Callable[[_Frame, Any], None], values: int) -> int:
        frame = self.frames.running[-1]
        try:
            serve(frame, _VALS.from_address(values))
        except BaseException as e:
            if frame.error is None:
                frame.error = e
            return int(capi.trap_new(b"host", 4) or 0)
        return 0

    def _on_abort(self, env: int, caller: int, values: int, count: int) -> int:
        def serve(frame: _Frame, vals: Any) -> None:
            raise abort_error(frame.text(int(vals[0].i32) & 0xFFFFFFFF).decode("utf-8", "replace"))

        return self._guarded(serve, values)

    def _on_host(self, env: int, caller: int, values: int, count: int) -> int:
        def serve(frame: _Frame, vals: Any) -> None:
            arity, number = int(vals[0].i32), int(vals[1].i32)
            operands = tuple(
                int(vals[i + 2].i32) & 0xFFFFFFFF for i in range(min(arity, _HOST_ARGS))
            )
            if frame.session is None:
                raise EvaluationError(
                    "eval_internal_error", "a builtin is called where none is served"
                )
            text = frame.session.call(number, tuple(frame.dump(o) for o in operands))
            vals[0].i32 = 0 if text is None else _signed(frame.parse(text))

        return self._guarded(serve, values)

    def _core(self, namespace: str, compiled: Callable[[], wasmtime.Module]) -> _Core:
        linker = wasmtime.Linker(self.engine)
        i32 = wasmtime.ValType.i32
        for name, callback, parameters, results in (
            (b"abort", self._abort, 1, 0),
            (b"host", self._host, 2 + _HOST_ARGS, 1),
        ):
            kind = wasmtime.FuncType([i32()] * parameters, [i32()] * results)
            module = namespace.encode()
            error = capi.define_unchecked(
                capi.address_of(linker),
                module,
                len(module),
                name,
                len(name),
                capi.address_of(kind),
                callback,
                None,
                None,
            )
            if error:
                raise LoadError(take_error(error))
        return _Core(namespace, compiled(), linker)


@dataclass(frozen=True, slots=True)
class _Core:
    """The runtime's module, and the host functions under the name that policies for it import from."""

    namespace: str
    module: wasmtime.Module
    linker: wasmtime.Linker


class Program:
    """A policy module ready to run on its core."""

    def __init__(
        self,
        machine: Machine,
        core: _Core,
        module: wasmtime.Module,
        limits: Limits,
        source_map: str,
    ) -> None:
        self._spare: deque[tuple[int, _Frame]] = deque()
        self._preparing = threading.Lock()
        self._retired: list[int] = []
        self._source_map = source_map
        self._machine, self._core, self._module = machine, core, module
        self._twin: Program | None = None
        if machine.memory_bytes is not None and limits.memory_bytes > machine.memory_bytes:
            raise DoesNotFit("the memory limit is larger than a slot of the pool")
        # A slot of the pool is a limit by itself.
        self._room = 0
        self._is_limited = limits.memory_bytes != machine.memory_bytes
        try:
            self._pre = core.linker.instantiate_pre(module)
        except wasmtime.WasmtimeError as e:
            raise LoadError(
                f"the policy was compiled for another version of the runtime, compile it again ({first_line(e)})"
            ) from e
        self._at_pre, self._at_core = capi.address_of(self._pre), capi.address_of(core.module)
        self.limits = limits
        self._ticks = limits.ticks
        self._early = False
        try:
            store, frame = self._take(None)
            try:
                self._heap = frame.call_core(b"opa_heap_ptr_get", b"")
                # Every instance starts with as much.
                self._room = int(capi.memory_size(frame.context, frame.at_memory))
            finally:
                self._give_back(store, frame)
        except PoolIsFull as e:
            raise DoesNotFit("every slot of the pool is in use") from e
        except EvaluationError as e:
            raise LoadError(f"the policy cannot be started: {e.message}") from e

    def run(
        self, text: bytes, entrypoint: int, options: int, session: Session | None, form: int = 0
    ) -> bytes:
        """One evaluation in a Store of its own: input text (b"" = no input) -> text of the result set. `session` None: the
        policy calls nothing of the host."""
        size = len(text)
        if size > self.limits.input_bytes:
            raise EvaluationError(
                "eval_limit_input",
                f"the input has {size} bytes, the limit is {self.limits.input_bytes}",
            )
        try:
            store, frame = self._take(session)
        except PoolIsFull:
            return self._outside_of_pool().run(text, entrypoint, options, session, form)
        try:
            context = frame.context
            if not capi.export_get(context, frame.at_policy, b"opa_eval", 8, frame.at_func):
                raise EvaluationError("eval_internal_error", "the module does not export opa_eval")
            heap = self._heap
            end = heap + size + 8 & ~7
            if end > self._room:
                self._grow(frame, (end - self._room >> 16) + 1)
            c.memmove(capi.memory_data(context, frame.at_memory) + heap, text, size)
            _ARGS.pack_into(frame.vals, 0, options, entrypoint, 0, heap, size, end, form)
            error = capi.call(
                context, frame.at_func + capi.OF, frame.at_vals, _SLOTS, frame.at_trap
            )
            if error or frame.trap.value or frame.error is not None:
                failure = translate(error, frame.trap.value, frame.error)
                if isinstance(failure, EvaluationError):
                    failure.place, failure.col = _placed(failure.place, self._source_map)
                raise failure
            return frame.text(frame.vals[0].i32 & 0xFFFFFFFF)
        finally:
            self._give_back(store, frame)

    def lay_out(self, text: str, base: int) -> tuple[bytes, int]:
        """A value as the bytes of a data segment at address `base`, and the address that it has there."""
        store, frame = self._take(None)
        try:
            value = frame.parse(text)
            at = frame.call_core(b"rt_document", _ARG2.pack(_signed(value), base))
            memory = capi.memory_data(frame.context, frame.at_memory)
            start, size, root = _DOCUMENT.unpack(c.string_at(memory + at, _DOCUMENT.size))
            if start + size > capi.memory_size(frame.context, frame.at_memory):
                raise EvaluationError("eval_internal_error", "a document ends outside of memory")
            return c.string_at(memory + start, size), root
        finally:
            self._give_back(store, frame)

    def _outside_of_pool(self) -> Program:
        """The same program on a machine without a pool, made when it is needed first."""
        if self._twin is None:
            machine, core = plain_machine(), self._core
            self._twin = Program(
                machine,
                machine.core(core.namespace, lambda: self._machine.moved(core.module, machine)),
                self._machine.moved(self._module, machine),
                self.limits,
                self._source_map,
            )
        return self._twin

    def _grow(self, frame: _Frame, pages: int) -> None:
        previous = c.c_uint64()
        error = capi.memory_grow(frame.context, frame.at_memory, pages, c.byref(previous))
        if error:
            take_error(error)
            raise EvaluationError(
                "eval_limit_memory",
                f"the policy and its input need more than {self.limits.memory_bytes} bytes",
            )

    def prepare(self) -> None:
        """Make the next evaluation's Store now, and free the last one's, while nobody waits for an answer.

        It is used once, as any other: an evaluation never sees what another one left. At most one is kept."""
        self._early = True
        self._free_retired()
        if self._preparing.acquire(blocking=False):
            try:
                if not self._spare:
                    with contextlib.suppress(PoolIsFull):
                        self._spare.append(self._open())
            finally:
                self._preparing.release()

    def _free_retired(self) -> None:
        while self._retired:
            with contextlib.suppress(IndexError):  # another thread was faster
                capi.store_delete(self._retired.pop())

    def _open(self) -> tuple[int, _Frame]:
        """A fresh Store with both instances, and the frame that describes it."""
        idle = self._machine.frames.idle
        frame = idle.pop() if idle else _Frame()
        frame.session, frame.error, frame.trap.value = None, None, None
        store = capi.store_new(self._machine.at_engine, None, None)
        frame.context = context = capi.store_context(store)
        try:
            if self._is_limited:
                capi.store_limiter(store, self.limits.memory_bytes, -1, -1, -1, -1)
            self._machine.ticker.cover(self._ticks)
            capi.set_deadline(context, self._ticks)
            error = capi.instantiate_pre(self._at_pre, context, frame.at_policy, frame.at_trap)
            if error or frame.trap.value:
                raise translate(error, frame.trap.value, frame.error)
            at = frame.at_externs
            for name in _SHARED:
                capi.export_get(context, frame.at_policy, name, len(name), at)
                at += capi.EXTERN
            error = capi.instance_new(
                context, self._at_core, frame.at_externs, len(_SHARED), frame.at_core, frame.at_trap
            )
            if error or frame.trap.value:
                raise translate(error, frame.trap.value, frame.error)
        except BaseException:
            capi.store_delete(store)
            idle.append(frame)
            raise
        return int(store), frame

    def _take(self, session: Session | None) -> tuple[int, _Frame]:
        """A fresh Store with both instances, never used before, now the running one of this thread."""
        machine = self._machine
        made = None
        if self._spare:
            with contextlib.suppress(IndexError):  # another thread was faster
                made = self._spare.pop()
        if made is None:
            store, frame = self._open()
        else:
            store, frame = made
            machine.ticker.cover(self._ticks)
            capi.set_deadline(frame.context, self._ticks)
        frame.session, frame.floor = session, self._room
        machine.frames.running.append(frame)
        return store, frame

    def _give_back(self, store: int, frame: _Frame) -> None:
        """The Store is gone, with all that was in it."""
        frames = self._machine.frames
        frames.running.pop()
        if self._early:
            self._free_retired()
            self._retired.append(store)
        else:
            capi.store_delete(store)
        frame.session = frame.error = None
        frames.idle.append(frame)

    def __del__(self) -> None:
        # Stores are wasmtime's memory, not Python's: a program that was prepared holds up to two.
        for store, _ in getattr(self, "_spare", ()):
            capi.store_delete(store)
        if hasattr(self, "_retired"):
            self._free_retired()


def _signed(value: int) -> int:
    return value - (1 << 32) if value >= 1 << 31 else value


def _placed(offset: str, source_map: str) -> tuple[str, int]:
    return place_of(source_map, int(offset)) if offset and source_map else ("", 0)


@functools.cache
def _wasmtime_version() -> str:
    # The name of the folder that pip makes beside the package; the library for that takes 20 ms to load.
    beside = Path(wasmtime.__file__).parents[1].glob("wasmtime-*.dist-info")
    found = [folder.name for folder in beside]
    if len(found) == 1:
        return found[0].removesuffix(".dist-info")
    from importlib import metadata

    return metadata.version("wasmtime")


@functools.cache
def _cpu_flags() -> str:
    """What tells CPUs of one architecture apart; compiled code may use all their instructions."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith(("flags", "Features")):
                    return " ".join(sorted(set(line.split(":", 1)[1].split())))
    except OSError:
        pass
    return platform.processor()


@functools.cache
def machine() -> Machine:
    """The process's machine for policies that are evaluated often."""
    return Machine(pooled=True) if pool.is_possible() else plain_machine()


@functools.cache
def plain_machine() -> Machine:
    """The same without a pool: for what is too large for one, and when all of its slots are in use."""
    return Machine()


@functools.cache
def quick_machine() -> Machine:
    """The process's machine for policies that are evaluated a few times: code is made faster and runs slower."""
    # Winch makes code in a third of the time; elsewhere it is younger, or not there.
    is_tried = sys.platform == "linux" and platform.machine() == "x86_64"
    return Machine("baseline") if is_tried else quick_foreign_machine()


@functools.cache
def quick_foreign_machine() -> Machine:
    """The same for modules that others made, by the compiler that has met most of those."""
    return Machine("quick")
