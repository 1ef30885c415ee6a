"""Calls that ask for too much end by a limit with its code; nothing hangs and nothing is cut off silently."""

from __future__ import annotations

from itertools import pairwise

import pytest
from calling import call

from cupcake.engine import compile_policy, load
from cupcake.engine.builtins.values import (
    BuiltinError,
    RegoObject,
    compare,
    rego_object,
    rego_set,
)
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Limits

LIMITS = Limits(memory_bytes=16 << 20, seconds=5.0)


def refused(expression: str) -> str:
    artifact = compile_policy(
        {"t.rego": f"package t\np := x if x := {expression}"}, entrypoints=("t/p",)
    )
    with pytest.raises(EvaluationError) as caught:
        load(artifact, limits=LIMITS).evaluate("t/p", {"n": 1_000_000_000_000})
    return caught.value.code


@pytest.mark.parametrize(
    "expression",
    [
        "numbers.range(1, input.n)",
        "numbers.range(input.n * input.n * input.n, 0)",
        'sprintf("%1000000d%1000000d%1000000d%1000000d%1000000d", [1, 2, 3, 4, 5])',
        'concat("", [s | some i in numbers.range(1, 5000); s := sprintf("%010000d", [i])])',
        'replace(sprintf("%050000d", [1]), "", sprintf("%01000d", [1]))',
    ],
)
def test_a_memory_bomb_meets_the_memory_limit(expression: str) -> None:
    assert refused(expression) == "eval_limit_memory"


@pytest.mark.parametrize(
    ("name", "args"),
    [
        (
            "yaml.unmarshal",
            (
                "a: &a [x,x,x,x,x,x,x,x,x]\n"
                + "".join(
                    f"{chr(98 + i)}: &{chr(98 + i)} [" + ",".join([f"*{chr(97 + i)}"] * 9) + "]\n"
                    for i in range(8)
                ),
            ),
        ),
        ("yaml.unmarshal", ("[" * 2000,)),
        ("regex.globs_match", ("a" * 600, "a" * 600)),
        ("strings.render_template", ("{{if .a}}" * 100 + "{{end}}" * 100, {"a": True})),
    ],
)
def test_a_bomb_for_the_host_is_refused(name: str, args: tuple[object, ...]) -> None:
    with pytest.raises(BuiltinError):
        call(name, *args)


def test_sets_and_objects_keep_one_and_true_apart() -> None:
    assert rego_set([1, True, 1, False]).items == (False, True, 1)
    both = rego_object([(1, "number"), (True, "boolean"), (1, "again")])
    assert isinstance(both, RegoObject)
    assert both.items == ((True, "boolean"), (1, "again"))


def test_the_order_of_types_is_that_of_rego() -> None:
    ordered = [None, False, 1, "a", [1], {"a": 1}, rego_set([1])]
    assert [compare(a, b) for a, b in pairwise(ordered)] == [-1] * 6
