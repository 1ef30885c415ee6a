"""Runs compiled policies: the only part of the engine that imports wasmtime (in `native.py`).

It must not import the compiler; the two meet in `Artifact` and `runtime/abi.py`.
"""

from cupcake.engine.vm.limits import Limits
from cupcake.engine.vm.policy import UNDEFINED, Policy, Undefined, load, precompile

__all__ = ["UNDEFINED", "Limits", "Policy", "Undefined", "load", "precompile"]
