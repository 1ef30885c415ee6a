"""Sets of code points as sorted ranges, and the named ones: Perl, POSIX, Unicode; case folding.

A class is a tuple of (low, high) pairs, sorted, disjoint, not adjacent. Pure; the Unicode tables are
those of `unicode_table.py`; case folding is Python's.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import TypeAlias

from cupcake.engine.regex.unicode_table import ALIASES, CATEGORIES, SCRIPTS

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
    """`\\p{name}`: a general category, `Any`, `ASCII`, `Assigned` or a script, written in any case; None if unknown."""
    key = _key(name)
    if key in ("any", "ascii", "assigned"):
        return {"any": ANY, "ascii": ((0, 0x7F),)}.get(key) or negate(_named("Cn"))
    wanted = _names().get(key)
    return None if wanted is None else _named(wanted)


def _key(name: str) -> str:
    return re.sub("[ _-]", "", name).lower()


@cache
def _names() -> Mapping[str, str]:
    """Keys of all names and aliases -> the name of the tables, or a category of one letter, LC or Cn."""
    tables = [line.partition(" ")[0] for line in _lines(CATEGORIES + SCRIPTS)]
    groups = {name[0] for name in tables if len(name) == 2}
    found = {_key(name): name for name in (*tables, *groups, "LC", "Cn")}
    return MappingProxyType(
        found | {_key(alias): name for alias, name in map(str.split, _lines(ALIASES))}
    )


@cache
def _named(name: str) -> Ranges:
    lines = dict(line.partition(" ")[::2] for line in _lines(CATEGORIES + SCRIPTS))
    if name in lines:
        pairs = (part.partition("-") for part in lines[name].split())
        return tuple((int(low, 16), int(high or low, 16)) for low, _, high in pairs)
    categories = [line.partition(" ")[0] for line in _lines(CATEGORIES)]
    if name == "Cn":
        return negate(normal(pair for one in categories for pair in _named(one)))
    members = ("Lu", "Ll", "Lt") if name == "LC" else [c for c in categories if c[0] == name]
    found = [pair for one in members for pair in _named(one)]
    return normal([*found, *_named("Cn")] if name == "C" else found)


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]
