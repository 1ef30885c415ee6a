"""Stores from the pool: what does not fit into it runs without, and nobody can tell the difference."""

from __future__ import annotations

import threading

import pytest

from cupcake.engine import compile_policy, load
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Limits, native, pool

MODULE = """package a
import rego.v1
p := [input.x, time.weekday(input.t), count(numbers.range(1, input.n))]
"""
INPUT = {"x": "é", "t": 0, "n": 3}
ANSWER = ["é", "Thursday", 3]

needs_pool = pytest.mark.skipif(
    not pool.is_possible(), reason="no address space for a pool, or not Linux"
)


@pytest.fixture(scope="module")
def artifact():  # type: ignore[no-untyped-def]
    return compile_policy({"a.rego": MODULE}, entrypoints=("a/p",))


@needs_pool
def test_when_every_slot_is_taken_policies_are_answered_outside(artifact, tmp_path) -> None:  # type: ignore[no-untyped-def]
    policies = [load(artifact, cache_dir=tmp_path) for _ in range(pool.SLOTS + 8)]
    for policy in policies:
        policy.prepare()  # holds a slot until the next evaluation
    assert [policy.evaluate("a/p", INPUT) for policy in policies] == [ANSWER] * len(policies)
    late = load(artifact, cache_dir=tmp_path)
    assert late.evaluate("a/p", INPUT) == ANSWER


@pytest.mark.parametrize("memory", [4 << 20, 64 << 20, 256 << 20])
def test_a_memory_limit_holds_below_at_and_above_the_size_of_a_slot(artifact, memory: int) -> None:  # type: ignore[no-untyped-def]
    policy = load(artifact, limits=Limits(memory_bytes=memory, seconds=20))
    assert policy.evaluate("a/p", INPUT) == ANSWER
    fits = memory // 40
    assert policy.evaluate("a/p", {**INPUT, "n": fits})[2] == fits
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", {**INPUT, "n": memory // 8})
    assert caught.value.code == "eval_limit_memory"
    assert policy.evaluate("a/p", INPUT) == ANSWER


@needs_pool
def test_more_threads_than_slots(artifact) -> None:  # type: ignore[no-untyped-def]
    policy = load(artifact)
    wrong: list[object] = []
    start = threading.Barrier(pool.SLOTS + 16)

    def work(number: int) -> None:
        start.wait(30)
        for _ in range(5):
            found = policy.evaluate("a/p", {**INPUT, "x": number, "n": 20_000})
            if found != [number, "Thursday", 20_000]:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(pool.SLOTS + 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_the_same_without_a_pool(artifact) -> None:  # type: ignore[no-untyped-def]
    limits = Limits(memory_bytes=native.machine().memory_bytes or 64 << 20)
    pooled = load(artifact, limits=limits)
    alone = load(artifact, limits=Limits(memory_bytes=limits.memory_bytes + (1 << 20)))
    for number in range(20):
        event = {**INPUT, "n": 1 << number % 12}
        assert pooled.evaluate("a/p", event) == alone.evaluate("a/p", event)
