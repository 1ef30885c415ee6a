"""Values as JSON text, URL queries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from urllib.parse import quote_plus, unquote_to_bytes

from cupcake.engine.builtins.host.operands import failed, mapping, string
from cupcake.engine.builtins.values import (
    BuiltinError,
    RegoObject,
    RegoSet,
    Value,
    pairs,
    rego_object,
)

# ---- JSON ----


def _go_string(text: str) -> str:
    """A JSON string as Go's encoder writes it."""
    quoted = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        quoted = quoted.replace(char, f"\\u{ord(char):04x}")
    return quoted


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
            rows = sorted((k if isinstance(k, str) else one_line(k), v) for k, v in pairs(value))
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


# ---- URL queries ----


def _encode_object(value: Value) -> Value:
    name = "urlquery.encode_object"
    message = f"{name}: operand 1 values must be string, array[string], or set[string]"
    rows: list[tuple[str, str]] = []
    for key, item in pairs(mapping(name, 1, value)):
        items = [item] if isinstance(item, str) else item
        if not isinstance(items, list | RegoSet):
            raise BuiltinError("type", message)
        for one in items:
            if not isinstance(one, str):
                raise BuiltinError("type", message)
            rows.append((key if isinstance(key, str) else one_line(key), one))
    return "&".join(f"{quote_plus(k, safe='')}={quote_plus(v, safe='')}" for k, v in rows)


def _unescape(name: str, text: str) -> str:
    bad = re.search(r"%(?![0-9a-fA-F]{2}).{0,2}", text)
    if bad:
        raise failed(name, f'invalid URL escape "{bad.group()}"')
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _decode_object(query: Value) -> Value:
    name = "urlquery.decode_object"
    found: dict[str, list[Value]] = {}
    for part in string(name, 1, query).split("&"):
        if ";" in part:
            raise failed(name, "invalid semicolon separator in query")
        if part:
            key, _, value = part.partition("=")
            found.setdefault(_unescape(name, key), []).append(_unescape(name, value))
    return rego_object(list(found.items()))


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("urlquery.encode_object", _encode_object),
    ("urlquery.decode_object", _decode_object),
)
