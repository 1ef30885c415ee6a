"""Which optional libraries are absent. Builtins that require one are refused when a policy is compiled."""

from __future__ import annotations

from importlib.util import find_spec

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.registry import REGISTRY

NETWORK = "network"


def absent_libraries() -> frozenset[str]:
    """The `requires` of builtins that this installation cannot meet; "network" is not among them."""
    wanted = {builtin.requires for builtin in REGISTRY.values()} - {"", NETWORK}
    return frozenset(library for library in wanted if find_spec(library) is None)


def never_allowed(effects: Effects | None) -> frozenset[str]:
    """Which requirements such an evaluation never meets; None = decided when it is evaluated."""
    return frozenset({NETWORK} if effects is not None and effects.allow_net == () else ())
