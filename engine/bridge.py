"""Our runtime's builtins as host functions, for modules that others compiled.

OPA leaves `sprintf` and many more to the host of a module; here they live in the runtime. Each one becomes a small policy, compiled
when it is called for the first time. It must not be used for our own artifacts, which call the runtime directly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.values import BuiltinError, RegoSet, Value
from cupcake.engine.errors import EvaluationError
from cupcake.engine.plan import ir
from cupcake.engine.vm.hostcalls import HostFunction
from cupcake.engine.vm.policy import Policy, load
from cupcake.engine.vm.text import dump_value, parse_value
from cupcake.engine.wasm.assemble import assemble

_ENTRYPOINT = "call"
_RESULT, _OBJECT, _FIRST = 2, 3, 4


def runtime_builtins() -> Mapping[str, HostFunction]:
    """Host functions over Python values for every builtin that only the runtime has, by name."""
    return {
        name: _function(name) for name, b in REGISTRY.items() if b.home == "runtime" and not b.zoned
    }


def _function(name: str) -> Callable[..., Value]:
    def call(*operands: Value) -> Value:
        text = dump_value(list(operands)).encode("utf-8", "replace")
        try:
            found = _policy(name, len(operands)).evaluate_value(_ENTRYPOINT, text)
        except EvaluationError as e:
            if e.code == "eval_type_error":
                raise BuiltinError("type", e.message) from e
            if e.code == "eval_builtin_error":
                raise BuiltinError("builtin", e.message) from e
            raise
        results = parse_value(found.decode("utf-8", "replace"))
        if isinstance(results, RegoSet) and results.items and isinstance(results.items[0], dict):
            return results.items[0]["result"]
        raise BuiltinError("builtin", f"{name}: undefined")

    return call


@functools.lru_cache(maxsize=256)
def _policy(name: str, arity: int) -> Policy:
    """A policy whose input is the array of operands and whose result is the builtin's."""
    operands = range(_FIRST, _FIRST + arity)
    key = _FIRST + arity
    stmts: list[ir.Stmt] = []
    for i, target in enumerate(operands):
        stmts += (
            ir.MakeNumberIntStmt(i, key),
            ir.DotStmt(ir.LocalOperand(0), ir.LocalOperand(key), target),
        )
    stmts += (
        ir.CallStmt(name, tuple(ir.LocalOperand(o) for o in operands), _RESULT),
        ir.MakeObjectStmt(_OBJECT),
        ir.ObjectInsertStmt(ir.StringOperand(0), ir.LocalOperand(_RESULT), _OBJECT),
        ir.ResultSetAddStmt(_OBJECT),
    )
    plan = ir.Plan(_ENTRYPOINT, (ir.Block(tuple(stmts)),))
    return load(assemble(ir.Policy(ir.Static(("result",)), (plan,), ())), quick=True)
