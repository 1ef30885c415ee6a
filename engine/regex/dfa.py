"""Syntax tree to a byte-driven DFA that answers only "is there a match anywhere", when it stays small; and the bytes that
a match can begin with, which let the matchers pass over text that holds none of them.

States are sets of NFA nodes as integer bit masks. Assertions (`^ $ \\b`) are kept in the state and
resolved when the next byte, or the end, is known; so acceptance can come one byte late, never wrong.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cupcake.engine.regex.classes import PERL
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
from cupcake.engine.regex.utf8 import byte_sequences

MAX_NODES = 1500
MAX_VISITS = 20_000  # nodes of the tree looked at, empty ones too
MAX_STATES = 600
MAX_CELLS = 0xFFFF  # states times width: states are stored as the place of their row
MAX_WORK = 60_000  # set unions while the DFA is made: bounds the time of one pattern

DEAD = 0
ACCEPT = 1
START = 2
END = 256  # the symbol behind the last byte

# What stands before the next byte.
_TEXT_START, _NEWLINE, _WORD, _OTHER = range(4)
_CONTINUED = frozenset(range(0x80, 0xC0))  # bytes within a letter, not the first
_WORD_BYTES = frozenset(b for low, high in PERL["w"] for b in range(low, high + 1))


class _TooLargeError(Exception):
    """The automaton passes a cap; the Pike machine serves instead."""


@dataclass(slots=True)
class _Nfa:
    """`consume[n]`: (low, high, next); `eps[n]`: plain successors; `asserts[n]`: (kind, next)."""

    consume: list[tuple[int, int, int] | None] = field(default_factory=list)
    eps: list[tuple[int, ...]] = field(default_factory=list)
    asserts: list[tuple[str, int] | None] = field(default_factory=list)
    visits: int = 0

    def add(
        self,
        consume: tuple[int, int, int] | None = None,
        eps: tuple[int, ...] = (),
        asserts: tuple[str, int] | None = None,
    ) -> int:
        if len(self.consume) >= MAX_NODES:
            raise _TooLargeError
        self.consume.append(consume)
        self.eps.append(eps)
        self.asserts.append(asserts)
        return len(self.consume) - 1

    def node(self, node: Node, after: int) -> int:
        self.visits += 1
        if self.visits > MAX_VISITS:
            raise _TooLargeError
        match node:
            case Empty():
                return after
            case Class(ranges):
                return self._class(ranges, after)
            case Assert(kind):
                return self.add(asserts=(kind, after))
            case Concat(parts):
                for part in reversed(parts):
                    after = self.node(part, after)
                return after
            case Alternate(parts):
                return self.add(eps=tuple(self.node(part, after) for part in parts))
            case Group(part, _):
                return self.node(part, after)
            case Repeat(part, low, high, _):
                return self._repeat(part, low, high, after)

    def _repeat(self, part: Node, low: int, high: int | None, after: int) -> int:
        entry = after
        if high is None:
            entry = self.add()
            self.eps[entry] = (self.node(part, entry), after)
        else:
            for _ in range(high - low):
                entry = self.add(eps=(self.node(part, entry), after))
        for _ in range(low):
            entry = self.node(part, entry)
        return entry

    def _class(self, ranges: tuple[tuple[int, int], ...], after: int) -> int:
        entries: list[int] = []
        shared: dict[tuple[int, int, int], int] = {}
        for low, high in ranges:
            for sequence in byte_sequences(low, high):
                to = after
                for first, last in reversed(sequence):
                    key = (first, last, to)
                    if key not in shared:
                        shared[key] = self.add(consume=key)
                    to = shared[key]
                entries.append(to)
        return entries[0] if len(entries) == 1 else self.add(eps=tuple(entries))


@dataclass(frozen=True, slots=True)
class Automaton:
    """`table`: the DFA of FORMAT.md, None when it would pass a cap. `first`: 32 bytes, one bit for each byte that a match can begin
    with, None when that is not known or an empty match is possible. Idle states, in which no match has begun, come
    before `idle_end`."""

    table: bytes | None
    first: bytes | None
    idle_end: int = 0


def build_dfa(pattern: Pattern) -> Automaton:
    """The automaton of a pattern, as much of it as stays small."""
    nfa = _Nfa()
    first: bytes | None = None
    try:
        accept = nfa.add()
        entry = nfa.node(pattern.root, accept)
        first = _first_bytes(nfa, accept, entry)
        built = _Determinizer(nfa, accept, entry)
        table = built.run()
        return Automaton(table, first, built.idle_end)
    except _TooLargeError:
        return Automaton(None, first)


def _first_bytes(nfa: _Nfa, accept: int, entry: int) -> bytes | None:
    """The bytes that can be the first of a match, whatever assertions say; None when a match can be empty."""
    seen, stack, bits = {entry}, [entry], 0
    while stack:
        node = stack.pop()
        if node == accept:
            return None
        consumed, found = nfa.consume[node], nfa.asserts[node]
        if consumed:
            bits |= (1 << consumed[1] + 1) - (1 << consumed[0])
        for to in (*nfa.eps[node], *((found[1],) if found else ())):
            if to not in seen:
                seen.add(to)
                stack.append(to)
    return bits.to_bytes(32, "little")


class _Determinizer:
    """Subset construction over classes of bytes that no node tells apart."""

    def __init__(self, nfa: _Nfa, accept: int, entry: int) -> None:
        self.nfa = nfa
        self.accept_bit = 1 << accept
        self.work = 0
        self.idle_end = 0
        self.assert_mask = sum(1 << n for n, a in enumerate(nfa.asserts) if a)
        self.keep = (
            self.accept_bit | self.assert_mask | sum(1 << n for n, c in enumerate(nfa.consume) if c)
        )
        self.closures: dict[int, int] = {}
        self.entry = self.closure(entry)
        self.classmap, self.samples = self._byte_classes()
        self.by_class = [0] * len(self.samples)
        for number, consumed in enumerate(nfa.consume):
            if consumed:
                for index, sample in enumerate(self.samples):
                    if consumed[0] <= sample <= consumed[1]:
                        self.by_class[index] |= 1 << number

    def closure(self, node: int) -> int:
        """Nodes worth keeping that are reachable without consuming or asserting."""
        if node in self.closures:
            return self.closures[node]
        seen = 1 << node
        stack = [node]
        while stack:
            for to in self.nfa.eps[stack.pop()]:
                if not seen >> to & 1:
                    seen |= 1 << to
                    stack.append(to)
        self.closures[node] = seen & self.keep
        return self.closures[node]

    def _byte_classes(self) -> tuple[bytes, list[int]]:
        cuts = {0}
        for consumed in self.nfa.consume:
            if consumed:
                cuts.add(consumed[0])
                cuts.add(consumed[1] + 1)
        if self.assert_mask:
            cuts |= {10, 11, min(_CONTINUED), max(_CONTINUED) + 1}
            for low, high in PERL["w"]:
                cuts |= {low, high + 1}
        # bytes with the same set of nodes are one class, wherever they stand
        signature: dict[tuple[int, int, bool], int] = {}
        samples: list[int] = []
        classmap = bytearray(256)
        ordered = sorted(c for c in cuts if c < 256)
        for low, end in zip(ordered, [*ordered[1:], 256], strict=True):
            nodes = 0
            for number, consumed in enumerate(self.nfa.consume):
                if consumed and consumed[0] <= low <= consumed[1]:
                    nodes |= 1 << number
            asserted = bool(self.assert_mask)
            key = (nodes, _context(low) if asserted else _OTHER, asserted and low in _CONTINUED)
            if key not in signature:
                signature[key] = len(samples)
                samples.append(low)
            for byte in range(low, end):
                classmap[byte] = signature[key]
        return bytes(classmap), samples

    def run(self) -> bytes | None:
        start = (self.entry, _TEXT_START if self.assert_mask else _OTHER)
        numbers: dict[tuple[int, int], int] = {start: START}
        order = [start]
        rows: list[list[int]] = []
        if self.entry & self.accept_bit:
            return self._encode([], ACCEPT)
        for index, sample in enumerate(self.samples):
            # Where no match has begun, only the entry is alive: these states come first.
            kept = self.restart(index)
            key = (kept, _context(sample) if kept & self.assert_mask else _OTHER)
            if kept and key not in numbers:
                numbers[key] = START + len(order)
                order.append(key)
        width = len(self.samples) + 1
        self.idle_end = (START + len(order)) * width
        position = 0
        while position < len(order):
            states, before = order[position]
            position += 1
            row: list[int] = []
            for index, sample in enumerate(self.samples):
                resolved = self.resolve(states, before, sample)
                if resolved & self.accept_bit:
                    row.append(ACCEPT)
                    continue
                after = self.step(resolved, index)
                if after & self.accept_bit:
                    row.append(ACCEPT)
                    continue
                key = (after, _context(sample) if after & self.assert_mask else _OTHER)
                if after == 0:
                    row.append(DEAD)
                    continue
                if key not in numbers:
                    if len(order) >= MAX_STATES or (len(order) + 3) * width > MAX_CELLS:
                        raise _TooLargeError
                    numbers[key] = START + len(order)
                    order.append(key)
                row.append(numbers[key])
            at_end = self.resolve(states, before, END)
            row.append(ACCEPT if at_end & self.accept_bit else DEAD)
            rows.append(row)
        return self._encode(rows, START)

    def resolve(self, states: int, before: int, byte: int) -> int:
        """Follow every assertion that holds between what stands before and the byte (or END)."""
        pending = states & self.assert_mask
        done = 0
        while pending:
            lowest = pending & -pending
            done |= lowest
            found = self.nfa.asserts[lowest.bit_length() - 1]
            if found and _holds(found[0], before, byte):
                states |= self.closure(found[1])
            pending = states & self.assert_mask & ~done
        return states

    def step(self, states: int, index: int) -> int:
        """The set behind one byte, with the pattern's entry added: a match may begin anywhere."""
        moving = states & self.by_class[index]
        after = self.restart(index)
        while moving:
            lowest = moving & -moving
            moving ^= lowest
            self.work += 1
            consumed = self.nfa.consume[lowest.bit_length() - 1]
            if consumed:
                after |= self.closure(consumed[2])
        if self.work > MAX_WORK:
            raise _TooLargeError
        self.work += 1
        return after

    def restart(self, index: int) -> int:
        """The entry nodes, less those that only the start of the text lets through."""
        if not self.entry & self.assert_mask:
            return self.entry
        kept = self.entry
        for number, found in enumerate(self.nfa.asserts):
            if found and found[0] == "text_start" and kept >> number & 1:
                kept &= ~(1 << number)
        return kept

    def _encode(self, rows: list[list[int]], start: int) -> bytes:
        """Class map, then the rows of DEAD and ACCEPT (which stay), then those of the states."""
        width = len(self.samples) + 1
        table = [[DEAD] * width, [ACCEPT] * width, *rows]
        head = struct.pack("<III", len(table), width, start * width)
        body = b"".join(struct.pack(f"<{width}H", *(to * width for to in row)) for row in table)
        return head + self.classmap + body


def _context(byte: int) -> int:
    if byte == 10:
        return _NEWLINE
    return _WORD if byte in _WORD_BYTES else _OTHER


def _holds(kind: str, before: int, byte: int) -> bool:
    match kind:
        case "text_start":
            return before == _TEXT_START
        case "text_end":
            return byte == END
        case "line_start":
            return before in (_TEXT_START, _NEWLINE)
        case "line_end":
            return byte in (END, 10)
        case _:
            boundary = (before == _WORD) != (byte in _WORD_BYTES)
            # Within a letter of several bytes there is no place at all.
            return boundary if kind == "word" else not boundary and byte not in _CONTINUED
