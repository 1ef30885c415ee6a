"""Strings of any bytes as Python's, and JSON that must not make such bytes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupcake.engine.builtins.texts import (
    from_bytes,
    read_json,
    readable,
    readable_bytes,
    readable_escapes,
    to_bytes,
)
from cupcake.engine.builtins.values import compare

JSON: list[tuple[bytes, Any]] = [
    (b'"\xff"', "\ufffd"),
    (b'"\\udcff"', "\ufffd"),
    (b'"\\ud800x"', "\ufffdx"),
    (b'"\\ud83d\\ude00"', "\U0001f600"),
    (b'"\\ud83c\\udcff"', "\U0001f0ff"),
    (b'{"\\udcff": ["\\uDC80", 1]}', {"\ufffd": ["\ufffd", 1]}),
    (b'"\xed\xa0\x80\xed\xb0\x80"', "\ufffd" * 6),
]
ESCAPES = [
    (r'"\udcff"', r'"\ufffd"'),
    (r'"\ud83c\udcff\udc80"', r'"\ud83c\udcff\ufffd"'),
    (r'"\\udcff"', r'"\\udcff"'),
    (r'"\\\udcff\n"', r'"\\\ufffd\n"'),
    (r'"\udc7f"', r'"\udc7f"'),
]


@given(st.binary())
def test_bytes_come_back(raw: bytes) -> None:
    assert to_bytes(from_bytes(raw)) == raw
    assert readable(from_bytes(raw)) == readable_bytes(raw)
    readable_bytes(raw).encode()


@given(st.binary(), st.binary())
def test_the_order_is_that_of_the_bytes(a: bytes, b: bytes) -> None:
    assert compare(from_bytes(a), from_bytes(b)) == (a > b) - (a < b)


@given(st.text(st.characters()))
def test_any_text_has_bytes(text: str) -> None:
    readable_bytes(to_bytes(text)).encode()


@pytest.mark.parametrize(("raw", "value"), JSON)
def test_json_makes_no_bytes(raw: bytes, value: Any) -> None:
    assert read_json(from_bytes(raw)) == value


@pytest.mark.parametrize(("text", "shown"), ESCAPES)
def test_escapes_of_bytes_are_replaced(text: str, shown: str) -> None:
    assert readable_escapes(text) == shown
