"""wasmtime, by way of its C API: compile, load, and one evaluation in a Store in which nothing else has left anything.

The public Python API costs as much per call as a whole evaluation takes here, so `Program.run` calls the C functions
itself, with argument memory prepared once a Store. It must not know Rego: texts go in, a text comes out.
"""

from __future__ import annotations

import contextlib
import ctypes as c
import functools
import platform
import struct
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import wasmtime

from cupcake.engine.errors import EvaluationError, LoadError
from cupcake.engine.places import place_of
from cupcake.engine.vm import capi, pool, renewal
from cupcake.engine.vm.failures import PoolIsFull, abort_error, first_line, take_error, translate
from cupcake.engine.vm.frame import ARG2, SHARED, SLOTS, VALS, Frame, Frames, Session, signed
from cupcake.engine.vm.limits import STACK_BYTES, Limits, Ticker
from cupcake.engine.vm.screen import screen

_HOST_ARGS = 4
# Stores that a program keeps for its next evaluations, as many as it may have at once without making new ones.
_KEPT = 4
_ARGS = struct.Struct("<" + f"i{capi.VAL - 4}x" * 7)
_DOCUMENT = struct.Struct("<3I")  # `document` of document.c


class DoesNotFit(LoadError):
    """The module or its limits are larger than a slot of the pool."""


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
        self.frames = Frames()
        self._cores: dict[str, _Core] = {}
        self._lock = threading.Lock()
        self._holders: weakref.WeakSet[Program] = weakref.WeakSet()
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

    def holds(self, program: Program) -> None:
        """The program keeps Stores from now on."""
        with self._lock:
            self._holders.add(program)

    def free_slots(self) -> None:
        """Give back every Store that is kept and in which nothing runs."""
        with self._lock:
            holders = list(self._holders)
        for program in holders:
            program.let_go()

    # -- host functions: (env, caller, values, count) -> trap or 0

    def _guarded(self, serve: Callable[[Frame, Any], None], values: int) -> int:
        frame = self.frames.running[-1]
        try:
            serve(frame, VALS.from_address(values))
        except BaseException as e:
            if frame.error is None:
                frame.error = e
            return int(capi.trap_new(b"host", 4) or 0)
        return 0

    def _on_abort(self, env: int, caller: int, values: int, count: int) -> int:
        def serve(frame: Frame, vals: Any) -> None:
            raise abort_error(frame.text(int(vals[0].i32) & 0xFFFFFFFF).decode("utf-8", "replace"))

        return self._guarded(serve, values)

    def _on_host(self, env: int, caller: int, values: int, count: int) -> int:
        def serve(frame: Frame, vals: Any) -> None:
            arity, number = int(vals[0].i32), int(vals[1].i32)
            operands = tuple(
                int(vals[i + 2].i32) & 0xFFFFFFFF for i in range(min(arity, _HOST_ARGS))
            )
            if frame.session is None:
                raise EvaluationError(
                    "eval_internal_error", "a builtin is called where none is served"
                )
            text = frame.session.call(number, tuple(frame.dump(o) for o in operands))
            vals[0].i32 = 0 if text is None else signed(frame.parse(text))

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
    """A policy module ready to run on its core.

    Every evaluation finds a Store as it was made: a new one, or one that was renewed. What may be left of an evaluation
    is memory; the module's own variables are set at the start of `opa_eval`, and its tables never change."""

    def __init__(
        self,
        machine: Machine,
        core: _Core,
        module: wasmtime.Module,
        limits: Limits,
        source_map: str,
        *,
        constants: tuple[int, int] = (0, 0),
    ) -> None:
        """`constants`: start and end in linear memory of what no instruction writes; (0, 0) = not known, so that no Store
        serves twice."""
        self._spare: deque[Frame] = deque()
        self._used: deque[Frame] = deque()
        self._preparing = threading.Lock()
        self._constants = constants
        self._baseline: renewal.Baseline | None = None
        self._holds = False
        self._source_map = source_map
        self._machine, self._core, self._module = machine, core, module
        self._twin: Program | None = None
        if machine.memory_bytes is not None and limits.memory_bytes > machine.memory_bytes:
            raise DoesNotFit("the memory limit is larger than a slot of the pool")
        # A slot of the pool is a limit by itself.
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
            frame = self._take(None)
            try:
                self._heap = frame.call_core(b"opa_heap_ptr_get", b"")
            finally:
                self._give_back(frame)
        except PoolIsFull as e:
            raise DoesNotFit("every slot of the pool is in use") from e
        except EvaluationError as e:
            raise LoadError(f"the policy cannot be started: {e.message}") from e

    def run(
        self, text: bytes, entrypoint: int, options: int, session: Session | None, form: int = 0
    ) -> bytes:
        """One evaluation in a Store that is as new: input text (b"" = no input) -> text of the result set. `session` None: the
        policy calls nothing of the host."""
        size = len(text)
        if size > self.limits.input_bytes:
            raise EvaluationError(
                "eval_limit_input",
                f"the input has {size} bytes, the limit is {self.limits.input_bytes}",
            )
        try:
            frame = self._take(session)
        except PoolIsFull:
            return self._outside_of_pool().run(text, entrypoint, options, session, form)
        try:
            context = frame.context
            heap = self._heap
            end = heap + size + 8 & ~7
            if end > frame.room:
                self._grow(frame, (end - frame.room >> 16) + 1)
            c.memmove(frame.base + heap, text, size)
            _ARGS.pack_into(frame.vals, 0, options, entrypoint, 0, heap, size, end, form)
            error = capi.call(context, frame.at_func, frame.at_vals, SLOTS, frame.at_trap)
            if error or frame.trap.value or frame.error is not None:
                failure = translate(error, frame.trap.value, frame.error)
                if isinstance(failure, EvaluationError):
                    failure.place, failure.col = _placed(failure.place, self._source_map)
                raise failure
            found = frame.text(frame.vals[0].i32 & 0xFFFFFFFF)
            frame.is_sound = True
            return found
        finally:
            self._give_back(frame)

    def lay_out(self, text: str, base: int) -> tuple[bytes, int]:
        """A value as the bytes of a data segment at address `base`, and the address that it has there."""
        frame = self._take(None)
        try:
            value = frame.parse(text)
            at = frame.call_core(b"rt_document", ARG2.pack(signed(value), base))
            memory = capi.memory_data(frame.context, frame.at_memory)
            start, size, root = _DOCUMENT.unpack(c.string_at(memory + at, _DOCUMENT.size))
            if start + size > capi.memory_size(frame.context, frame.at_memory):
                raise EvaluationError("eval_internal_error", "a document ends outside of memory")
            return c.string_at(memory + start, size), root
        finally:
            self._give_back(frame)

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
                constants=self._constants,
            )
        return self._twin

    def _grow(self, frame: Frame, pages: int) -> None:
        """More memory for the input."""
        previous = c.c_uint64()
        error = capi.memory_grow(frame.context, frame.at_memory, pages, c.byref(previous))
        if error:
            take_error(error)
            raise EvaluationError(
                "eval_limit_memory",
                f"the policy and its input need more than {self.limits.memory_bytes} bytes",
            )
        frame.base = capi.memory_data(frame.context, frame.at_memory)

    def prepare(self) -> None:
        """Make the next evaluation's Store ready now, and tidy up after the last one, while nobody waits for an answer."""
        self._early = True
        self._tidy_used()
        if self._preparing.acquire(blocking=False):
            try:
                if not self._spare:
                    with contextlib.suppress(PoolIsFull):
                        self._keep(self._new())
            finally:
                self._preparing.release()

    def let_go(self) -> None:
        """Give back the Stores that are kept."""
        for kept in (self._used, self._spare):
            while kept:
                try:
                    self._discard(kept.pop())
                except IndexError:  # another thread was faster
                    break

    def _new(self) -> Frame:
        """A new Store; PoolIsFull when evaluations are running in all that there are."""
        try:
            return self._open()
        except PoolIsFull:
            self._machine.free_slots()
            return self._open()

    def _open(self) -> Frame:
        """A new Store with both instances."""
        idle = self._machine.frames.idle
        frame = idle.pop() if idle else Frame()
        frame.session, frame.error, frame.trap.value = None, None, None
        frame.store = store = int(capi.store_new(self._machine.at_engine, None, None))
        frame.context = context = capi.store_context(store)
        frame.is_sealed = False
        try:
            if self._is_limited:
                capi.store_limiter(store, self.limits.memory_bytes, -1, -1, -1, -1)
            self._machine.ticker.cover(self._ticks)
            capi.set_deadline(context, self._ticks)
            error = capi.instantiate_pre(self._at_pre, context, frame.at_policy, frame.at_trap)
            if error or frame.trap.value:
                raise translate(error, frame.trap.value, frame.error)
            at = frame.at_externs
            for name in SHARED:
                capi.export_get(context, frame.at_policy, name, len(name), at)
                at += capi.EXTERN
            error = capi.instance_new(
                context, self._at_core, frame.at_externs, len(SHARED), frame.at_core, frame.at_trap
            )
            if error or frame.trap.value:
                raise translate(error, frame.trap.value, frame.error)
            if not capi.export_get(context, frame.at_policy, b"opa_eval", 8, frame.at_extern):
                raise EvaluationError("eval_internal_error", "the module does not export opa_eval")
            frame.base = base = capi.memory_data(context, frame.at_memory)
            frame.room = int(capi.memory_size(context, frame.at_memory))
            if self._constants[1] and renewal.is_possible():
                if self._baseline is None:
                    self._baseline = renewal.Baseline(base, self._constants)
                frame.is_sealed = self._baseline.seal(base)
        except BaseException:
            self._discard(frame)
            raise
        return frame

    def _take(self, session: Session | None) -> Frame:
        """A Store that is as new, now the running one of this thread."""
        machine = self._machine
        if not self._spare and self._used:
            self._tidy_used()
        try:
            frame = self._spare.pop()
        except IndexError:
            frame = self._new()
        else:
            machine.ticker.cover(self._ticks)
            capi.set_deadline(frame.context, self._ticks)
        frame.session, frame.is_sound = session, False
        machine.frames.running.append(frame)
        return frame

    def _give_back(self, frame: Frame) -> None:
        """The evaluation is over: nothing of it stays."""
        self._machine.frames.running.pop()
        frame.session = frame.error = None
        if self._early:
            self._tidy_used()
            self._used.append(frame)
        else:
            self._tidy(frame)

    def _tidy_used(self) -> None:
        while self._used:
            try:
                frame = self._used.pop()
            except IndexError:  # another thread was faster
                return
            self._tidy(frame)

    def _tidy(self, frame: Frame) -> None:
        """Renew a used Store and keep it, or give it back. One whose evaluation failed serves no other."""
        if frame.is_sound and frame.is_sealed and len(self._spare) < _KEPT:
            assert self._baseline is not None
            frame.room = int(capi.memory_size(frame.context, frame.at_memory))
            self._baseline.restore(frame.base, frame.room)
            self._keep(frame)
        else:
            self._discard(frame)

    def _keep(self, frame: Frame) -> None:
        if not self._holds:
            self._holds = True
            self._machine.holds(self)
        self._spare.append(frame)

    def _discard(self, frame: Frame) -> None:
        if frame.is_sealed:
            assert self._baseline is not None
            self._baseline.unseal(capi.memory_data(frame.context, frame.at_memory))
        capi.store_delete(frame.store)
        self._machine.frames.idle.append(frame)

    def __del__(self) -> None:
        # Stores are wasmtime's memory, not Python's.
        if hasattr(self, "_used"):
            self.let_go()


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
