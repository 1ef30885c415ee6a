"""Collections through the functions that compiled policies call, and the limits of the arena."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Native, Runtime

NEGATIVE = (1 << 32) - 1

# source, key, result
LOOKUPS = [
    ('["a","b"]', "0", '"a"'),
    ('["a","b"]', "1", '"b"'),
    ('["a","b"]', "2", "undefined"),
    ('["a","b"]', "-1", "undefined"),
    ('["a","b"]', "1.0", '"b"'),
    ('["a","b"]', '"0"', "undefined"),
    ('["a","b"]', "9999999999999999999999", "undefined"),
    ('{"a":1}', '"a"', "1"),
    ('{"a":1}', '"b"', "undefined"),
    ('{1:"x"}', "1.0", '"x"'),
    ('{[1,{2}]:"x"}', "[1,{2}]", '"x"'),
    ("{1,2}", "1.0", "1"),
    ("{1,2}", "3", "undefined"),
    ('"abc"', "0", "undefined"),
    ("7", "0", "undefined"),
    ("null", "null", "undefined"),
]


@pytest.mark.parametrize(("source", "key", "want"), LOOKUPS)
def test_lookup(rt: Runtime, native: Native, source: str, key: str, want: str) -> None:
    assert rt.dump(rt.call("rt_get", rt.value(source), rt.value(key))) == want
    assert native([("get", source, key)]) == [want]


def test_lookup_in_nothing_and_by_nothing_is_undefined(rt: Runtime) -> None:
    assert rt.call("rt_get", 0, rt.value("1")) == 0
    assert rt.call("rt_get", rt.value("[1]"), 0) == 0


TYPES = [("null", 1), ("true", 2), ("1.5", 3), ('"a"', 4), ("[]", 5), ("{}", 6), ("set()", 7)]


@pytest.mark.parametrize(("text", "tag"), TYPES)
def test_type_and_truth(rt: Runtime, text: str, tag: int) -> None:
    assert rt.call("rt_type", rt.value(text)) == tag
    assert rt.call("rt_is_true", rt.value(text)) == 1


def test_undefined_and_false_are_not_true(rt: Runtime) -> None:
    assert rt.call("rt_is_true", 0) == 0
    assert rt.call("rt_is_true", rt.value("false")) == 0
    assert rt.call("rt_type", 0) == 0
    assert rt.call("rt_len", 0) & NEGATIVE == NEGATIVE
    assert rt.call("rt_len", rt.value('"abc"')) & NEGATIVE == NEGATIVE


ITERATION = [
    ('["b","a"]', ["0", "1"], ['"b"', '"a"']),
    ('{"b":1,"a":2,3:4}', ["3", '"a"', '"b"'], ["4", "2", "1"]),
    ("{3,1,2}", ["1", "2", "3"], ["1", "2", "3"]),
]


@pytest.mark.parametrize(("text", "keys", "values"), ITERATION)
def test_iteration_is_in_rego_order(
    rt: Runtime, text: str, keys: list[str], values: list[str]
) -> None:
    value = rt.value(text)
    count = rt.call("rt_len", value)
    assert [rt.dump(rt.call("rt_iter_key", value, i)) for i in range(count)] == keys
    assert [rt.dump(rt.call("rt_iter_value", value, i)) for i in range(count)] == values


def test_put_once_accepts_an_equal_value_and_reports_another(rt: Runtime) -> None:
    target = rt.call("rt_object", 0)
    key = rt.value('"k"')
    assert rt.call("rt_object_put_once", target, key, rt.value("1")) == 1
    assert rt.call("rt_object_put_once", target, key, rt.value("1.0")) == 1
    assert rt.call("rt_object_put_once", target, key, rt.value("2")) == 0
    assert rt.dump(target) == '{"k":1}'


MERGES = [
    ('{"a":1}', '{"b":2}', '{"a":1,"b":2}'),
    ('{"a":1}', '{"a":2,"b":2}', '{"a":1,"b":2}'),
    ('{"a":{"x":1}}', '{"a":{"y":2,"x":3}}', '{"a":{"x":1,"y":2}}'),
    ('{"a":{"x":1}}', '{"a":2}', '{"a":{"x":1}}'),
    ('{"a":1}', '{"a":{"x":1}}', '{"a":1}'),
    ("{}", "{}", "{}"),
    ("1", '{"a":1}', "1"),
]


@pytest.mark.parametrize(("a", "b", "want"), MERGES)
def test_merge_prefers_the_first_and_changes_neither(
    rt: Runtime, native: Native, a: str, b: str, want: str
) -> None:
    x, y = rt.value(a), rt.value(b)
    assert rt.dump(rt.call("rt_object_merge", x, y)) == want
    assert (rt.dump(x), rt.dump(y)) == (rt.dump(rt.value(a)), rt.dump(rt.value(b)))
    assert native([("merge", a, b)]) == [want]


WITHS = [
    ('{"a":1}', '["b"]', "2", '{"a":1,"b":2}'),
    ('{"a":{"b":1,"c":2}}', '["a","b"]', "9", '{"a":{"b":9,"c":2}}'),
    ('{"a":1}', '["a","b"]', "2", '{"a":{"b":2}}'),
    ("7", '["a"]', "2", '{"a":2}'),
    ('{"a":1}', "[]", "[3]", "[3]"),
    ("{}", '["a","b","c"]', "null", '{"a":{"b":{"c":null}}}'),
]


@pytest.mark.parametrize(("arguments", "want"), [(row[:3], row[3]) for row in WITHS])
def test_with_puts_a_value_into_a_copy(
    rt: Runtime, native: Native, arguments: tuple[str, str, str], want: str
) -> None:
    base, path, value = arguments
    start = rt.value(base)
    got = rt.call("rt_with", start, rt.value(path), rt.value(value))
    assert rt.dump(got) == want
    assert rt.dump(start) == rt.dump(rt.value(base))
    assert native([("with", base, path, value)]) == [want]


def test_with_and_merge_on_objects_large_enough_for_an_index(rt: Runtime) -> None:
    base = rt.value("{" + ",".join(f'"k{i * 37 % 101}":{i}' for i in range(50)) + "}")
    first = rt.dump(base)
    changed = base
    for i in range(40):
        changed = rt.call("rt_with", changed, rt.value(f'["n{i}"]'), rt.value(str(i)))
    assert rt.call("rt_len", changed) == 90
    merged = rt.call("rt_object_merge", rt.value('{"k37":"new","m":1}'), changed)
    assert rt.call("rt_len", merged) == 91
    for key, want in (("n0", "0"), ("n39", "39"), ("k37", '"new"'), ("m", "1"), ("k0", "0")):
        assert rt.dump(rt.call("rt_get", merged, rt.value(f'"{key}"'))) == want
    assert rt.dump(base) == first
    assert rt.dump(rt.value(rt.dump(merged))) == rt.dump(merged)


def test_with_on_nothing_starts_from_an_empty_object(rt: Runtime) -> None:
    assert rt.dump(rt.call("rt_with", 0, rt.value('["a"]'), rt.value("1"))) == '{"a":1}'


def test_paths_are_added_and_removed_in_place(rt: Runtime) -> None:
    base = rt.value('{"a":{"b":1,"c":2}}')
    assert rt.call("opa_value_add_path", base, rt.value('["x","y"]'), rt.value("3")) == 0
    assert rt.call("opa_value_remove_path", base, rt.value('["a","b"]')) == 0
    assert rt.dump(base) == '{"a":{"c":2},"x":{"y":3}}'
    assert rt.call("opa_value_add_path", base, rt.value("[]"), rt.value("3")) != 0
    assert rt.call("opa_value_add_path", rt.value("[1]"), rt.value('["a"]'), rt.value("3")) != 0
    assert rt.call("opa_value_remove_path", base, rt.value('["q","b"]')) != 0


def test_entries_of_a_large_object_can_be_removed(rt: Runtime) -> None:
    base = rt.value("{" + ",".join(f'"k{i}":{i}' for i in range(100)) + "}")
    for i in range(0, 100, 2):
        assert rt.call("opa_value_remove_path", base, rt.value(f'["k{i}"]')) == 0
    for i in range(100):
        got = rt.dump(rt.call("rt_get", base, rt.value(f'"k{i}"')))
        assert got == (str(i) if i % 2 else "undefined")


def test_a_hundred_thousand_keys_in_any_order_are_found_and_sorted(rt: Runtime) -> None:
    keys = [f"{i:06d}" for i in range(100_000)]
    random.Random(1).shuffle(keys)
    value = rt.parse("{" + ",".join(f'"{k}":{int(k)}' for k in keys) + "}")
    assert rt.call("rt_len", value) == 100_000
    for i in (0, 1, 49_999, 99_999):
        assert rt.dump(rt.call("rt_iter_value", value, i)) == str(i)
        assert rt.dump(rt.call("rt_get", value, rt.value(f'"{i:06d}"'))) == str(i)


def test_a_value_that_is_sorted_late_survives_a_reset_of_the_heap(rt: Runtime) -> None:
    """A host keeps its data below a mark and resets the heap to it after each evaluation."""
    data = rt.value("{" + ",".join(f'"k{i * 37 % 101}":{i}' for i in range(101)) + "}")
    mark = rt.call("opa_heap_ptr_get")
    first = rt.dump(data)
    rt.call("opa_heap_ptr_set", mark)
    rt.value('"' + "z" * 4000 + '"')
    assert rt.dump(data) == first


def test_memory_that_the_host_refuses_is_a_typed_error(small_rt: Runtime) -> None:
    with pytest.raises(Exception, match="eval_limit_memory: "):
        for _ in range(1000):
            small_rt.value('"' + "x" * 10_000 + '"')


@pytest.mark.parametrize("name", ["rt_array", "rt_object", "rt_set"])
def test_a_capacity_that_cannot_be_is_a_typed_error(rt: Runtime, name: str) -> None:
    with pytest.raises(Exception, match="eval_limit_memory: "):
        rt.call(name, 0x7FFFFFFF)


def test_an_allocation_of_half_the_address_space_is_a_typed_error(small_rt: Runtime) -> None:
    for size in (0xFFFFFFFF, 0xFFFFFFF8, 0x80000000):
        with pytest.raises(Exception, match="eval_limit_memory: "):
            small_rt.call("opa_malloc", size - (1 << 32))


def test_fail_carries_code_and_message(rt: Runtime) -> None:
    codes = ["conflict_error", "type_error", "builtin_error", "limit_memory", "limit_depth"]
    for number, code in enumerate([*codes, "input_error", "internal_error"], 1):
        with pytest.raises(Exception, match=f"eval_{code}: héllo"):
            rt.call("rt_fail", number, rt.value('"héllo"'))


def test_context_carries_input_data_entrypoint_and_result(rt: Runtime) -> None:
    context = rt.call("opa_eval_ctx_new")
    rt.call("opa_eval_ctx_set_input", context, 11)
    rt.call("opa_eval_ctx_set_data", context, 22)
    rt.call("opa_eval_ctx_set_entrypoint", context, 33)
    rt.set_word(context + 12, 44)
    assert [rt.word(context + offset) for offset in (0, 4, 8)] == [11, 22, 33]
    assert rt.call("opa_eval_ctx_get_result", context) == 44


FINDS = [
    ("", "", 0),
    ("abc", "", 0),
    ("abc", "c", 2),
    ("abc", "d", -1),
    ("abc", "abcd", -1),
    ("aaab", "aab", 1),
    ("a" * 100 + "b", "a" * 20 + "b", 80),
    ("abab" * 10 + "abac" * 5, "abacabacabacabacabac", 40),
    ("abcd" * 20, "abcd" * 5 + "x", -1),
]


@pytest.mark.parametrize(("hay", "needle", "want"), FINDS)
def test_substring_search(native: Native, hay: str, needle: str, want: int) -> None:
    if hay and needle:
        assert native([("find", hay, needle)]) == [str(want)]
    assert hay.find(needle) == want
