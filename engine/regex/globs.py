"""Glob patterns of `glob.match` as regular expression trees.

`*` any text without delimiters, `**` any text, `?` one character that is no delimiter, `[abc]` `[!abc]`
`[a-z]` `[!a-z]` one character, `{a,b}` alternatives, `\\` takes the meaning from the next character.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from cupcake.engine.regex.classes import ANY, Ranges, negate, normal
from cupcake.engine.regex.compile import compile_tree
from cupcake.engine.regex.errors import GlobError
from cupcake.engine.regex.parser import (
    MAX_DEPTH,
    MAX_LENGTH,
    Alternate,
    Assert,
    Class,
    Concat,
    Node,
    Pattern,
    Repeat,
)


def compile_glob(pattern: str, delimiters: Sequence[str] | None) -> bytes:
    """The blob for `glob.match(pattern, delimiters, _)`: None = no delimiters, empty = ".".

    Raises GlobError when the pattern is not a glob.
    """
    if delimiters is None:
        return _compile(pattern, ())
    if any(len(delimiter) != 1 for delimiter in delimiters):
        raise GlobError("a delimiter of a glob is one character", "", 0)
    return _compile(pattern, tuple(delimiters) or (".",))


@lru_cache(maxsize=4096)
def _compile(pattern: str, delimiters: tuple[str, ...]) -> bytes:
    if len(pattern) > MAX_LENGTH:
        raise GlobError("glob pattern is too long", "", 0)
    barred = normal((ord(d), ord(d)) for d in delimiters)
    parser = _Parser(pattern, negate(barred) if barred else ANY)
    node = parser.sequence(0)
    return compile_tree(Pattern(Concat((Assert("text_start"), node, Assert("text_end"))), ()))


class _Parser:
    __slots__ = ("at", "free", "text")

    def __init__(self, text: str, free: Ranges) -> None:
        self.text = text
        self.at = 0
        self.free = free  # what `*` and `?` match

    def fail(self, reason: str) -> GlobError:
        return GlobError(f"glob: syntax error at {self.at}: {reason}", self.text, self.at)

    def sequence(self, depth: int) -> Node:
        """Up to the end, or, within braces, up to their `,` or `}`."""
        if depth > MAX_DEPTH:
            raise self.fail("braces are nested too deeply")
        parts: list[Node] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if depth and char in ",}":
                break
            self.at += 1
            match char:
                case "*":
                    if self.text.startswith("*", self.at):
                        self.at += 1
                        parts.append(Repeat(Class(ANY), 0, None, False))
                    else:
                        parts.append(Repeat(Class(self.free), 0, None, False))
                case "?":
                    parts.append(Class(self.free))
                case "[":
                    parts.append(self.characters())
                case "{":
                    parts.append(self.alternatives(depth))
                case "\\":
                    if self.at >= len(self.text):
                        raise self.fail("trailing backslash")
                    parts.append(_literal(self.text[self.at]))
                    self.at += 1
                case _:
                    parts.append(_literal(char))
        return parts[0] if len(parts) == 1 else Concat(tuple(parts))

    def alternatives(self, depth: int) -> Node:
        branches = [self.sequence(depth + 1)]
        while self.text.startswith(",", self.at):
            self.at += 1
            branches.append(self.sequence(depth + 1))
        if not self.text.startswith("}", self.at):
            raise self.fail("unclosed `{`")
        self.at += 1
        return Alternate(tuple(branches))

    def characters(self) -> Node:
        inverted = self.text.startswith("!", self.at)
        if inverted:
            self.at += 1
        low = self.text[self.at : self.at + 1]
        if low and self.text.startswith("-", self.at + 1):
            high = self.text[self.at + 2 : self.at + 3]
            if high == "]" and not self.text.startswith("]", self.at + 3):
                high = ""
            self.at = min(self.at + 4, len(self.text))
            if (
                not high
                or self.at < 4
                or (self.text[self.at - 1] != "]" and self.at == len(self.text))
            ):
                raise self.fail("unexpected end of input")
            if self.text[self.at - 1] != "]":
                raise self.fail("expected close range character")
            if high < low:
                raise self.fail("range hi character is less than lo")
            ranges: Ranges = ((ord(low), ord(high)),)
            return Class(negate(ranges) if inverted else ranges)
        found: list[tuple[int, int]] = []
        while not self.text.startswith("]", self.at):
            if self.text.startswith("\\", self.at):
                self.at += 1
            if self.at >= len(self.text):
                raise self.fail("unexpected end of input")
            found.append((ord(self.text[self.at]), ord(self.text[self.at])))
            self.at += 1
        if not found:
            self.at += 1
            raise self.fail("could not parse range")
        self.at += 1
        return Class(negate(normal(found)) if inverted else normal(found))


def _literal(char: str) -> Node:
    return Class(((ord(char), ord(char)),))
