"""The short notation in which `declarations.py` writes types, and its reader.

Grammar (blanks are free)::

    type   = item *("|" item)
    item   = "null" | "boolean" | "number" | "string" | "any" | "array" "[" type "]" | "set" "[" type "]"
           | "tuple" "[" type *("," type) "]" | "object" "[" type ":" type "]"
           | "record" "[" field *("," field) [";" type ":" type] "]"
    field  = name ":" type

`tuple` is an array of exactly these items, `record` an object with these properties and, after the
semicolon, any number of further ones. Pure; it must not know any builtin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cupcake.engine.builtins.types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    Any,
    ArrayOf,
    ObjectOf,
    SetOf,
    Type,
)

_TOKEN = re.compile(r"\s*([a-z_][a-z0-9_]*|[\[\]|,:;])")


@dataclass(frozen=True, slots=True)
class SignatureError(ValueError):
    """A declaration is not written in the notation; always a mistake in this package."""

    text: str
    offset: int

    def __str__(self) -> str:
        return f"bad type notation at character {self.offset} of {self.text!r}"


def parse_signature(text: str) -> tuple[tuple[Type, ...], Type]:
    """Read `"T, T -> T"` (no argument: `"-> T"`); raises SignatureError."""
    before, arrow, after = text.partition("->")
    if not arrow:
        raise SignatureError(text, len(text))
    args: tuple[Type, ...] = ()
    if before.strip():
        reader = _Reader(before)
        items = [reader.union()]
        while reader.take(","):
            items.append(reader.union())
        reader.end()
        args = tuple(items)
    return args, parse_type(after)


def parse_type(text: str) -> Type:
    """Read one type; raises SignatureError."""
    reader = _Reader(text)
    result = reader.union()
    reader.end()
    return result


class _Reader:
    """A cursor over the tokens of one text."""

    __slots__ = ("_offset", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._offset = 0

    def _peek(self) -> str:
        found = _TOKEN.match(self._text, self._offset)
        return found.group(1) if found else ""

    def _next(self) -> str:
        found = _TOKEN.match(self._text, self._offset)
        if found is None:
            raise SignatureError(self._text, self._offset)
        self._offset = found.end()
        return found.group(1)

    def take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next()
        return True

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise SignatureError(self._text, self._offset)

    def end(self) -> None:
        if self._text[self._offset :].strip():
            raise SignatureError(self._text, self._offset)

    def union(self) -> Type:
        members = [self.item()]
        while self.take("|"):
            members.append(self.item())
        return members[0] if len(members) == 1 else Any(tuple(members))

    def item(self) -> Type:
        match word := self._next():
            case "null":
                return NULL
            case "boolean":
                return BOOLEAN
            case "number":
                return NUMBER
            case "string":
                return STRING
            case "any":
                return ANY
            case "array" | "set" | "tuple" | "object" | "record":
                self.expect("[")
                result = self._container(word)
                self.expect("]")
                return result
            case _:
                raise SignatureError(self._text, self._offset)

    def _container(self, word: str) -> Type:
        if word == "array":
            return ArrayOf(rest=self.union())
        if word == "set":
            return SetOf(self.union())
        if word == "tuple":
            items = [self.union()]
            while self.take(","):
                items.append(self.union())
            return ArrayOf(static=tuple(items))
        if word == "object":
            return ObjectOf((), *self._pair())
        fields = [self._field()]
        while self.take(","):
            fields.append(self._field())
        if self.take(";"):
            return ObjectOf(tuple(fields), *self._pair())
        return ObjectOf(tuple(fields))

    def _pair(self) -> tuple[Type, Type]:
        key = self.union()
        self.expect(":")
        return key, self.union()

    def _field(self) -> tuple[str, Type]:
        name = self._next()
        self.expect(":")
        return name, self.union()
