"""Makes `engine/runtime/b_case_table.h`: Unicode's simple case mappings as ranges, from `unicodedata`.

Run `python -m cupcake.engine.builtins.case_table > engine/runtime/b_case_table.h` when Python's Unicode
version changes; a test compares the file with what this says for characters that both know.
"""

from __future__ import annotations

import sys
from collections.abc import Callable


def simple_upper(rune: int) -> int:
    """The simple (one to one) upper-case mapping of a code point."""
    char = chr(rune)
    upper = char.upper()
    if len(upper) == 1:
        return ord(upper)
    title = char.title()
    return ord(title) if len(title) == 1 else rune


def simple_lower(rune: int) -> int:
    """The simple lower-case mapping of a code point."""
    lower = chr(rune).lower()
    return ord(lower) if len(lower) == 1 else ord(lower[0]) if rune == 0x130 else rune


def ranges(mapping: Callable[[int], int]) -> list[tuple[int, int, int, int]]:
    """(first, last, stride, delta) rows that cover every code point from U+0080 that changes."""
    rows: list[tuple[int, int, int, int]] = []
    for rune in range(0x80, 0x1F000):
        delta = mapping(rune) - rune
        if delta == 0:
            continue
        if rows and rows[-1][3] == delta:
            first, last, stride, _ = rows[-1]
            gap = rune - last
            if gap <= 2 and (first == last or gap == stride):
                rows[-1] = (first, rune, gap, delta)
                continue
        rows.append((rune, rune, 1, delta))
    return rows


def header() -> str:
    """The text of the C header."""
    lines = [
        "/* Unicode's simple case mappings from U+0080. Made by engine/builtins/case_table.py: do not edit. */",
        "#ifndef B_CASE_TABLE_H",
        "#define B_CASE_TABLE_H",
        "",
        "#include <stdint.h>",
        "",
        "typedef struct {",
        "    uint32_t first;",
        "    uint32_t last;",
        "    int32_t stride;",
        "    int32_t delta;",
        "} b_case_range;",
        "",
    ]
    for name, mapping in (("upper", simple_upper), ("lower", simple_lower)):
        lines.append(f"static const b_case_range b_case_{name}[] = {{")
        lines += [
            f"    {{0x{first:X}, 0x{last:X}, {stride}, {delta}}},"
            for first, last, stride, delta in ranges(mapping)
        ]
        lines += ["};", ""]
    lines += ["#endif", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(header())
