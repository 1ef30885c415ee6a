"""Calls a host builtin without a policy around it."""

from __future__ import annotations

from typing import Any

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.gate import Gate, Gated
from cupcake.engine.builtins.host import HOST


def call(name: str, *operands: Any, effects: Effects | None = None, version: str = "v1") -> Any:
    function = HOST[name]
    if isinstance(function, Gated):
        gate = Gate(effects or Effects(), 10.0, {}, version)
        return function.function(gate, *operands)
    return function(*operands)
