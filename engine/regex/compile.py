"""Pattern to blob: what the linker puts into a module and `internal.regex_compile` hands out."""

from __future__ import annotations

import struct
from functools import lru_cache

from cupcake.engine.regex.dfa import build_dfa
from cupcake.engine.regex.parser import Pattern, parse
from cupcake.engine.regex.program import build_program, encode_program

MAGIC = 0x31305852  # "RX01"
_HEADER = struct.Struct("<IIIIIIIIII")


@lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> bytes:
    """The blob of FORMAT.md; equal for equal patterns. Raises RegexError for a bad pattern."""
    return compile_tree(parse(pattern))


def compile_tree(parsed: Pattern) -> bytes:
    """The blob of a tree; raises RegexError when it is too large."""
    program = build_program(parsed)
    code, classes, names = encode_program(program)
    automaton = build_dfa(parsed)
    dfa = automaton.table or b""
    first = b""
    if automaton.first is not None:
        first = automaton.first + struct.pack("<I", automaton.idle_end)
    code_at = _HEADER.size
    classes_at = code_at + len(code)
    dfa_at = classes_at + len(classes)
    first_at = dfa_at + len(dfa) + (-len(dfa) % 4)
    names_at = first_at + len(first)
    size = names_at + len(names)
    header = _HEADER.pack(
        MAGIC,
        size,
        len(program.code),
        program.start,
        len(program.names) + 1,
        code_at,
        classes_at,
        dfa_at if dfa else 0,
        names_at,
        first_at if first else 0,
    )
    return header + code + classes + dfa.ljust(first_at - dfa_at, b"\0") + first + names
