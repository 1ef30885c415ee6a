"""`Artifact`: what the compiler hands to the VM, and to disk. The only thing the two have in common.

It must not import the compiler or wasmtime.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass


@functools.lru_cache(maxsize=8)
def core_namespace(core: bytes) -> str:
    """The module name under which a policy imports from exactly this core."""
    return "cupcake:" + hashlib.sha256(core).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled policy.

    `wasm`: the module in OPA's ABI 1.3 (imports `env.memory`), empty where nobody wants it. What our VM runs: `wasm_owned`, the policy alone, which
    imports memory and functions of `core`, the runtime as a module (one object for all artifacts of a process; compiled
    once a machine). `entrypoints`: names such as
    "cupcake/system/evaluate" in id order. `builtins`: host builtins that the module calls, name -> id.
    `source_map`: where the instructions of `wasm_owned` come from, as `places.py` writes it. `data`: the base document as
    JSON text (also laid out inside the module). `rego_version` "v0": a few builtins answer as those of OPA before 1.0 did.
    `counters`: address and number of the counters of an instrumented policy (i32 each).
    """

    wasm: bytes
    wasm_owned: bytes
    entrypoints: tuple[str, ...]
    builtins: Mapping[str, int]
    data: bytes = b"{}"
    source_map: str = ""
    capabilities: tuple[str, ...] = ()
    core: bytes = b""
    rego_version: str = "v1"
    counters: tuple[int, int] = (0, 0)

    @property
    def foreign(self) -> bool:
        """Whether another compiler made it: `wasm` alone runs, and brings its own runtime."""
        return not self.core

    @property
    def digest(self) -> str:
        """SHA-256 hex of the module that runs (it names its core by digest): the key of the compiled-module cache."""
        return hashlib.sha256(self.wasm_owned or self.wasm).hexdigest()

    @property
    def core_digest(self) -> str:
        """SHA-256 hex of the core."""
        return hashlib.sha256(self.core).hexdigest()
