"""Keys that were made to have one hash: answers stay right. What they cost, `tests/fuzz/hash_flood.py` shows."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from cupcake.engine import Limits, compile_policy, load
from cupcake.engine.vm import Policy

SCRIPT = Path(__file__).resolve().parents[1] / "fuzz" / "hash_flood.py"
POLICY = """package a
keys := [k | some k, _ in input.object]
set := {k | some k in input.list}
found := [v | some k in input.list; v := input.object[k]]
missing := [k | some k in input.others; not input.object[k]]
same := input.object == {k: i | some i, k in input.list}
union := count(object.union(input.object, {k: 1 | some k in input.others}))
removed := object.remove(input.object, [k | some i, k in input.list; i % 2 == 0])
together := count(set | {k | some k in input.others})
intersection := set & {k | some i, k in input.list; i < 100}
nested := count({{k} | some k in input.list}) + count({{k: 1} | some k in input.list})
"""
NAMES = [line.split(" ")[0] for line in POLICY.splitlines()[1:]]


@pytest.fixture(scope="module")
def keys() -> list[str]:
    spec = importlib.util.spec_from_file_location("hash_flood", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made: Iterator[str] = script.colliding(3000)
    return list(made)


@pytest.fixture(scope="module")
def policy() -> Policy:
    artifact = compile_policy({"a.rego": POLICY}, entrypoints=[f"a/{name}" for name in NAMES])
    return load(artifact, limits=Limits(seconds=20.0))


@pytest.mark.parametrize("name", NAMES)
def test_a_flood_of_equal_hashes_is_answered_right(
    name: str, keys: list[str], policy: Policy
) -> None:
    assert len(set(keys)) == 3000
    mine, others = keys[:2000], keys[2000:]
    numbered = {k: i for i, k in enumerate(mine)}
    in_order = sorted(mine, key=str.encode)
    wanted = {
        "keys": in_order,
        "set": in_order,
        "found": list(range(2000)),
        "missing": others,
        "same": True,
        "union": 3000,
        "removed": {k: i for k, i in numbered.items() if i % 2},
        "together": 3000,
        "intersection": sorted(mine[:100], key=str.encode),
        "nested": 4000,
    }
    given = {"object": numbered, "list": mine, "others": others}
    assert policy.evaluate(f"a/{name}", given) == wanted[name]
