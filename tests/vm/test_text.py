"""Rego value text: what the module and the host functions exchange."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.builtins.values import RegoObject, Value, compare, rego_object, rego_set
from cupcake.engine.vm.text import ValueTextError, dump_value, parse_value

PAIRS: list[tuple[str, Value]] = [
    ("null", None),
    ("true", True),
    ("-12", -12),
    ("123456789012345678901234567890", 123456789012345678901234567890),
    ("1.50", Decimal("1.50")),
    ("1e3", Decimal("1e3")),
    ('"a\\n\\u00e9"', "a\né"),
    ("[1,[],{}]", [1, [], {}]),
    ("set()", rego_set([])),
    ("{1,2}", rego_set([2, 1])),
    ('{ "a" , {1} }', rego_set(["a", rego_set([1])])),
    ('{"a":1,"b":[true]}', {"a": 1, "b": [True]}),
    ("{1:2}", RegoObject(((1, 2),))),
    ('{[1]:set(),"a":{"b":{3}}}', rego_object([([1], rego_set([])), ("a", {"b": rego_set([3])})])),
]


@pytest.mark.parametrize(("text", "value"), PAIRS)
def test_a_text_is_read(text: str, value: Value) -> None:
    assert compare(parse_value(text), value) == 0
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{1",
        "{1,",
        "{1:}",
        "{1:2",
        "[1",
        "nul",
        "set(",
        "set(1)",
        "1 2",
        "{1} x",
        '"a',
        "01",
        "{,}",
        "+1",
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueTextError):
        parse_value(text)


def test_text_that_nests_too_deeply_is_refused() -> None:
    with pytest.raises(ValueTextError, match="levels"):
        parse_value("{" * 5000)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(rego_set)
        | st.lists(st.tuples(inner, inner), max_size=4).map(rego_object)
    ),
    max_leaves=15,
)


@settings(max_examples=200)
@given(VALUES)
def test_every_value_is_read_back(value: Value) -> None:
    assert compare(parse_value(dump_value(value)), value) == 0


def test_a_float_is_written_by_its_shortest_digits() -> None:
    assert dump_value([0.1, 1e22]) == "[0.1,1E+22]"


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), b"x"])
def test_what_is_no_value_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        dump_value(value)
