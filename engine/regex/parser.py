"""Reader of RE2 syntax in Go's flavour: pattern text to a syntax tree.

Flags i, m, s, U; Perl, POSIX and Unicode classes; lazy quantifiers; repeats up to 1,000, nested ones
together as well. It must not build automata.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from cupcake.engine.regex.classes import (
    ANY,
    NOT_NEWLINE,
    PERL,
    POSIX,
    Ranges,
    fold,
    negate,
    normal,
    unicode_class,
)
from cupcake.engine.regex.errors import RegexError

MAX_REPEAT = 1000
MAX_DEPTH = 250
MAX_LENGTH = 65_536
MAX_RANGES = 200_000  # of all classes of a pattern together: bounds the time to read it


@dataclass(frozen=True, slots=True)
class Empty:
    """Matches the empty string."""


@dataclass(frozen=True, slots=True)
class Class:
    """One code point out of a class (a literal is a class of one); no range at all never matches."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Assert:
    kind: Literal["text_start", "text_end", "line_start", "line_end", "word", "not_word"]


@dataclass(frozen=True, slots=True)
class Concat:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternate:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`high` None = no end."""

    part: Node
    low: int
    high: int | None
    lazy: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Capturing group `index` (from 1)."""

    part: Node
    index: int


Node: TypeAlias = Empty | Class | Assert | Concat | Alternate | Repeat | Group


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern: `names[i]` is the name of group i + 1 or ""."""

    root: Node
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    multi: bool = False
    dot_all: bool = False
    swap_lazy: bool = False


def parse(pattern: str) -> Pattern:
    """Read a pattern; raises RegexError with the position and Go's words for the fault."""
    if len(pattern) > MAX_LENGTH:
        raise RegexError("expression too large", "", 0)
    parser = _Parser(pattern)
    root = parser.alternation(_Flags(), 0)[0]
    if not parser.done():
        raise RegexError("unexpected )", pattern, parser.at)
    return Pattern(root, tuple(parser.names))


