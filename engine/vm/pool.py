"""wasmtime's pooling allocator: instances in slots that are mapped once a process, instead of mapped and unmapped for each
evaluation. A slot is emptied before it is used again; the Store of an evaluation is as fresh as any.

It must not be relied on: where address space is short there is no pool, and what does not fit into a slot runs without.
"""

from __future__ import annotations

import mmap
import sys
from typing import Any

from wasmtime import _bindings as raw

# Evaluations at the same time, spare Stores of `Program.prepare` among them. More run outside of the pool.
SLOTS = 64
TABLE_ELEMENTS = 10_000
INSTANCE_BYTES = 1 << 20
# This much of a memory is emptied by writing zeros, so that its pages stay mapped; what lies behind is given back to the
# system. A page fault costs as much as writing 8 KB, and small policies use no more than this.
RESIDENT_BYTES = 192 << 10
WARM_SLOTS = 16
# What wasmtime reserves for a memory beside its size, so that bounds need no checks: 4 GiB and guards.
_SLOT_ADDRESS_SPACE = 5 << 30


def is_possible() -> bool:
    """Whether the address space of a pool can be had. wasmtime ends the process where it cannot."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return False
    try:
        probe = mmap.mmap(
            -1,
            SLOTS * _SLOT_ADDRESS_SPACE,
            flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
            prot=0,
        )
    except (OSError, ValueError, OverflowError):
        return False
    probe.close()
    return True


def use(config: Any, memory_bytes: int) -> None:
    """Make the engine of `config` (wasmtime.Config) allocate from a pool, whose memories hold up to `memory_bytes`."""
    pool = raw.wasmtime_pooling_allocation_config_new()
    for name, value in (
        ("total_memories", SLOTS),
        ("total_core_instances", 2 * SLOTS),
        ("total_tables", 3 * SLOTS),
        ("total_stacks", 0),
        ("total_gc_heaps", 0),
        ("max_tables_per_module", 2),
        ("max_core_instance_size", INSTANCE_BYTES),
        ("table_elements", TABLE_ELEMENTS),
        ("max_memory_size", memory_bytes),
        ("linear_memory_keep_resident", RESIDENT_BYTES),
        ("table_keep_resident", TABLE_ELEMENTS * 8),
        ("max_unused_warm_slots", WARM_SLOTS),
    ):
        getattr(raw, f"wasmtime_pooling_allocation_config_{name}_set")(pool, value)
    try:
        raw.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    finally:
        raw.wasmtime_pooling_allocation_config_delete(pool)
