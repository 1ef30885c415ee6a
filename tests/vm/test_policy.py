"""A loaded policy: values, isolation, limits and errors. Both ways of running a module give the same."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.values import rego_set
from cupcake.engine.errors import EngineError, EvaluationError, LoadError
from cupcake.engine.vm import UNDEFINED, Limits, load
from cupcake.engine.vm.policy import loads

Compile = Callable[..., Artifact]


def test_an_entrypoint_has_two_names(compiled: Compile) -> None:
    policy = load(compiled("p := 1"))
    assert policy.entrypoints == ("a/p",)
    assert policy.evaluate("a/p") == policy.evaluate("data.a.p") == 1


def test_an_unknown_entrypoint_is_named_with_those_that_exist(compiled: Compile) -> None:
    with pytest.raises(EngineError, match=r"'b/q'.*a/p"):
        load(compiled("p := 1")).evaluate("b/q")


def test_undefined_is_a_value_of_its_own_and_false(compiled: Compile) -> None:
    found = load(compiled("p := input.x")).evaluate("a/p", {})
    assert found is UNDEFINED
    assert not found
    assert repr(found) == "UNDEFINED"


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -1,
        2**70,
        0.1,
        Decimal("0.1000000000000000000001"),
        "",
        "ä\u0000\U0001f600",
        [],
        {},
        {"a": [None]},
    ],
)
def test_a_value_goes_through_unchanged(compiled: Compile, value: object) -> None:
    assert load(compiled("p := input")).evaluate("a/p", value) == value


def test_a_decimal_that_no_float_holds_stays_a_decimal(compiled: Compile) -> None:
    found = load(compiled("p := input")).evaluate("a/p", Decimal("0.1000000000000000000001"))
    assert isinstance(found, Decimal)


def test_no_input_is_not_null(compiled: Compile) -> None:
    policy = load(compiled("p if input == null"))
    assert policy.evaluate("a/p") is UNDEFINED
    assert policy.evaluate("a/p", None) is True


def test_an_input_may_hold_sets(compiled: Compile) -> None:
    policy = load(compiled("p if input == {1, 2}"))
    assert policy.evaluate("a/p", rego_set([2, 1])) is True
    assert policy.evaluate("a/p", [1, 2]) is UNDEFINED


def test_json_in_and_out_without_conversion(compiled: Compile) -> None:
    policy = load(compiled("p := {input.x, 1}"))
    assert json.loads(policy.evaluate_json("a/p", b'{"x":2}')) == [{"result": [1, 2]}]
    assert policy.evaluate_json("a/p", b"{}") == b"[]"


def test_nothing_of_one_evaluation_is_left_for_the_next(compiled: Compile) -> None:
    policy = load(compiled("p contains x if some x in input"))
    assert policy.evaluate("a/p", ["secret"]) == ["secret"]
    assert policy.evaluate("a/p", []) == []
    with pytest.raises(EvaluationError):
        policy.evaluate_json("a/p", b"broken")
    assert policy.evaluate("a/p", ["x"]) == ["x"]


def test_threads_share_a_policy(compiled: Compile) -> None:
    policy = load(compiled("p := sum([x | some x in input])"))
    wrong: list[object] = []

    def work(base: int) -> None:
        for i in range(60):
            numbers = list(range(base, base + i))
            if policy.evaluate("a/p", numbers) != sum(numbers):
                wrong.append((base, i))

    threads = [threading.Thread(target=work, args=(n * 1000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


ENDLESS = "p if { some i in input; some j in input; some k in input; i == j; j == k; k == -1 }"
LIMITED: dict[str, tuple[str, Any, Limits, str]] = {
    "time": (ENDLESS, list(range(2000)), Limits(seconds=0.05), "eval_limit_time"),
    "memory": ("p := count(numbers.range(1, 1000000000000))", None, Limits(), "eval_limit_memory"),
    "memory for the input": (
        "p := 1",
        "x" * 6_000_000,
        Limits(memory_bytes=8 << 20),
        "eval_limit_memory",
    ),
    "input": ("p := 1", "x" * 2000, Limits(input_bytes=1000), "eval_limit_input"),
}


@pytest.mark.parametrize("quick", [False, True], ids=["optimised", "quick"])
@pytest.mark.parametrize("name", LIMITED)
def test_an_exceeded_limit_is_an_error_with_its_code(
    compiled: Compile, name: str, quick: bool
) -> None:
    rules, value, limits, code = LIMITED[name]
    policy = load(compiled(rules), limits=limits, quick=quick)
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", value)
    assert caught.value.code == code


def test_a_policy_serves_on_after_a_limit(compiled: Compile) -> None:
    policy = load(compiled(ENDLESS), limits=Limits(seconds=0.03))
    for _ in range(2):
        with pytest.raises(EvaluationError, match="time limit"):
            policy.evaluate("a/p", list(range(2000)))
        assert policy.evaluate("a/p", [1]) is UNDEFINED


def test_other_threads_run_during_an_evaluation(compiled: Compile) -> None:
    policy = load(compiled(ENDLESS), limits=Limits(seconds=0.3))
    steps = 0
    done = threading.Event()

    def count() -> None:
        nonlocal steps
        while not done.is_set():
            steps += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = steps
    with pytest.raises(EvaluationError):
        policy.evaluate_json("a/p", json.dumps(list(range(2000))).encode())
    during = steps - before
    done.set()
    thread.join()
    assert during > 1000


def test_a_memory_limit_below_the_policy_s_own_needs_is_refused_at_load(compiled: Compile) -> None:
    with pytest.raises(LoadError, match="memory"):
        load(compiled("p := 1"), limits=Limits(memory_bytes=1 << 16))


@pytest.mark.parametrize("kwargs", [{"memory_bytes": 0}, {"seconds": -1.0}, {"input_bytes": 0}])
def test_limits_must_be_positive(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="positive"):
        Limits(**kwargs)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[1,]",
        b"nul",
        b"{'a':1}",
        b"\xff",
        b'"\xff"',
        b"[" * 2000 + b"]" * 2000,
        b"1 2",
        b" ",
    ],
)
def test_an_input_that_is_no_json_is_an_error(compiled: Compile, text: bytes) -> None:
    policy = load(compiled("p := 1"))
    if text == b'"\xff"':
        # Bytes that are no UTF-8 inside of a string are replaced, as everywhere in Rego.
        assert policy.evaluate_json("a/p", text) == b'[{"result":1}]'
        return
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate_json("a/p", text)
    assert caught.value.code == "eval_input_error"


def test_an_input_that_is_no_json_value_is_an_error(compiled: Compile) -> None:
    with pytest.raises(EvaluationError, match="object"):
        load(compiled("p := 1")).evaluate("a/p", {"x": object()})


def test_a_conflict_is_an_error_with_opa_s_code(compiled: Compile) -> None:
    policy = load(compiled("p := 1 if input.a\np := 2 if input.b"))
    assert policy.evaluate("a/p", {"a": 1}) == 1
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", {"a": 1, "b": 1})
    assert caught.value.code == "eval_conflict_error"


def test_an_error_of_a_builtin_is_undefined_or_with_strict_an_error(compiled: Compile) -> None:
    policy = load(compiled("p := 1 / input"))
    assert policy.evaluate("a/p", 0) is UNDEFINED
    with pytest.raises(EvaluationError, match="divide by zero") as caught:
        policy.evaluate("a/p", 0, strict_builtin_errors=True)
    assert caught.value.code == "eval_builtin_error"
    assert policy.evaluate("a/p", 1) == 1


def test_a_policy_does_not_run_on_another_core(compiled: Compile) -> None:
    artifact = compiled("p := 1")
    with pytest.raises(LoadError):
        load(replace(artifact, core=artifact.core + b"\x00\x02\x01x"))


@pytest.mark.parametrize("data", [b"", b"\0asm", b"\0asm\x01\0\0\0", b"not wasm at all"])
def test_bytes_that_are_no_policy_are_refused(data: bytes) -> None:
    with pytest.raises(LoadError):
        load(data)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON)
def test_the_fast_way_and_the_public_way_agree(compiled: Compile, value: object) -> None:
    artifact = compiled("p := {x: y | some x, y in input}\nq := input", "a/p", "a/q")
    fast, public = load(artifact), load(artifact.wasm)
    for entrypoint in ("a/p", "a/q"):
        text = json.dumps(value).encode("utf-8", "surrogatepass")
        assert fast.evaluate_json(entrypoint, text) == public.evaluate_json(entrypoint, text)


PLACES: dict[str, tuple[str, Any, str]] = {
    "a conflict": (
        "p := q + 1\n\nq := 1 if input.a\nq := 2 if input.b",
        {"a": 1, "b": 1},
        "a.rego:5",
    ),
    "time": ("p := q\n" + ENDLESS.replace("p if", "q if"), list(range(2000)), "a.rego:3"),
}


@pytest.mark.parametrize("quick", [False, True], ids=["optimised", "quick"])
@pytest.mark.parametrize("name", PLACES)
def test_an_error_says_which_rule_was_running(compiled: Compile, name: str, quick: bool) -> None:
    rules, value, place = PLACES[name]
    policy = load(compiled(rules), limits=Limits(seconds=0.05), quick=quick)
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", value)
    assert caught.value.place == place
    assert str(caught.value) == f"{place}: {caught.value.code}: {caught.value.message}"


def test_an_input_that_holds_itself_nests_too_deeply(compiled: Compile) -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(EvaluationError) as caught:
        load(compiled("p := 1")).evaluate("a/p", value)
    assert caught.value.code == "eval_limit_depth"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'[{"result": 1}]', [{"result": 1}]),
        (b" \n[ ]\t", []),
        (b'[1.5,1e400,"\xc3\xa9"]', [1.5, Decimal("1e400"), "é"]),
        (b"7" * 5000, Decimal("7" * 5000)),
    ],
)
def test_results_are_read_with_and_without_white_space(text: bytes, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize("text", [b"", b"[", b"[] []", b"[1,]", b" x"])
def test_what_is_no_json_is_no_result(text: bytes) -> None:
    with pytest.raises(EvaluationError, match="no JSON"):
        loads(text)
