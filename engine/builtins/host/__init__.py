"""The builtins that run in Python, by name: functions over the values of `cupcake.engine.builtins.values`.

They raise BuiltinError on purpose, and EvaluationError where an undefined result would be dangerous. Clock, randomness,
environment and network are reached through the gate that a `Gated` function gets, and by no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cupcake.engine.builtins.gate import Gated
from cupcake.engine.builtins.host import (
    aws,
    identifiers,
    lazy,
    regex,
    templates,
    times,
    tokens,
    uris,
    yamls,
)
from cupcake.engine.builtins.registry import REGISTRY

_FAMILIES = (
    aws,
    regex,
    templates,
    times,
    tokens,
    uris,
    yamls,
)

HOST: Mapping[str, Callable[..., Any] | Gated] = MappingProxyType(
    {name: function for family in _FAMILIES for name, function in family.FUNCTIONS}
    | {name: Gated(function) for family in (identifiers, times) for name, function in family.GATED}
    | dict(lazy.functions())
)

# Their answers are the same for the same operands: never recorded.
DETERMINISTIC = frozenset(name for name in HOST if REGISTRY[name].deterministic)
