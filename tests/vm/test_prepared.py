"""A Store that was made ahead is as fresh as one that was not."""

from __future__ import annotations

import gc
import threading

import pytest

from cupcake.engine import compile_policy, load
from cupcake.engine.errors import EvaluationError

MODULE = (
    "package a\nimport rego.v1\np := [input.x, count(input.xs)]\nq := numbers.range(1, 100000000)\n"
)


@pytest.fixture(scope="module")
def policy():  # type: ignore[no-untyped-def]
    return load(compile_policy({"a.rego": MODULE}, entrypoints=("a/p", "a/q")))


def test_answers_are_the_same_with_and_without(policy) -> None:  # type: ignore[no-untyped-def]
    for number in range(50):
        if number % 3:
            policy.prepare()
        if number % 7 == 0:
            policy.prepare()
        assert policy.evaluate("a/p", {"x": number, "xs": [0] * number}) == [number, number]


def test_a_failed_evaluation_leaves_nothing_behind(policy) -> None:  # type: ignore[no-untyped-def]
    policy.prepare()
    with pytest.raises(EvaluationError):
        policy.evaluate("a/q", {})
    policy.prepare()
    assert policy.evaluate("a/p", {"x": 1, "xs": []}) == [1, 0]


def test_threads_may_prepare_and_evaluate_at_once(policy) -> None:  # type: ignore[no-untyped-def]
    wrong: list[object] = []

    def work(mark: int) -> None:
        for number in range(200):
            policy.prepare()
            found = policy.evaluate("a/p", {"x": [mark, number], "xs": []})
            if found != [[mark, number], 0]:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_policy_that_goes_away_frees_what_was_prepared() -> None:
    for _ in range(20):
        one = load(compile_policy({"a.rego": MODULE}, entrypoints=("a/p",)))
        one.prepare()
        one.evaluate("a/p", {"x": 1, "xs": []})
        one.prepare()
        del one
    gc.collect()
