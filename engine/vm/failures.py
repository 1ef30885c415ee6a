"""What wasmtime reports when something goes wrong, as errors of ours. It must not run anything."""

from __future__ import annotations

import ctypes as c
import re

import wasmtime
from wasmtime import _bindings as raw

from cupcake.engine.errors import EvaluationError

_ABORT = re.compile(
    r"(eval_(?:conflict|type|builtin|input|internal)_error|eval_limit_(?:memory|depth)): (.*)",
    re.DOTALL,
)
# Planned functions in a backtrace, by the names that `wasm/split.py` gives them.
_PLANNED = ("policy:", "plan:")
_RUNNING = re.compile(r": +0x([0-9a-f]+) - .*!(?:policy|plan):.+$", re.MULTILINE)


class PoolIsFull(Exception):
    """Every slot of the pool is in use."""


def take_error(error: int) -> str:
    """Text of a wasmtime error, with its backtrace; frees it."""
    pointer = c.cast(error, c.POINTER(raw.wasmtime_error_t))
    return str(wasmtime.WasmtimeError._from_ptr(pointer))


def first_line(error: Exception) -> str:
    """The first line of an error's text that is not blank."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "unknown error"


def abort_error(text: str) -> EvaluationError:
    """The error of an `opa_abort`: `code: message` of our runtime, or the free text of OPA's."""
    match = _ABORT.match(text)
    if match:
        return EvaluationError(match[1], match[2])
    if "conflict" in text:
        return EvaluationError("eval_conflict_error", text)
    return EvaluationError("eval_internal_error", text)


_TRAPS = {
    wasmtime.TrapCode.INTERRUPT: (
        "eval_limit_time",
        "the evaluation took longer than its time limit",
    ),
    wasmtime.TrapCode.STACK_OVERFLOW: ("eval_limit_depth", "the evaluation nests too deeply"),
}


def trap_error(trap: wasmtime.Trap) -> EvaluationError:
    """The error of a trap that is not a host function's."""
    code = trap.trap_code
    if code in _TRAPS:
        return EvaluationError(*_TRAPS[code])
    name = code.name if code is not None else first_line(trap)
    return EvaluationError("eval_internal_error", f"the module trapped: {name}")


def translate(error: int | None, trap: int | None, raised: BaseException | None) -> BaseException:
    """What went wrong in a call; frees what wasmtime handed out. An EvaluationError's place is the
    offset in the module of what a planned function was running, as far as wasmtime knows it."""
    found: EvaluationError | None = None
    running = ""
    if trap:
        caught = wasmtime.Trap._from_ptr(c.cast(trap, c.POINTER(raw.wasm_trap_t)))
        found = trap_error(caught)
        running = next(
            (str(f.module_offset) for f in caught.frames if _is_planned(f.func_name)), ""
        )
    if error:
        full = take_error(error)
        match = _RUNNING.search(full)
        running = str(int(match[1], 16)) if match else ""
        text = full.strip().split("\n", 1)[0]
        if raised is None and "maximum concurrent" in full:
            return PoolIsFull(text)
        code = (
            "eval_limit_memory" if "memory" in text and "limit" in text else "eval_internal_error"
        )
        found = EvaluationError(code, text)
    result = raised or found
    if result is None:
        result = EvaluationError("eval_internal_error", "the module failed without a reason")
    if isinstance(result, EvaluationError):
        result.place = running
    return result


def _is_planned(name: str | None) -> bool:
    return name is not None and name.startswith(_PLANNED)