def _repeats_fit(root: Node) -> bool:
    """Nested counted repeats may not multiply to more than MAX_REPEAT."""
    work: list[tuple[Node, int]] = [(root, MAX_REPEAT)]
    while work:
        node, budget = work.pop()
        match node:
            case Repeat(part, low, high, _):
                count = low if high is None else high
                if count > budget:
                    return False
                work.append((part, budget // max(count, 1)))
            case Concat(parts) | Alternate(parts):
                work.extend((part, budget) for part in parts)
            case Group(part, _):
                work.append((part, budget))
            case _:
                pass
    return True


class _Parser:
    """A cursor over the pattern; one method a level of the grammar."""

    __slots__ = ("at", "names", "ranges", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.names: list[str] = []
        self.ranges = 0

    def done(self) -> bool:
        return self.at >= len(self.text)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def fail(self, reason: str, start: int, end: int | None = None) -> RegexError:
        return RegexError(reason, self.text[start : self.at if end is None else end], start)

    def alternation(self, flags: _Flags, depth: int) -> tuple[Node, _Flags]:
        if depth > MAX_DEPTH:
            raise RegexError("expression nests too deeply", self.text, self.at)
        branches: list[Node] = []
        while True:
            branch, flags = self.concatenation(flags, depth)
            branches.append(branch)
            if self.peek() != "|":
                break
            self.at += 1
        return (branches[0] if len(branches) == 1 else Alternate(tuple(branches))), flags

    def concatenation(self, flags: _Flags, depth: int) -> tuple[Node, _Flags]:
        parts: list[Node] = []
        repeat_start = -1  # where the operators that belong to the last part begin
        while not self.done() and self.peek() not in "|)":
            start = self.at
            char = self.text[start]
            if char in "*+?" or (char == "{" and self._is_counted()):
                operator_low, operator_high = self._quantifier()
                lazy = flags.swap_lazy
                if self.peek() == "?":
                    self.at += 1
                    lazy = not lazy
                if repeat_start >= 0:
                    raise self.fail("invalid nested repetition operator", repeat_start)
                if not parts:
                    raise self.fail("missing argument to repetition operator", start)
                repeat_start = start
                repeat = Repeat(parts[-1], operator_low, operator_high, lazy)
                if char == "{" and not _repeats_fit(repeat):
                    raise self.fail("invalid repeat count", start)
                parts[-1] = repeat
                continue
            repeat_start = -1
            if char == "(":
                node, flags = self._group(flags, depth)
                if node is None:  # only flags: a quantifier after it has nothing to repeat
                    if self.peek() and self.peek() in "*+?":
                        at = self.at
                        self.at += 1
                        raise self.fail("missing argument to repetition operator", at)
                    continue
                parts.append(node)
            elif self.text.startswith("\\Q", start):
                end = self.text.find("\\E", start + 2)
                quoted = self.text[start + 2 : None if end < 0 else end]
                self.at = len(self.text) if end < 0 else end + 2
                parts.extend(self._literal(c, flags) for c in quoted)
            else:
                single = self._single(flags)
                if isinstance(single, Class):
                    self.ranges += len(single.ranges)
                    if self.ranges > MAX_RANGES:
                        raise self.fail("expression too large", start)
                parts.append(single)
        if len(parts) == 1:
            return parts[0], flags
        return (Concat(tuple(parts)) if parts else Empty()), flags

    def _literal(self, char: str, flags: _Flags) -> Node:
        ranges: Ranges = ((ord(char), ord(char)),)
        return Class(fold(ranges) if flags.fold else ranges)

    def _is_counted(self) -> bool:
        close = self.text.find("}", self.at)
        if close < 0:
            return False
        low, comma, high = self.text[self.at + 1 : close].partition(",")
        numbers = (low, high) if comma and high else (low,)
        return all(
            n.isascii() and n.isdigit() and (n == "0" or not n.startswith("0")) for n in numbers
        )

    def _quantifier(self) -> tuple[int, int | None]:
        start = self.at
        char = self.text[start]
        self.at += 1
        if char == "*":
            return 0, None
        if char == "+":
            return 1, None
        if char == "?":
            return 0, 1
        self.at = self.text.index("}", start) + 1
        low_text, comma, high_text = self.text[start + 1 : self.at - 1].partition(",")
        if max(len(low_text), len(high_text)) > 4:
            raise self.fail("invalid repeat count", start)
        low = int(low_text)
        high = (int(high_text) if high_text else None) if comma else low
        if low > MAX_REPEAT or (high is not None and (high > MAX_REPEAT or low > high)):
            raise self.fail("invalid repeat count", start)
        return low, high

    def _group(self, flags: _Flags, depth: int) -> tuple[Node | None, _Flags]:
        start = self.at
        self.at += 1
        inner = flags
        index = 0
        if self.text.startswith(("?P<", "?<"), self.at):
            self._named(start)
            index = len(self.names)
        elif self.peek() == "?":
            self.at += 1
            inner, colon = self._flags(flags, start)
            if not colon:
                return None, inner
        else:
            self.names.append("")
            index = len(self.names)
        node, _ = self.alternation(inner, depth + 1)
        if self.peek() != ")":
            raise RegexError("missing closing )", self.text, start)
        self.at += 1
        return (Group(node, index) if index else node), flags

    def _named(self, start: int) -> None:
        begin = self.text.index("<", self.at) + 1
        end = self.text.find(">", begin)
        if end < 0:
            raise RegexError("invalid named capture", self.text[start:], start)
        name = self.text[begin:end]
        if not name or not all(c == "_" or (c.isascii() and c.isalnum()) for c in name):
            raise self.fail("invalid named capture", start, end + 1)
        self.names.append(name)
        self.at = end + 1

    def _flags(self, flags: _Flags, start: int) -> tuple[_Flags, bool]:
        sign = True
        seen = False
        while not self.done():
            char = self.text[self.at]
            self.at += 1
            match char:
                case "i":
                    flags = replace(flags, fold=sign)
                case "m":
                    flags = replace(flags, multi=sign)
                case "s":
                    flags = replace(flags, dot_all=sign)
                case "U":
                    flags = replace(flags, swap_lazy=sign)
                case "-":
                    if not sign:
                        break
                    sign = False
                    seen = False
                    continue
                case ":" | ")":
                    if not sign and not seen:
                        break
                    return flags, char == ":"
                case _:
                    break
            seen = True
        raise self.fail("invalid or unsupported Perl syntax", start)

    def _single(self, flags: _Flags) -> Node:
        char = self.text[self.at]
        if char == "[":
            return self._bracket(flags)
        if char == "\\":
            return self._escape(flags)
        self.at += 1
        if char == ".":
            return Class(ANY if flags.dot_all else NOT_NEWLINE)
        if char == "^":
            return Assert("line_start" if flags.multi else "text_start")
        if char == "$":
            return Assert("line_end" if flags.multi else "text_end")
        return self._literal(char, flags)

    def _escape(self, flags: _Flags) -> Node:
        char = self.text[self.at + 1 : self.at + 2]
        match char:
            case "A":
                self.at += 2
                return Assert("text_start")
            case "z":
                self.at += 2
                return Assert("text_end")
            case "b":
                self.at += 2
                return Assert("word")
            case "B":
                self.at += 2
                return Assert("not_word")
        named = self._named_class(flags)
        if named is not None:
            return Class(named)
        return self._literal(self._escaped_char(), flags)

    def _named_class(self, flags: _Flags) -> Ranges | None:
        """`\\d`, `\\pL`, `\\p{Greek}` at the cursor; None when there is something else."""
        char = self.text[self.at + 1 : self.at + 2]
        if char and char in "dswDSW":
            self.at += 2
            ranges = PERL[char.lower()]
            if flags.fold:
                ranges = fold(ranges)
            return negate(ranges) if char.isupper() else ranges
        if not char or char not in "pP":
            return None
        start = self.at
        inverted = char == "P"
        name = self.text[start + 2 : start + 3]
        self.at = start + 3
        if name == "{":
            end = self.text.find("}", start)
            if end < 0:
                raise RegexError("invalid character class range", self.text[start:], start)
            name = self.text[start + 3 : end]
            self.at = end + 1
        if name.startswith("^"):
            inverted = not inverted
            name = name[1:]
        found = unicode_class(name)
        if found is None:
            raise self.fail("invalid character class range", start)
        if flags.fold:
            found = fold(found)
        return negate(found) if inverted else found

    def _escaped_char(self) -> str:
        start = self.at
        if start + 1 >= len(self.text):
            raise RegexError("trailing backslash at end of expression", "", start)
        char = self.text[start + 1]
        self.at = start + 2
        simple = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
        if char in simple:
            return simple[char]
        if char in "1234567" and self.peek() and self.peek() not in "01234567":
            raise self.fail("invalid escape sequence", start)
        if char in "01234567":
            digits = char
            while len(digits) < 3 and self.peek() and self.peek() in "01234567":
                digits += self.peek()
                self.at += 1
            if len(digits) == 1 and char != "0":
                raise self.fail("invalid escape sequence", start)
            return chr(int(digits, 8))
        if char == "x":
            return self._hex(start)
        if char.isascii() and not char.isalnum():
            return char
        raise self.fail("invalid escape sequence", start)

    def _hex(self, start: int) -> str:
        if self.peek() == "{":
            end = self.text.find("}", self.at)
            digits = self.text[self.at + 1 : end] if end > 0 else ""
            self.at = end + 1 if end > 0 else len(self.text)
        else:
            digits = self.text[self.at : self.at + 2]
            self.at = min(len(self.text), self.at + 2)
            if len(digits) < 2:
                digits = ""
        if not digits or any(c not in "0123456789abcdefABCDEF" for c in digits):
            raise self.fail("invalid escape sequence", start)
        if int(digits, 16) > 0x10FFFF:
            raise self.fail("invalid escape sequence", start)
        return chr(int(digits, 16))

    def _bracket(self, flags: _Flags) -> Node:
        start = self.at
        self.at += 1
        inverted = self.peek() == "^"
        if inverted:
            self.at += 1
        ranges: list[tuple[int, int]] = []
        first = True
        while self.peek() != "]" or first:
            if self.done():
                raise RegexError("missing closing ]", self.text[start:], start)
            first = False
            if self.text.startswith("[:", self.at):
                end = self.text.find(":]", self.at + 2)
                if end >= 0:
                    item = self.at
                    name = self.text[self.at + 2 : end]
                    self.at = end + 2
                    found = POSIX.get(name.removeprefix("^"))
                    if found is None:
                        raise self.fail("invalid character class range", item)
                    if flags.fold:
                        found = fold(found)
                    ranges.extend(negate(found) if name.startswith("^") else found)
                    continue
            if self.peek() == "\\":
                named = self._named_class(flags)
                if named is not None:
                    ranges.extend(named)
                    continue
            item = self.at
            low = high = self._class_char(start)
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                high = self._class_char(start)
                if high < low:
                    raise self.fail("invalid character class range", item)
            one: Ranges = ((ord(low), ord(high)),)
            ranges.extend(fold(one) if flags.fold else one)
        self.at += 1
        result = normal(ranges)
        return Class(negate(result) if inverted else result)

    def _class_char(self, start: int) -> str:
        if self.done():
            raise RegexError("missing closing ]", self.text[start:], start)
        if self.peek() == "\\":
            return self._escaped_char()
        char = self.peek()
        self.at += 1
        return char
