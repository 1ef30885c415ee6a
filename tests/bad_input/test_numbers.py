"""Numbers that Python cannot or will not hold: exact where it can, a typed error where it cannot."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cupcake.engine import compile_policy, load
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Policy
from cupcake.engine.vm.policy import loads
from cupcake.engine.vm.text import ValueTextError, dump_value, parse_value

TEXT = """package a
p := input
sum := input + 1
host := yaml.marshal(input)
big := data.k
"""
LONG = Decimal("1" + "0" * 6000)


@pytest.fixture(scope="module")
def policy() -> Policy:
    names = ["a/p", "a/sum", "a/host", "a/big"]
    return load(compile_policy({"a.rego": TEXT}, {"k": 10**3000 * 10**3000}, names))


@pytest.mark.parametrize(
    ("entrypoint", "value", "wanted"),
    [
        ("a/p", 10**3000 * 10**3000, LONG),
        ("a/sum", 10**3000 * 10**3000, Decimal("1" + "0" * 5999 + "1")),
        ("a/p", Decimal("1e999999"), Decimal("1e999999")),
        ("a/p", Decimal("-1.5e-400"), Decimal("-1.5e-400")),
        ("a/big", None, LONG),
    ],
    ids=["in and out", "a sum", "a large exponent", "a small one", "of the data"],
)
def test_a_long_number_comes_back_exactly(
    policy: Policy, entrypoint: str, value: object, wanted: Decimal
) -> None:
    found = policy.evaluate(entrypoint, value)
    assert str(found) == f"{wanted:f}" or found == wanted


def test_an_exponent_beyond_python_goes_through_as_text_only(policy: Policy) -> None:
    huge = b"1e9999999999999999999999"
    assert policy.evaluate_json("a/p", huge) == b'[{"result":' + huge + b"}]"
    with pytest.raises(EvaluationError, match="out of range") as caught:
        loads(huge)
    assert caught.value.code == "eval_input_error"


def test_a_host_builtin_that_gets_it_is_undefined_or_an_error_when_strict(policy: Policy) -> None:
    huge = b"1e9999999999999999999999"
    assert policy.evaluate_json("a/host", huge) == b"[]"
    with pytest.raises(
        EvaluationError, match=r"yaml\.marshal: the number .* is out of range"
    ) as caught:
        policy.evaluate_json("a/host", huge, options=1)
    assert caught.value.code == "eval_builtin_error"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Decimal("sNaN"), object(), {"a": b""}]
)
def test_an_input_that_is_no_json_is_a_typed_error(policy: Policy, value: object) -> None:
    with pytest.raises(EvaluationError, match="the input cannot be evaluated") as caught:
        policy.evaluate("a/p", value)
    assert caught.value.code == "eval_input_error"


@pytest.mark.parametrize(
    "text", ["NaN", "[-Infinity]", "1e9999999999999999999", "{1, 1e9999999999999999999}"]
)
def test_a_value_text_with_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueTextError):
        parse_value(text)


def test_a_value_text_of_many_digits_is_written_as_it_was_read() -> None:
    digits = "7" * 5000
    assert dump_value(parse_value(digits)) == digits
    assert dump_value(parse_value(f"{{{digits}}}")) == f"{{{digits}}}"


def test_a_result_that_nests_too_deeply_for_python_is_a_typed_error() -> None:
    with pytest.raises(EvaluationError) as caught:
        loads(b"[" * 5000 + b"]" * 5000)
    assert caught.value.code == "eval_limit_depth"
