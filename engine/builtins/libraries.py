"""Which optional libraries are absent. Builtins that require one are refused when a policy is compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.util import find_spec

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.registry import REGISTRY

NETWORK = "network"


def absent_libraries() -> frozenset[str]:
    """The `requires` of builtins that this installation cannot meet; "network" is not among them. It is looked at once a
    process."""
    return _absent(find_spec)


@functools.lru_cache(maxsize=4)
def _absent(find: Callable[[str], object]) -> frozenset[str]:
    wanted = {builtin.requires for builtin in REGISTRY.values()} - {"", NETWORK}
    return frozenset(library for library in wanted if find(library) is None)


def never_allowed(effects: Effects | None) -> frozenset[str]:
    """Which requirements such an evaluation never meets; None = decided when it is evaluated."""
    return frozenset({NETWORK} if effects is not None and effects.allow_net == () else ())
