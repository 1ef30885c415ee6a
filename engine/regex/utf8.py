"""Code point ranges as sequences of UTF-8 byte ranges, for automata that read bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

ByteRanges: TypeAlias = tuple[tuple[int, int], ...]

_LAST = (0x7F, 0x7FF, 0xFFFF, 0x10FFFF)  # the last code point of each encoded length


def byte_sequences(low: int, high: int) -> Iterator[ByteRanges]:
    """Sequences of byte ranges that match exactly the encodings of low..high."""
    work = [(low, high)]
    while work:
        low, high = work.pop()
        split = next((last for last in _LAST if low <= last < high), None)
        if split is None:
            split = _misfit(low, high)
        if split is not None:
            work.append((split + 1, high))
            work.append((low, split))
            continue
        yield tuple(zip(_encode(low), _encode(high), strict=True))


def _misfit(low: int, high: int) -> int | None:
    """Where to cut so that every tail byte covers its whole range; None when it does already."""
    if high <= 0x7F:
        return None
    for bits in (6, 12, 18):
        mask = (1 << bits) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                return low | mask
            if high & mask != mask:
                return (high & ~mask) - 1
    return None


def _encode(rune: int) -> bytes:
    if rune <= 0x7F:
        return bytes((rune,))
    if rune <= 0x7FF:
        return bytes((0xC0 | rune >> 6, 0x80 | rune & 63))
    if rune <= 0xFFFF:
        return bytes((0xE0 | rune >> 12, 0x80 | rune >> 6 & 63, 0x80 | rune & 63))
    return bytes(
        (0xF0 | rune >> 18, 0x80 | rune >> 12 & 63, 0x80 | rune >> 6 & 63, 0x80 | rune & 63)
    )
