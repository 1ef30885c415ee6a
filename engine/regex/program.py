"""Syntax tree to the instructions of the Pike machine, one instruction a code point.

The order of the branches of a SPLIT is the order of preference, so the machine's answer is the
leftmost match that Perl would prefer. The format of the result is in FORMAT.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from cupcake.engine.regex.classes import ANY, NOT_NEWLINE, Ranges
from cupcake.engine.regex.errors import RegexError
from cupcake.engine.regex.parser import (
    Alternate,
    Assert,
    Class,
    Concat,
    Empty,
    Group,
    Node,
    Pattern,
    Repeat,
)

MAX_INSTRUCTIONS = 40_000
MAX_VISITS = 200_000  # nodes looked at while repeats are written out, empty ones too


class Op(IntEnum):
    """Operation codes; the C matcher has the same numbers."""

    MATCH = 0
    RUNE = 1
    CLASS = 2
    ANY = 3
    NOT_NEWLINE = 4
    SPLIT = 5
    SAVE = 6
    ASSERT = 7
    FAIL = 8


ASSERTS = ("text_start", "text_end", "line_start", "line_end", "word", "not_word")


@dataclass(frozen=True, slots=True)
class Program:
    """`code`: (operation, operand, next) triples, entry `start`; `classes`: what CLASS operands index."""

    code: tuple[tuple[int, int, int], ...]
    classes: tuple[Ranges, ...]
    start: int
    names: tuple[str, ...]


def build_program(pattern: Pattern) -> Program:
    """Compile; raises RegexError when it would have more than MAX_INSTRUCTIONS."""
    builder = _Builder()
    end = builder.add(Op.MATCH, 0, 0)
    end = builder.add(Op.SAVE, 1, end)
    start = builder.add(Op.SAVE, 0, builder.node(pattern.root, end))
    return Program(tuple(builder.code), tuple(builder.classes), start, pattern.names)


def nullable(node: Node) -> bool:
    """Whether the node can match the empty string."""
    match node:
        case Class():
            return False
        case Concat(parts):
            return all(nullable(part) for part in parts)
        case Alternate(parts):
            return any(nullable(part) for part in parts)
        case Repeat(part, low, _, _):
            return low == 0 or nullable(part)
        case Group(part, _):
            return nullable(part)
        case _:
            return True


@dataclass(slots=True)
class _Builder:
    """Builds from the end: each node is given the instruction that comes after it."""

    code: list[tuple[int, int, int]] = field(default_factory=list)
    classes: list[Ranges] = field(default_factory=list)
    _index: dict[Ranges, int] = field(default_factory=dict)
    _visits: int = 0

    def add(self, op: Op, operand: int, after: int) -> int:
        if len(self.code) >= MAX_INSTRUCTIONS:
            raise RegexError("expression too large", "", 0)
        self.code.append((int(op), operand, after))
        return len(self.code) - 1

    def node(self, node: Node, after: int) -> int:
        self._visits += 1
        if self._visits > MAX_VISITS:
            raise RegexError("expression too large", "", 0)
        match node:
            case Empty():
                return after
            case Class(ranges):
                return self._class(ranges, after)
            case Assert(kind):
                return self.add(Op.ASSERT, ASSERTS.index(kind), after)
            case Concat(parts):
                for part in reversed(parts):
                    after = self.node(part, after)
                return after
            case Alternate(parts):
                entry = self.node(parts[-1], after)
                for part in reversed(parts[:-1]):
                    entry = self.add(Op.SPLIT, self.node(part, after), entry)
                return entry
            case Group(part, index):
                closed = self.add(Op.SAVE, 2 * index + 1, after)
                return self.add(Op.SAVE, 2 * index, self.node(part, closed))
            case Repeat(part, low, high, lazy):
                return self._repeat(part, low, high, lazy, after)

    def _class(self, ranges: Ranges, after: int) -> int:
        if not ranges:
            return self.add(Op.FAIL, 0, after)
        if ranges == ANY:
            return self.add(Op.ANY, 0, after)
        if ranges == NOT_NEWLINE:
            return self.add(Op.NOT_NEWLINE, 0, after)
        if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
            return self.add(Op.RUNE, ranges[0][0], after)
        if ranges not in self._index:
            self._index[ranges] = len(self.classes)
            self.classes.append(ranges)
        return self.add(Op.CLASS, self._index[ranges], after)

    def _split(self, enter: int, leave: int, lazy: bool) -> int:
        return self.add(Op.SPLIT, leave, enter) if lazy else self.add(Op.SPLIT, enter, leave)

    def _repeat(self, part: Node, low: int, high: int | None, lazy: bool, after: int) -> int:
        if high is None:
            if low == 0 and nullable(part):  # (x*)* is ((x*)+)?: x is tried once before leaving
                return self._split(self._loop(part, lazy, after), after, lazy)
            if low == 0:
                loop = self.add(Op.SPLIT, 0, 0)
                body = self.node(part, loop)
                self.code[loop] = (
                    (int(Op.SPLIT), after, body) if lazy else (int(Op.SPLIT), body, after)
                )
                return loop
            entry = self._loop(part, lazy, after)
            low -= 1
        else:
            entry = after
            for _ in range(high - low):
                entry = self._split(self.node(part, entry), after, lazy)
        for _ in range(low):
            entry = self.node(part, entry)
        return entry

    def _loop(self, part: Node, lazy: bool, after: int) -> int:
        """x+: the body, then a choice to go round again."""
        loop = self.add(Op.SPLIT, 0, 0)
        body = self.node(part, loop)
        self.code[loop] = (int(Op.SPLIT), after, body) if lazy else (int(Op.SPLIT), body, after)
        return body


def encode_program(program: Program) -> tuple[bytes, bytes, bytes]:
    """Instructions, classes and group names as FORMAT.md lays them out."""
    offsets: list[int] = []
    classes = bytearray()
    for ranges in program.classes:
        offsets.append(len(classes))
        classes += struct.pack("<I", len(ranges))
        classes += b"".join(struct.pack("<II", low, high) for low, high in ranges)
    code = b"".join(
        struct.pack("<III", op, offsets[operand] if op == Op.CLASS else operand, after)
        for op, operand, after in program.code
    )
    names = b""
    for name in program.names:
        raw = name.encode()
        names += struct.pack("<H", len(raw)) + raw
    return code, bytes(classes), names
