"""Rego values as text: JSON plus `{a, b}` and `set()`, keys of any kind, numbers exact.

Host functions get their operands through it, and answer by it. A byte XX of a string that is not UTF-8 is the escape
`\\udcXX` in the text and that surrogate in Python (`builtins/texts.py`). It must not know where the text comes from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]

from cupcake.engine.builtins.values import RegoObject, RegoSet, Value, pairs, rego_object, rego_set

MAX_DEPTH = 600
MAX_DIGITS = 4300
_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_WORDS: tuple[tuple[str, bool | None], ...] = (("null", None), ("true", True), ("false", False))


class ValueTextError(ValueError):
    """The text is no Rego value; says where."""


def whole_number(text: str) -> int | Decimal:
    """An integer in digits. One that is longer than Python likes to convert (quadratic time) is a Decimal."""
    return int(text) if len(text) <= MAX_DIGITS else Decimal(text)


def decimal_number(text: str) -> Decimal:
    """A number with a fraction or an exponent; ValueTextError when its exponent has more than 18 digits."""
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueTextError(f"the number {text[:40]} is out of range") from None


def _no_number(word: str) -> Value:
    raise ValueTextError(f"{word} is no number of Rego")


def parse_value(text: str) -> Value:
    """Value of a text. Numbers become int or Decimal, sets RegoSet, objects with other keys than strings RegoObject."""
    try:
        # Most texts are plain JSON, and the C parser is far faster than the one below.
        return json.loads(  # type: ignore[no-any-return]
            text, parse_float=decimal_number, parse_int=_int(text), parse_constant=_no_number
        )
    except (JSONDecodeError, RecursionError):
        reader = _Reader(text)
        try:
            value = reader.value(0)
        except RecursionError:
            raise reader.error("too many levels") from None
        reader.space()
        if reader.at != len(text):
            raise reader.error("text behind the value") from None
        return value


def _int(text: str) -> Callable[[str], int | Decimal] | None:
    # A function of Python's own for every integer costs; only a long text can hold a long one.
    return whole_number if len(text) > MAX_DIGITS else None


class _Reader:
    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def error(self, message: str) -> ValueTextError:
        return ValueTextError(f"{message} at character {self.at}")

    def space(self) -> None:
        match = _SPACE.match(self.text, self.at)
        if match:
            self.at = match.end()

    def peek(self) -> str:
        self.space()
        return self.text[self.at : self.at + 1]

    def value(self, depth: int) -> Value:
        if depth > MAX_DEPTH:
            raise self.error(f"more than {MAX_DEPTH} levels")
        char = self.peek()
        if char == '"':
            return self.string()
        if char == "[":
            return self.items("]", depth)
        if char == "{":
            return self.braces(depth)
        if self.text.startswith("set(", self.at):
            self.at += 4
            if self.peek() != ")":
                raise self.error("expected )")
            self.at += 1
            return RegoSet()
        for word, constant in _WORDS:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return constant
        match = _NUMBER.match(self.text, self.at)
        if match is None:
            raise self.error("expected a value")
        self.at = match.end()
        return decimal_number(match[0]) if match[1] or match[2] else whole_number(match[0])

    def string(self) -> str:
        try:
            value, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as e:
            raise self.error(e.msg) from e
        return str(value)

    def items(self, end: str, depth: int) -> list[Value]:
        self.at += 1
        found: list[Value] = []
        if self.peek() == end:
            self.at += 1
            return found
        while True:
            found.append(self.value(depth + 1))
            if self.separator(end):
                return found

    def separator(self, end: str) -> bool:
        """Step over a comma (False) or the end (True)."""
        char = self.peek()
        if char not in (",", end):
            raise self.error(f"expected , or {end}")
        self.at += 1
        return char == end

    def braces(self, depth: int) -> Value:
        self.at += 1
        if self.peek() == "}":
            self.at += 1
            return {}
        first = self.value(depth + 1)
        if self.peek() != ":":
            found = [first]
            while not self.separator("}"):
                found.append(self.value(depth + 1))
            return rego_set(found)
        listed: list[tuple[Value, Value]] = []
        key = first
        while True:
            if self.peek() != ":":
                raise self.error("expected :")
            self.at += 1
            listed.append((key, self.value(depth + 1)))
            if self.separator("}"):
                return rego_object(listed)
            key = self.value(depth + 1)


def dump_value(value: object) -> str:
    """Text of a value (also of tuples, and of floats, by their shortest digits). TypeError for what is no Rego value."""
    parts: list[str] = []
    _dump(value, parts.append)
    return "".join(parts)


def _dump(value: object, out: object) -> None:
    write = out
    assert callable(write)
    match value:
        case None:
            write("null")
        case bool():
            write("true" if value else "false")
        case str():
            write(json.dumps(value))
        case int():
            write(_whole(value))
        case float() | Decimal():
            write(_number(value))
        case list() | tuple():
            _sequence("[", value, "]", write)
        case RegoSet(items):
            if items:
                _sequence("{", items, "}", write)
            else:
                write("set()")
        case dict() | RegoObject():
            write("{")
            for i, (key, item) in enumerate(
                value.items() if isinstance(value, dict) else pairs(value)
            ):
                if i:
                    write(",")
                _dump(key, write)
                write(":")
                _dump(item, write)
            write("}")
        case _:
            raise TypeError(f"{type(value).__name__} is not a value of Rego")


def _whole(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # more digits than Python writes for an int
        return f"{Decimal(value):f}"


def _number(value: float | Decimal) -> str:
    number = Decimal(repr(value)) if isinstance(value, float) else value
    if not number.is_finite():
        raise TypeError(f"{value} is not a number of Rego")
    return str(number)


def _sequence(
    start: str, items: list[object] | tuple[object, ...], end: str, write: object
) -> None:
    assert callable(write)
    write(start)
    for i, item in enumerate(items):
        if i:
            write(",")
        _dump(item, write)
    write(end)
