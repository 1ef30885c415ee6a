"""Constants laid out in Python are the values that the runtime would have made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.runtime import abi
from cupcake.engine.runtime.layout import ConstantPool, LayoutError

if TYPE_CHECKING:
    from conftest import Runtime


@dataclass(frozen=True)
class Number:
    text: str


@dataclass(frozen=True)
class Array:
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Set:
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Object:
    pairs: tuple[tuple[Any, Any], ...]


def placed(rt: Runtime, pool: ConstantPool) -> int:
    address = rt.call("opa_malloc", pool.size + 8)
    rt.memory.write(rt.store, pool.finish(address), address)
    return address


def value_text(value: Any) -> str:
    if isinstance(value, Number):
        return value.text
    if isinstance(value, Array):
        return "[" + ",".join(map(value_text, value.items)) + "]"
    if isinstance(value, Set):
        return "{" + ",".join(map(value_text, value.items)) + "}" if value.items else "set()"
    if isinstance(value, Object):
        return "{" + ",".join(f"{value_text(k)}:{value_text(v)}" for k, v in value.pairs) + "}"
    if isinstance(value, str):
        return f'"{value}"'
    return {None: "null", True: "true", False: "false"}[value]


numbers = st.one_of(
    st.integers(-5, 5).map(str),
    st.integers(-(2**65), 2**65).map(str),
    st.builds("{}.{}e{}".format, st.integers(-30, 30), st.integers(0, 50), st.integers(-30, 30)),
).map(Number)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text("abé😀 ", max_size=20), numbers),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5).map(lambda v: Array(tuple(v))),
        st.lists(inner, max_size=20).map(lambda v: Set(tuple(v))),
        st.lists(st.tuples(inner, inner), max_size=20).map(lambda v: Object(tuple(v))),
    ),
    max_leaves=40,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=values)
def test_a_constant_equals_the_value_read_at_run_time(value: Any, session_rt: Runtime) -> None:
    rt = session_rt
    pool = ConstantPool()
    offset = pool.add(value)
    constant = placed(rt, pool) + offset
    read = rt.value(value_text(value))
    key = rt.call("rt_set", 1)
    rt.call("rt_set_put", key, read)  # makes the runtime compute the hash of `read`
    assert rt.word(constant + abi.OFF_HASH) == rt.word(read + abi.OFF_HASH)
    assert rt.call("rt_equal", constant, read) == 1
    assert rt.call("rt_compare", constant, read) == 0
    assert rt.call("rt_get", key, constant) == read
    assert rt.dump(constant) == rt.dump(read)


def test_large_constants_are_found_by_their_index(rt: Runtime) -> None:
    pool = ConstantPool()
    offset = pool.add(Object(tuple((f"k{i}", Number(str(i))) for i in range(1000))))
    constant = placed(rt, pool) + offset
    assert rt.word(constant + abi.OFF_INDEX) != 0
    for i in (0, 1, 500, 999):
        assert rt.dump(rt.call("rt_get", constant, rt.value(f'"k{i}"'))) == str(i)
    assert rt.call("rt_get", constant, rt.value('"k1000"')) == 0


def test_equal_constants_share_one_place_and_texts_of_numbers_are_kept(rt: Runtime) -> None:
    pool = ConstantPool()
    array = Array(("a", Number("1")))
    assert pool.add(array) == pool.add(Array(("a", Number("1"))))
    assert pool.add(Set((Number("2"), Number("1")))) == pool.add(Set((Number("1"), Number("2"))))
    assert pool.add(Number("1")) != pool.add(Number("1.0"))
    assert pool.add(True) != pool.add(Number("1"))
    offsets = [pool.add(Number(text)) for text in ("1.50", "1e2", "-0", "007"[2:])]
    base = placed(rt, pool)
    assert [rt.dump(base + offset) for offset in offsets] == ["1.50", "1e2", "-0", "7"]


def test_a_lone_surrogate_becomes_the_replacement_character(rt: Runtime) -> None:
    pool = ConstantPool()
    offset = pool.add("a\ud800b")
    assert rt.json(placed(rt, pool) + offset) == '"a\ufffdb"'


def test_bytes_and_tables_are_aligned_and_relocated() -> None:
    pool = ConstantPool()
    first = pool.add_bytes(b"abc", 1)
    second = pool.add_bytes(b"defg", 8)
    assert second % 8 == 0
    assert pool.add_bytes(b"abc", 1) == first
    table = pool.add_table([(second, True), (7, False)])
    data = pool.finish(4096)
    assert data[first : first + 3] == b"abc"
    assert int.from_bytes(data[table : table + 4], "little") == 4096 + second
    assert int.from_bytes(data[table + 4 : table + 8], "little") == 7
    assert pool.finish(8192) != data
    assert pool.finish(4096) == data


@pytest.mark.parametrize("text", ["01", "1.", "abc", "", "+1", "1e", "NaN"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(LayoutError, match="not a number"):
        ConstantPool().add(Number(text))


def test_what_is_no_constant_is_refused() -> None:
    with pytest.raises(LayoutError, match="not a constant"):
        ConstantPool().add({"a": 1})  # type: ignore[arg-type]


def test_an_address_that_does_not_fit_is_refused() -> None:
    pool = ConstantPool()
    pool.add("abc")
    for base in (4, -8, 0xFFFFFFF8):
        with pytest.raises(LayoutError):
            pool.finish(base)


def test_a_constant_nested_beyond_the_runtimes_limit_is_refused() -> None:
    value: Any = Array(())
    for _ in range(600):
        value = Array((value,))
    with pytest.raises(LayoutError, match="nested"):
        ConstantPool().add(value)
