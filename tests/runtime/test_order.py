"""Rego's order, equality and hashes, against a model in Python."""

from __future__ import annotations

import functools
import itertools
import json
import random
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Native, Runtime

# strictly ascending
ASCENDING = [
    "null",
    "false",
    "true",
    "-1e400",
    "-99999999999999999999",
    "-9223372036854775809",
    "-9223372036854775808",
    "-2",
    "-1.5",
    "-1",
    "-0.0001",
    "0",
    "1e-400",
    "0.1",
    "0.10000000000000000001",
    "0.5",
    "1",
    "1.0000000000000000000000001",
    "9",
    "10",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "1e30",
    "1e400",
    '""',
    '"A"',
    '"a"',
    '"a\\u0000"',
    '"aa"',
    '"b"',
    '"é"',
    '"\uffee"',
    '"😀"',
    "[]",
    "[null]",
    "[null,null]",
    "[1]",
    "[1,2]",
    "[2]",
    "[[]]",
    "{}",
    '{"a":1}',
    '{"a":1,"b":1}',
    '{"a":1,"c":0}',
    '{"a":2}',
    '{"b":0}',
    "set()",
    "{1}",
    "{1,2}",
    "{1,3}",
    "{2}",
    '{"a"}',
    "{set()}",
]

OPA = shutil.which("opa") or str(Path.home() / "go" / "bin" / "opa")

EQUAL = [
    ("1", "1.0"),
    ("1", "1e0"),
    ("100", "1e2"),
    ("0", "-0"),
    ("0", "0e5"),
    ("0", "-0.000"),
    ("1.5", "15e-1"),
    ("100000000000000000000", "1e20"),
    ("-9223372036854775808", "-9223372036854775808.0"),
    ("[1,2]", "[1.0,2e0]"),
    ("{1,2,3}", "{3,2,1}"),
    ('{"a":1,"b":2}', '{"b":2,"a":1.0}'),
    ("{1.0:2}", "{1:2}"),
]


def test_each_value_is_below_all_that_follow(rt: Runtime) -> None:
    values = [rt.value(text) for text in ASCENDING]
    for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
        assert rt_signed(rt.call("rt_compare", a, b)) == (i > j) - (i < j), (
            ASCENDING[i],
            ASCENDING[j],
        )
        assert rt.call("rt_equal", a, b) == (i == j)


@pytest.mark.skipif(not Path(OPA).exists(), reason="the opa executable is not installed")
def test_a_set_of_all_of_them_is_in_opas_order(rt: Runtime, tmp_path: Path) -> None:
    shuffled = list(ASCENDING)
    random.Random(3).shuffle(shuffled)
    policy = tmp_path / "p.rego"
    policy.write_text("package t\ns := {" + ",\n".join(shuffled) + "}\n")
    command = [OPA, "eval", "-f", "raw", "-d", str(policy), "data.t.s"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours = rt.json(rt.value("{" + ",".join(shuffled) + "}"))
    assert json.loads(ours, parse_float=str, parse_int=str) == json.loads(
        done.stdout, parse_float=str, parse_int=str
    )


@pytest.mark.parametrize(("a", "b"), EQUAL)
def test_values_that_are_equal_have_one_hash(rt: Runtime, native: Native, a: str, b: str) -> None:
    assert rt.call("rt_equal", rt.value(a), rt.value(b)) == 1
    assert rt.call("rt_compare", rt.value(a), rt.value(b)) == 0
    assert native([("compare", a, b)]) == ["0 1 1"]


def rt_signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


# ---- the model: (rank, key); numbers as Decimal ----


@functools.total_ordering
class Model:
    """A value with the order that OPA documents."""

    def __init__(self, rank: int, key: Any) -> None:
        self.rank, self.key = rank, key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and (self.rank, self.key) == (other.rank, other.key)

    def __lt__(self, other: Model) -> bool:
        return (self.rank, self.key) < (other.rank, other.key)

    def __hash__(self) -> int:
        return hash((self.rank, self.key))


texts = st.text("aé\uffee😀\x7f", max_size=3)
numbers = st.one_of(
    st.integers(-3, 3).map(str),
    st.integers().map(str),
    st.integers(-(2**64), 2**64).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9, max_value=9).map(
        lambda d: f"{d:.3f}"
    ),
    st.builds("{}e{}".format, st.integers(-20, 20), st.integers(-3, 25)),
)
leaves = st.one_of(
    st.just(("null", Model(1, 0))),
    st.booleans().map(lambda b: ("true" if b else "false", Model(2, b))),
    numbers.map(lambda n: (n, Model(3, Decimal(n)))),
    texts.map(lambda t: (f'"{t}"', Model(4, t.encode()))),
)


def make_object(pairs: list[Any]) -> Any:
    unique = {k[1]: (k, v) for k, v in pairs}
    ordered = sorted(unique.items())
    body = ",".join(f"{k[0]}:{v[0]}" for k, v in unique.values())
    key = tuple(itertools.chain.from_iterable((k[1], v[1]) for _, (k, v) in ordered))
    return "{" + body + "}", Model(6, key)


def make_set(items: list[Any]) -> Any:
    unique = {item[1]: item for item in items}
    body = ",".join(text for text, _ in items)
    return "{" + body + "}" if items else "set()", Model(7, tuple(sorted(unique)))


values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(
            lambda items: (
                "[" + ",".join(t for t, _ in items) + "]",
                Model(5, tuple(m for _, m in items)),
            )
        ),
        st.lists(st.tuples(inner, inner), max_size=4).map(make_object),
        st.lists(inner, max_size=12).map(make_set),
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(a=values, b=values)
def test_order_is_that_of_the_model(a: Any, b: Any, session_rt: Runtime) -> None:
    x, y = session_rt.value(a[0]), session_rt.value(b[0])
    want = (a[1] > b[1]) - (a[1] < b[1])
    assert rt_signed(session_rt.call("rt_compare", x, y)) == want
    assert rt_signed(session_rt.call("rt_compare", y, x)) == -want
    assert session_rt.call("rt_equal", x, y) == (want == 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(items=st.lists(values, min_size=1, max_size=30))
def test_a_set_iterates_in_the_order_of_the_model(items: Any, session_rt: Runtime) -> None:
    text, model = make_set(items)
    value = session_rt.value(text)
    got = [session_rt.call("rt_iter_key", value, i) for i in range(len(model.key))]
    assert session_rt.call("rt_len", value) == len(model.key)
    for a, b in itertools.pairwise(got):
        assert rt_signed(session_rt.call("rt_compare", a, b)) == -1
    by_model = sorted({item[1]: item for item in items}.values(), key=lambda item: item[1])
    for address, (item, _) in zip(got, by_model, strict=True):
        assert session_rt.call("rt_equal", address, session_rt.value(item)) == 1


def test_nesting_beyond_the_limit_ends_with_a_typed_error(rt: Runtime) -> None:
    def nested(levels: int) -> int:
        value = rt.value("[]")
        for _ in range(levels):
            outer = rt.call("rt_array", 1)
            rt.call("rt_array_push", outer, value)
            value = outer
        return value

    assert rt.call("rt_equal", nested(1000), nested(1000)) == 1
    for name in ("rt_equal", "rt_compare"):
        with pytest.raises(Exception, match="eval_limit_depth: "):
            rt.call(name, nested(5000), nested(5000))
    with pytest.raises(Exception, match="eval_limit_depth: "):
        rt.json(nested(5000))
