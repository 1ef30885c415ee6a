"""The policy engine: Rego to WebAssembly, and its evaluation. Names are loaded when they are first used.

query(text, modules, data, input)            bindings of a query, as `opa eval` gives them
compile_policy(modules, data, entrypoints)   -> Artifact
compile_plan(plan.json, data)                -> Artifact
load(artifact | bytes | path)                -> Policy; Policy.evaluate(entrypoint, input)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cupcake.engine.api import compile_plan, load, query
    from cupcake.engine.artifact import Artifact
    from cupcake.engine.builtins.effects import Effects, Record, Recorder
    from cupcake.engine.bundle_signature import VerificationKey
    from cupcake.engine.compiler import compile_policy
    from cupcake.engine.errors import (
        CompileErrors,
        Diagnostic,
        EngineError,
        EvaluationError,
        LoadError,
    )
    from cupcake.engine.vm import UNDEFINED, Limits, Policy

_HOMES = {
    "compile_plan": "cupcake.engine.api",
    "compile_policy": "cupcake.engine.compiler",
    "query": "cupcake.engine.api",
    "Artifact": "cupcake.engine.artifact",
    "CompileErrors": "cupcake.engine.errors",
    "Diagnostic": "cupcake.engine.errors",
    "Effects": "cupcake.engine.builtins.effects",
    "EngineError": "cupcake.engine.errors",
    "EvaluationError": "cupcake.engine.errors",
    "LoadError": "cupcake.engine.errors",
    "UNDEFINED": "cupcake.engine.vm",
    "Limits": "cupcake.engine.vm",
    "Policy": "cupcake.engine.vm",
    "Record": "cupcake.engine.builtins.effects",
    "Recorder": "cupcake.engine.builtins.effects",
    "VerificationKey": "cupcake.engine.bundle_signature",
    "load": "cupcake.engine.api",
}

__all__ = [
    "UNDEFINED",
    "Artifact",
    "CompileErrors",
    "Diagnostic",
    "Effects",
    "EngineError",
    "EvaluationError",
    "Limits",
    "LoadError",
    "Policy",
    "Record",
    "Recorder",
    "VerificationKey",
    "compile_plan",
    "compile_policy",
    "load",
    "query",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(home), name)
