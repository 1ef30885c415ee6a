"""A large base document, laid out by the runtime itself, is the one that the constants of a plan would give."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine import compile_policy, load, query
from cupcake.engine.documents import LARGE, document
from cupcake.engine.plan import ir
from cupcake.engine.plan.planner import plan
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module
from cupcake.engine.wasm.assemble import assemble
from cupcake.engine.wasm.errors import CodegenError

POLICY = """package p
whole := data.d
keys contains k if data.d[k]
found contains path if { walk(data.d, [path, input.wanted]) }
at := data.d[input.wanted]
same if data.d == input.document
"""
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["a", "b", "wanted"]),
)
documents = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(st.one_of(st.sampled_from(["a", "b", "wanted"]), st.text(max_size=4)), inner, max_size=20),
    ),
    max_leaves=40,
)  # fmt: skip


def artifact(data: object, *, large: int) -> Any:
    checked = check([parse_module(POLICY, "p.rego")])
    return assemble(plan(checked, ["p"], document(data, large=large)))


@settings(max_examples=60, deadline=None)
@given(documents)
def test_both_ways_give_the_same_answers(value: Any) -> None:
    given_ = {"wanted": "a", "document": value}
    by_runtime, by_constants = (load(artifact({"d": value}, large=n)) for n in (0, 1 << 40))
    assert by_runtime.evaluate("p", given_) == by_constants.evaluate("p", given_)
    assert by_runtime.evaluate("p", given_)["same"] is True


def test_equal_documents_give_equal_bytes() -> None:
    data = {"d": {f"k{i}": [i, str(i), {"n": None}] for i in range(4000)}}
    first, second = (artifact(data, large=LARGE) for _ in range(2))
    assert first.wasm == second.wasm and first.wasm_owned == second.wasm_owned
    assert json.loads(first.data) == data


def test_repeated_scalars_are_stored_once() -> None:
    short = artifact({"d": ["the same text"] * 10}, large=0)
    long = artifact({"d": ["the same text"] * 1010}, large=0)
    assert len(long.wasm_owned) - len(short.wasm_owned) < 1000 * 4 + 64


def test_a_large_document_serves_every_kind_of_lookup() -> None:
    data = {"d": {f"user{i}": {"roles": [f"r{i % 7}"], "n": i / 4} for i in range(3000)}}
    assert isinstance(document(data), ir.ConstDocument)
    policy = load(
        compile_policy({"p.rego": 'package p\nq contains u if data.d[u].roles[_] == "r3"'}, data, ["p/q"])
    )  # fmt: skip
    assert len(policy.evaluate("p/q")) == len(range(3, 3000, 7))
    assert query("x := data.d.user2999.n", data=data) == [{"x": 749.75}]


def test_exact_numbers_keep_their_digits() -> None:
    numbers = [Decimal("0.12345678901234567890123456789"), Decimal("1e999999"), 10**40]
    data = {"d": {"n": numbers, "pad": "x" * LARGE}}
    assert query("x := data.d.n", data=data) == [{"x": numbers}]


def test_a_document_may_be_as_deep_as_any_json() -> None:
    policy = load(
        compile_policy({"p.rego": "package p\nq := count(data.d)"}, {"d": nested(510)}, ["p/q"])
    )
    assert policy.evaluate("p/q") == 1


def nested(levels: int) -> Any:
    deep: Any = "x" * LARGE
    for level in range(levels):
        deep = [deep] if level % 2 else {"k": deep}
    return deep


def test_a_document_that_is_nested_too_deeply_is_named() -> None:
    deep = nested(600)
    with pytest.raises(CodegenError, match=r"base document .* nested more than 512 levels"):
        compile_policy({"p.rego": "package p\nq := 1"}, {"d": deep}, ["p/q"])
