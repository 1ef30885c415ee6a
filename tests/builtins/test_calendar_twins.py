"""Dates and clocks in UTC are computed twice, in the sandbox and, for other zones, on the host: the answers are the same."""

from __future__ import annotations

import random

import pytest
from against_opa import ours, plain
from calling import call

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.values import BuiltinError

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
ZONED = [name for name, builtin in REGISTRY.items() if builtin.zoned]


def operands(name: str, choose: random.Random) -> list[int]:
    found = [choose.choice((choose.randint(_LEAST, _MOST), choose.randint(-(10**10), 10**10)))]
    if name == "time.diff":
        return [*found, choose.randint(_LEAST, _MOST)]
    amounts = [
        choose.randint(-500, 500),
        choose.randint(-5000, 5000),
        choose.randint(-(10**5), 10**5),
    ]
    return [*found, *amounts] if name == "time.add_date" else found


def on_host(name: str, values: list[int]) -> tuple[object, ...]:
    try:
        return ("value", plain(call(name, *values)))
    except BuiltinError as error:
        return ("error", "eval_builtin_error", error.message)


@pytest.mark.parametrize("name", ZONED)
def test_sandbox_and_host_agree(name: str) -> None:
    choose = random.Random(name)
    calls = [operands(name, choose) for _ in range(150)]
    wrong = {
        str(values): (mine, other)
        for values in calls
        if (mine := ours(name, tuple(map(str, values)))) != (other := on_host(name, values))
    }
    assert not wrong
