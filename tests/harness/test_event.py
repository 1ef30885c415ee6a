"""Reading events: what is refused, and why."""

from __future__ import annotations

import json

import pytest

from cupcake.engine.errors import BadEvent
from cupcake.engine.harness.adapters import adapter_for, harness_name
from cupcake.engine.harness.event import MAX_EVENT_BYTES, event_names, guess_event_name, parse_event

REFUSED = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "no JSON": (b"not json", "not JSON: Expecting value at line 1 column 1"),
    "an array": (b"[]", "not a JSON object"),
    "a string": (b'"x"', "not a JSON object"),
    "two values": (b"{}{}", "not JSON: Extra data"),
    "cut off": (b'{"a":', "not JSON"),
    "not UTF-8": (b'{"a":"\xff"}', "not UTF-8 (byte 6)"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON"),
    "NaN": (b'{"a":NaN}', "NaN is no JSON number"),
    "Infinity": (b'{"a":-Infinity}', "-Infinity is no JSON number"),
    "an endless number": (b'{"a":1e999}', "out of range"),
    "a number of 5,000 digits": (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    "a key twice": (b'{"a":1,"a":2}', "'a' stands twice"),
    "a key twice, spelled otherwise": (b'{"a":1,"\\u0061":2}', "'a' stands twice"),
    "a key twice, inside": (b'{"t":[{"command":"ls","command":"rm"}]}', "'command' stands twice"),
    "a lone surrogate": (b'{"a":"\\ud800"}', "lone surrogate"),
    "a lone surrogate as a key": (b'{"\\uDFFF":1}', "lone surrogate"),
    "a raw control character": (b'{"a":"\x01"}', "not JSON"),
    "too large": (b'{"a":"' + b"x" * MAX_EVENT_BYTES + b'"}', "larger than 8 MiB"),
    "1,000 levels": (b'{"a":' + b"[" * 1000 + b"]" * 1000 + b"}", "deeper than 512 levels"),
    "100,000 levels, unclosed": (b'{"a":' * 100_000, "deeper than 512 levels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_event_is_refused_with_its_fault(name: str) -> None:
    data, fault = REFUSED[name]
    with pytest.raises(BadEvent) as refused:
        parse_event(data)
    assert fault in str(refused.value)


def test_what_is_only_strange_passes() -> None:
    deep = {"a": 1}
    for _ in range(400):
        deep = {"a": deep}  # type: ignore[dict-item]
    for value in (
        deep,
        {"pair": "\U0001f9c1", "brackets": "[" * 2000, "": None},
        {"n": 10**30, "x": 1.5},
    ):
        assert parse_event(json.dumps(value).encode()) == value
    assert parse_event(b'{"a":"\\ud83e\\uddc1"}') == {"a": "\U0001f9c1"}


def test_an_event_needs_a_name() -> None:
    assert event_names({"hook_event_name": "A"}) == ("A",)
    assert event_names({"hookEventName": "A"}) == ("A",)
    assert event_names({"hookEventName": "A", "hook_event_name": "A"}) == ("A",)
    assert event_names({"hookEventName": "B", "hook_event_name": "A"}) == ("A", "B")
    for bad in ({}, {"hook_event_name": None}, {"hook_event_name": 1}, {"hookEventName": ["A"]},
                {"hook_event_name": "A", "hookEventName": 1}):  # fmt: skip
        with pytest.raises(BadEvent):
            event_names(bad)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (None, None),
        (b"", None),
        (b'{"hook_event_name": "PreToolUse", "x": ', "PreToolUse"),
        (b'{"hookEventName":"Stop"', "Stop"),
        (b'{"hook_event_name":"PreToolUse","tool_input":{"hook_event_name":"Stop"},', None),
        (b'{"tool_input":{"command":"echo {\\"hook_event_name\\":\\"Stop\\"}"}', None),
    ],
)
def test_the_name_of_a_broken_event_is_guessed_only_when_it_is_clear(
    data: bytes | None, name: str | None
) -> None:
    assert guess_event_name(data) == name


def test_harness_names_as_users_write_them() -> None:
    assert [harness_name(text) for text in ("Claude", "claude-code", "droid", "open-code", "cursor", "x")] == [
        "claude", "claude", "factory", "opencode", "cursor", "x",
    ]  # fmt: skip
    assert adapter_for("claude") is not None
    assert adapter_for("x") is None
