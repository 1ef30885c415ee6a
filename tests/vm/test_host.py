"""Builtins that live in Python: operands and results, errors, and refusal of what is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cupcake.engine.api import query
from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.values import BuiltinError, RegoSet, rego_set
from cupcake.engine.errors import EngineError, EvaluationError, LoadError
from cupcake.engine.vm import UNDEFINED, load
from cupcake.engine.vm.hostcalls import HostCalls

Compile = Callable[..., Artifact]


def test_a_caller_s_builtin_gets_values_with_their_sets_and_numbers() -> None:
    seen: list[object] = []

    def look(value: object) -> object:
        seen.append(value)
        return rego_set([1, "x"])

    assert query(
        's := my.look([{1, "a"}, {"k": 2}, 12345678901234567890])', builtins={"my.look": look}
    ) == [{"s": [1, "x"]}]
    assert seen == [[rego_set([1, "a"]), {"k": 2}, 12345678901234567890]]
    assert isinstance(seen[0][0], RegoSet)  # type: ignore[index]


def test_the_same_call_is_made_once_an_evaluation() -> None:
    calls: list[object] = []

    def count(value: object) -> object:
        calls.append(value)
        return len(calls)

    assert query("x := my.f(1); y := my.f(1); z := my.f(2)", builtins={"my.f": count}) == [
        {"x": 1, "y": 1, "z": 2}
    ]
    assert len(calls) == 2


def failing(error: Exception) -> Callable[[object], object]:
    def function(value: object) -> object:
        raise error

    return function


def test_an_error_of_a_host_builtin_is_undefined() -> None:
    broken = failing(BuiltinError("builtin", "my.f: no"))
    assert query("x := my.f(1)", builtins={"my.f": broken}) == []


@pytest.mark.parametrize(
    ("kind", "code"), [("builtin", "eval_builtin_error"), ("type", "eval_type_error")]
)
def test_an_error_of_a_host_builtin_is_an_error_when_strict(kind: str, code: str) -> None:
    broken = failing(BuiltinError(kind, "my.f: no"))  # type: ignore[arg-type]
    with pytest.raises(EvaluationError) as caught:
        query("x := my.f(1)", builtins={"my.f": broken}, strict_builtin_errors=True)
    assert (caught.value.code, caught.value.message) == (code, "my.f: no")


def test_a_defect_of_a_host_builtin_is_never_undefined() -> None:
    with pytest.raises(EvaluationError, match=r"my\.f failed: ZeroDivisionError") as caught:
        query("x := my.f(1)", builtins={"my.f": failing(ZeroDivisionError("oops"))})
    assert caught.value.code == "eval_internal_error"


def test_a_result_that_is_no_value_is_an_error() -> None:
    with pytest.raises(EvaluationError, match=r"my\.f failed: TypeError"):
        query("x := my.f(1)", builtins={"my.f": lambda value: object()})


def test_a_builtin_may_evaluate_a_policy_itself(compiled: Compile) -> None:
    inner = load(compiled("p := input + 1"))
    found = query("x := my.f(41)", builtins={"my.f": lambda value: inner.evaluate("a/p", value)})
    assert found == [{"x": 42}]


def test_an_interrupt_in_a_builtin_reaches_the_caller() -> None:
    def interrupted(value: object) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        query("x := my.f(1)", builtins={"my.f": interrupted})


def test_a_builtin_that_is_not_served_is_named_at_load() -> None:
    with pytest.raises(LoadError, match=r"other\.thing"):
        HostCalls({"other.thing": 0}, {})


def test_a_shipped_builtin_is_found() -> None:
    (found,) = query("x := time.now_ns()")
    assert found["x"] > 1_600_000_000_000_000_000


def test_a_pattern_known_only_at_run_time_is_compiled_by_the_host(compiled: Compile) -> None:
    policy = load(compiled("p if regex.match(input.r, input.s)"))
    assert policy.evaluate("a/p", {"r": "^a+$", "s": "aaa"}) is True
    assert policy.evaluate("a/p", {"r": "^a+$", "s": "b"}) is UNDEFINED


def test_a_constant_pattern_needs_no_host(compiled: Compile) -> None:
    assert compiled('p if regex.match("^a+$", input)').builtins == {}
    assert compiled('p if glob.match("*.com", ["."], input)').builtins == {}


def test_a_builtin_of_the_sandbox_is_not_replaced_without_a_word() -> None:
    with pytest.raises(EngineError, match="count is computed in the sandbox"):
        query("x := count([1])", builtins={"count": lambda value: 7})
