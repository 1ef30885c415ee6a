"""New UUIDs, random numbers, the runtime's description."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.operands import integer, string
from cupcake.engine.builtins.values import Value


def _uuid_new(gate: Gate, key: Value) -> Value:
    string("uuid.rfc4122", 1, key)
    return str(uuid.UUID(int=gate.random.getrandbits(128), version=4))


def _rand_intn(gate: Gate, key: Value, n: Value) -> Value:
    name = "rand.intn"
    string(name, 1, key)
    limit = abs(integer(name, 2, n))
    return gate.random.randrange(limit) if limit else 0


def _runtime(gate: Gate) -> Value:
    """Of the environment, what a policy may see; without that and without configuration, an empty object."""
    shown: dict[str, Value] = {}
    if gate.effects.env != ():
        shown["env"] = dict(gate.variables())
    if gate.effects.config:
        shown["config"] = dict(gate.effects.config)
    return shown


GATED: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("uuid.rfc4122", _uuid_new),
    ("rand.intn", _rand_intn),
    ("opa.runtime", _runtime),
)
