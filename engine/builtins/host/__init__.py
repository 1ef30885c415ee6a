"""The builtins that run in Python, by name: functions over the values of `cupcake.engine.builtins.values`.

They raise BuiltinError and nothing else on purpose. No network, no environment; the clock and
randomness only where the name says so (`time.now_ns`, `rand.intn`, `uuid.rfc4122`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from cupcake.engine.builtins.host import (
    crypto,
    documents,
    identifiers,
    lazy,
    net,
    patch,
    regex,
    requests,
    templates,
    times,
    tokens,
)

HOST: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        name: function
        for family in (
            crypto,
            documents,
            identifiers,
            net,
            patch,
            regex,
            requests,
            templates,
            times,
            tokens,
        )
        for name, function in family.FUNCTIONS
    }
    | dict(lazy.functions())
)
