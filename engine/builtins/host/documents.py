"""Values as JSON text, for builtins that write or quote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal

from cupcake.engine.builtins.texts import SURROGATES, to_bytes
from cupcake.engine.builtins.values import RegoObject, RegoSet, Value, pairs


def _go_string(text: str) -> str:
    """A JSON string as Go's encoder writes it."""
    quoted = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        quoted = quoted.replace(char, f"\\u{ord(char):04x}")
    return SURROGATES.sub(r"\\ufffd", quoted)


def number_text(value: int | Decimal) -> str:
    """As most people write it: `1e3`, `1.5`."""
    return str(value).replace("E+", "e").replace("E", "e")


def _json_lines(value: Value, prefix: str, indent: str) -> str:
    """Go's json.MarshalIndent, or one line when `indent` is None."""
    return "".join(_json_parts(value, "\n" + prefix, indent))


def _json_parts(value: Value, line: str, indent: str | None) -> Iterator[str]:
    match value:
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case int() | Decimal():
            yield number_text(value)
        case str():
            yield _go_string(value)
        case list() | RegoSet():
            yield from _json_block("[", "]", [([], item) for item in value], line, indent)
        case dict() | RegoObject():
            named = ((k if isinstance(k, str) else one_line(k), v) for k, v in pairs(value))
            rows = sorted(named, key=lambda row: to_bytes(row[0]))
            colon = ":" if indent is None else ": "
            block = [([_go_string(key), colon], item) for key, item in rows]
            yield from _json_block("{", "}", block, line, indent)


def _json_block(
    start: str, end: str, rows: list[tuple[list[str], Value]], line: str, indent: str | None
) -> Iterator[str]:
    yield start
    inner = line + (indent or "")
    for number, (head, item) in enumerate(rows):
        yield "," if number else ""
        yield "" if indent is None else inner
        yield from head
        yield from _json_parts(item, inner, indent)
    yield end if indent is None or not rows else line + end


def one_line(value: Value) -> str:
    """The JSON text as Go's encoder writes it: keys in order, sets as arrays, no blanks."""
    return "".join(_json_parts(value, "", None))


def spaced_line(value: Value) -> str:
    """As `one_line`, with a blank behind each comma and colon."""
    return "".join(
        part + " " if part in (",", ":") else part for part in _json_parts(value, "", None)
    )
