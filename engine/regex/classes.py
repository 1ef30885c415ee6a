"""Sets of code points as sorted ranges, and the named ones: Perl, POSIX, Unicode; case folding.

A class is a tuple of (low, high) pairs, sorted, disjoint, not adjacent. Pure; the Unicode tables come
from `unicodedata` and are made at first use.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TypeAlias

Ranges: TypeAlias = tuple[tuple[int, int], ...]

MAX_RUNE = 0x10FFFF
ANY: Ranges = ((0, MAX_RUNE),)
NOT_NEWLINE: Ranges = ((0, 9), (11, MAX_RUNE))

PERL = MappingProxyType(
    {
        "d": ((0x30, 0x39),),
        "s": ((9, 10), (12, 13), (32, 32)),
        "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    }
)

POSIX = MappingProxyType(
    {
        "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
        "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
        "ascii": ((0, 0x7F),),
        "blank": ((9, 9), (32, 32)),
        "cntrl": ((0, 31), (127, 127)),
        "digit": ((0x30, 0x39),),
        "graph": ((0x21, 0x7E),),
        "lower": ((0x61, 0x7A),),
        "print": ((0x20, 0x7E),),
        "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
        "space": ((9, 13), (32, 32)),
        "upper": ((0x41, 0x5A),),
        "word": PERL["w"],
        "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
    }
)

# Scripts are not in `unicodedata`; these are told by the first word of a character's name.
_SCRIPT_WORDS = MappingProxyType(
    {
        "Arabic": ("ARABIC ",),
        "Armenian": ("ARMENIAN ",),
        "Bengali": ("BENGALI ",),
        "Cyrillic": ("CYRILLIC ",),
        "Devanagari": ("DEVANAGARI ",),
        "Georgian": ("GEORGIAN ",),
        "Greek": ("GREEK ",),
        "Han": ("CJK UNIFIED ", "CJK COMPATIBILITY IDEOGRAPH", "CJK RADICAL ", "KANGXI "),
        "Hangul": ("HANGUL ",),
        "Hebrew": ("HEBREW ",),
        "Hiragana": ("HIRAGANA ",),
        "Katakana": ("KATAKANA ",),
        "Latin": ("LATIN ",),
        "Tamil": ("TAMIL ",),
        "Thai": ("THAI ",),
    }
)

_CATEGORIES = frozenset(
    [
        "Cc",
        "Cf",
        "Co",
        "Cs",
        "C",
        "L",
        "Ll",
        "Lm",
        "Lo",
        "Lt",
        "Lu",
        "M",
        "Mc",
        "Me",
        "Mn",
        "N",
        "Nd",
        "Nl",
        "No",
        "P",
        "Pc",
        "Pd",
        "Pe",
        "Pf",
        "Pi",
        "Po",
        "Ps",
        "S",
        "Sc",
        "Sk",
        "Sm",
        "So",
        "Z",
        "Zl",
        "Zp",
        "Zs",
    ]
)


def normal(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sort and join overlapping and adjacent ranges."""
    result: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            if high > result[-1][1]:
                result[-1] = (result[-1][0], high)
        else:
            result.append((low, high))
    return tuple(result)


def negate(ranges: Ranges) -> Ranges:
    """Every code point that is not in the class."""
    result: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            result.append((start, low - 1))
        start = high + 1
    if start <= MAX_RUNE:
        result.append((start, MAX_RUNE))
    return tuple(result)


@lru_cache(maxsize=256)
def fold(ranges: Ranges) -> Ranges:
    """The class with everything that differs from one of its members only by simple case folding."""
    if ranges == ANY:
        return ranges
    orbits = _ASCII_ORBITS if all(high < 0x80 for _, high in ranges) else _orbits()
    extra: list[tuple[int, int]] = list(ranges)
    if sum(high - low + 1 for low, high in ranges) <= len(orbits):
        for low, high in ranges:
            for rune in range(low, high + 1):
                extra.extend((other, other) for other in orbits.get(rune, ()))
    else:
        lows = [low for low, _ in ranges]
        for rune, others in orbits.items():
            at = bisect_right(lows, rune) - 1
            if at >= 0 and rune <= ranges[at][1]:
                extra.extend((other, other) for other in others)
    return normal(extra)


def _by_rune(orbits: Iterable[tuple[int, ...]]) -> Mapping[int, tuple[int, ...]]:
    """Each code point to all that it folds with, itself included."""
    return MappingProxyType({rune: orbit for orbit in orbits for rune in orbit})


def _ascii_orbits() -> Mapping[int, tuple[int, ...]]:
    beyond = {0x6B: (0x212A,), 0x73: (0x17F,)}
    return _by_rune((c - 32, c, *beyond.get(c, ())) for c in range(0x61, 0x7B))


_ASCII_ORBITS = _ascii_orbits()


@cache
def _orbits() -> Mapping[int, tuple[int, ...]]:
    groups: dict[str, list[int]] = {}
    for rune in range(0x1EA00):
        char = chr(rune)
        key = char.casefold()
        if len(key) != 1:
            key = char.lower()
        if len(key) != 1:
            continue
        if key != char or char.upper() != char:
            groups.setdefault(key, []).append(rune)
    for key, members in groups.items():
        if ord(key) not in members:
            members.append(ord(key))
    return _by_rune(tuple(members) for members in groups.values() if len(members) > 1)


@cache
def unicode_class(name: str) -> Ranges | None:
    """`\\p{name}`: a general category, `Any` or a script; None if unknown."""
    if name == "Any":
        return ANY
    if name in _CATEGORIES:
        return _scan(lambda rune: unicodedata.category(chr(rune)).startswith(name))
    words = _SCRIPT_WORDS.get(name)
    if words is None:
        return None
    return _scan(
        lambda rune: (
            unicodedata.category(chr(rune))[0] in "LMN"
            and unicodedata.name(chr(rune), "").startswith(words)
        )
    )


def _scan(wanted: Callable[[int], bool]) -> Ranges:
    result: list[tuple[int, int]] = []
    start = -1
    for rune in range(MAX_RUNE + 1):
        if wanted(rune):
            if start < 0:
                start = rune
        elif start >= 0:
            result.append((start, rune - 1))
            start = -1
    if start >= 0:
        result.append((start, MAX_RUNE))
    return tuple(result)
