"""LEB128: shortest forms out, bounded forms in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupcake.engine.wasm.errors import MalformedModuleError
from cupcake.engine.wasm.leb128 import read_sleb, read_uleb, sleb, uleb

# Pairs from the binary format's definition.
UNSIGNED = [
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "8001"),
    (624485, "e58e26"),
    (2**32 - 1, "ffffffff0f"),
]
SIGNED = [
    (0, "00"),
    (-1, "7f"),
    (63, "3f"),
    (64, "c000"),
    (-64, "40"),
    (-65, "bf7f"),
    (-123456, "c0bb78"),
]


@pytest.mark.parametrize(("value", "encoded"), UNSIGNED)
def test_unsigned_integers_have_their_shortest_form(value: int, encoded: str) -> None:
    assert uleb(value).hex() == encoded


@pytest.mark.parametrize(("value", "encoded"), SIGNED)
def test_signed_integers_have_their_shortest_form(value: int, encoded: str) -> None:
    assert sleb(value).hex() == encoded


def test_a_negative_number_has_no_unsigned_form() -> None:
    with pytest.raises(ValueError, match="-1"):
        uleb(-1)


@given(st.integers(0, 2**32 - 1))
def test_an_unsigned_integer_is_read_back(value: int) -> None:
    assert read_uleb(uleb(value) + b"x", 0) == (value, len(uleb(value)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_signed_integer_is_read_back(value: int) -> None:
    assert read_sleb(sleb(value) + b"x", 0, 64) == (value, len(sleb(value)))


@pytest.mark.parametrize("data", ["", "80", "8080808080", "ffffffff1f", "808080808000"])
def test_a_cut_or_too_wide_unsigned_integer_is_refused(data: str) -> None:
    with pytest.raises(MalformedModuleError):
        read_uleb(bytes.fromhex(data), 0)


@pytest.mark.parametrize("data", ["", "ff", "8080808070", "ffffffff4f", "ffffffffff7f"])
def test_a_cut_or_too_wide_signed_integer_is_refused(data: str) -> None:
    with pytest.raises(MalformedModuleError):
        read_sleb(bytes.fromhex(data), 0)
