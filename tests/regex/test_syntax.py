"""What is RE2 syntax in Go's flavour and what is not, with the place of the fault."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.regex.classes import ANY, MAX_RUNE, Ranges, fold, negate, normal, unicode_class
from cupcake.engine.regex.compile import compile_pattern
from cupcake.engine.regex.errors import GlobError, RegexError
from cupcake.engine.regex.globs import compile_glob
from cupcake.engine.regex.utf8 import byte_sequences

BAD = [
    ("a(b", "missing closing ): `a(b`", 1),
    ("a)", "unexpected ): `a)`", 1),
    ("[a", "missing closing ]: `[a`", 0),
    ("x[z-a]", "invalid character class range: `z-a`", 2),
    ("[[:foo:]]", "invalid character class range: `[:foo:]`", 1),
    ("\\p{Nope}", "invalid character class range: `\\p{Nope}`", 0),
    ("a**", "invalid nested repetition operator: `**`", 1),
    ("*a", "missing argument to repetition operator: `*`", 0),
    ("a{3,2}", "invalid repeat count: `{3,2}`", 1),
    ("a{1001}", "invalid repeat count: `{1001}`", 1),
    ("(?:a{100}){100}", "invalid repeat count: `{100}`", 10),
    ("(?=a)", "invalid or unsupported Perl syntax: `(?=`", 0),
    ("(a)\\1", "invalid escape sequence: `\\1`", 3),
    ("a\\", "trailing backslash at end of expression: ``", 1),
    ("(?P<1-x>a)", "invalid named capture: `(?P<1-x>`", 0),
]


@pytest.mark.parametrize(("pattern", "message", "position"), BAD)
def test_a_bad_pattern_names_the_fault_and_its_place(
    pattern: str, message: str, position: int
) -> None:
    with pytest.raises(RegexError) as caught:
        compile_pattern(pattern)
    assert str(caught.value) == f"error parsing regexp: {message}"
    assert caught.value.position == position


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a{,2}",
        "a{2",
        "[]a]",
        "[^]]",
        "\\Q*(\\E+",
        "(?i:a)(?-s:b)",
        "(?<n>a)",
        "a|",
        "\\_",
    ],
)
def test_good_patterns_compile(pattern: str) -> None:
    assert compile_pattern(pattern)[:4] == b"RX01"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab(){}[]?*+|^$.\\dpP<>:-,123iU", max_size=14))
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    try:
        blob = compile_pattern(pattern)
    except RegexError as error:
        assert 0 <= error.position <= len(pattern)
    else:
        assert int.from_bytes(blob[4:8], "little") == len(blob)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab*?[]{},!-\\.", max_size=12))
def test_any_text_is_a_glob_or_is_refused(pattern: str) -> None:
    try:
        assert compile_glob(pattern, None)[:4] == b"RX01"
    except GlobError as error:
        assert str(error)


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz){1000}",
        "(?:){1000}" * 6000,
        "(?i)" + "\\pL" * 20_000,
        "x" * 70_000,
    ],
)
def test_a_pattern_that_costs_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(RegexError, match="too large"):
        compile_pattern(pattern)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, MAX_RUNE), st.integers(0, MAX_RUNE), st.integers(0, MAX_RUNE))
def test_byte_sequences_match_exactly_the_encodings(a: int, b: int, probe: int) -> None:
    low, high = min(a, b), max(a, b)
    sequences = list(byte_sequences(low, high))
    for rune in (low, high, max(low - 1, 0), min(high + 1, MAX_RUNE), probe):
        if 0xD800 <= rune <= 0xDFFF:
            continue
        raw = chr(rune).encode()
        hit = [
            s
            for s in sequences
            if len(s) == len(raw) and all(x <= c <= y for c, (x, y) in zip(raw, s, strict=True))
        ]
        assert len(hit) == (low <= rune <= high)


def test_classes_are_sorted_and_joined() -> None:
    assert normal([(5, 9), (1, 4), (20, 30), (25, 40)]) == ((1, 9), (20, 40))
    assert negate(((0, 9),)) == ((10, MAX_RUNE),)
    assert negate(()) == ANY


def test_folding_reaches_the_kelvin_sign_and_the_long_s() -> None:
    assert fold(((0x6B, 0x6B),)) == ((0x4B, 0x4B), (0x6B, 0x6B), (0x212A, 0x212A))
    assert fold(((0x17F, 0x17F),)) == ((0x53, 0x53), (0x73, 0x73), (0x17F, 0x17F))


def test_an_unknown_unicode_class_is_none() -> None:
    assert unicode_class("Nope") is None
    assert unicode_class("Lu") != unicode_class("Ll")


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("Greek", "αΩ", "aя"),
        ("Canadian_Aboriginal", "ᐁ", "a"),
        ("Adlam", "\U0001e900", "a"),
        ("Han", "漢々", "あ"),
        ("Common", "1 ,", "aα"),
        ("lowercase letter", "aα", "A1"),
        ("LC", "aAǅ", "ª1"),
        ("Cn", "\u0378", "a"),
        ("C", "\u0378\n\u200b\ue000", "a"),
        ("Assigned", "a\n", "\u0378"),
        ("ASCII", "a\x7f", "é"),
    ],
)
def test_unicode_classes_have_their_characters(name: str, inside: str, outside: str) -> None:
    found = unicode_class(name)
    assert found is not None
    assert all(contains(found, char) for char in inside)
    assert not any(contains(found, char) for char in outside)


def contains(ranges: Ranges, char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in ranges)


@pytest.mark.parametrize("name", ["", "X", "Zyyy", "Greekish", "Script=Greek"])
def test_other_names_are_no_classes(name: str) -> None:
    assert unicode_class(name) is None
