"""wasmtime's C functions as the VM calls them: without the conversions of its public Python API, which cost as much per
call as a whole evaluation takes here. Names and contracts are those of wasmtime's C headers.

It must not keep any state.
"""

from __future__ import annotations

import ctypes as c
from typing import Any

from wasmtime import _bindings as raw
from wasmtime import _ffi

VAL = c.sizeof(raw.wasmtime_val_raw_t)
EXTERN = c.sizeof(raw.wasmtime_extern_t)
OF = raw.wasmtime_extern_t.of.offset


def _function(name: str, result: Any, *arguments: Any) -> Any:
    # A prototype of our own: the library's shared one converts every pointer to a Python object.
    return c.CFUNCTYPE(result, *arguments)(_address(name))


def _short(name: str, result: Any, *arguments: Any) -> Any:
    """The same for what is over at once: other threads need not be let in meanwhile, which takes longer."""
    return c.PYFUNCTYPE(result, *arguments)(_address(name))


def _address(name: str) -> int:
    address = c.cast(getattr(_ffi.dll, name), c.c_void_p).value
    assert address is not None
    return address


_P, _SIZE = c.c_void_p, c.c_size_t
store_new = _short("wasmtime_store_new", _P, _P, _P, _P)
store_delete = _function("wasmtime_store_delete", None, _P)
store_context = _short("wasmtime_store_context", _P, _P)
store_limiter = _short("wasmtime_store_limiter", None, _P, *[c.c_int64] * 5)
set_deadline = _short("wasmtime_context_set_epoch_deadline", None, _P, c.c_uint64)
instantiate_pre = _function("wasmtime_instance_pre_instantiate", _P, _P, _P, _P, _P)
instance_new = _function("wasmtime_instance_new", _P, _P, _P, _P, _SIZE, _P, _P)
export_get = _short("wasmtime_instance_export_get", c.c_bool, _P, _P, c.c_char_p, _SIZE, _P)
memory_data = _short("wasmtime_memory_data", _P, _P, _P)
memory_size = _short("wasmtime_memory_data_size", _SIZE, _P, _P)
memory_grow = _function("wasmtime_memory_grow", _P, _P, _P, c.c_uint64, _P)
call = _function("wasmtime_func_call_unchecked", _P, _P, _P, _P, _SIZE, _P)
trap_new = _function("wasmtime_trap_new", _P, c.c_char_p, _SIZE)

# `wasmtime_strategy_enum`; the Python API offers the others only.
STRATEGY_WINCH = 2
strategy_set = _function("wasmtime_config_strategy_set", None, _P, c.c_uint8)

CALLBACK = c.CFUNCTYPE(_SIZE, _P, _P, _P, _SIZE)
define_unchecked = _function(
    "wasmtime_linker_define_func_unchecked",
    _P, _P, c.c_char_p, _SIZE, c.c_char_p, _SIZE, _P, CALLBACK, _P, _P,
)  # fmt: skip


def address_of(owner: Any) -> int:
    address = c.cast(owner.ptr(), c.c_void_p).value
    assert address is not None
    return address
