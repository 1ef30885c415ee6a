"""Which place of the source an instruction of a policy module belongs to: one text, made by the linker, read when an
evaluation fails. Nothing of it runs in an evaluation. Pure.

The text is a JSON list of file names, then for each instruction that may fail, in the order of the code,
`distance:file:row:col`: how many bytes it is behind the one before, and the file's number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TypeAlias

# (number of the file, row, column)
Place: TypeAlias = tuple[int, int, int]


def write_places(files: Sequence[str], entries: Iterable[tuple[int, Place]]) -> str:
    """The text of entries (offset in the module, place) in rising order. Of `files` it holds those that are named."""
    numbers: dict[int, int] = {}
    parts = [""]
    before = 0
    for offset, (file, row, col) in entries:
        number = numbers.setdefault(file, len(numbers)) if row else 0
        parts.append(f"{offset - before}:{number}:{row}:{col}")
        before = offset
    parts[0] = json.dumps([files[file] for file in numbers], separators=(",", ":"))
    return "\n".join(parts)


def place_of(text: str, offset: int) -> tuple[str, int]:
    """ "file:row" and column of the instruction at an offset, ("", 0) when it is not known."""
    head, *lines = text.split("\n")
    at = 0
    found = ""
    for line in lines:
        distance, _, place = line.partition(":")
        at += int(distance)
        if at > offset:
            break
        found = place
    number, row, col = map(int, found.split(":")) if found else (0, 0, 0)
    files = json.loads(head)
    if not row or number >= len(files):
        return "", 0
    return f"{files[number]}:{row}", col
