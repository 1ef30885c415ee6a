"""Rego's strings in Python. In the sandbox a string is any bytes; here each byte that is not UTF-8 is the surrogate
U+DC80..U+DCFF that PEP 383 gives it, and no other surrogate occurs.

Whatever computes on bytes (a hash, a key, a length) uses `to_bytes`, whatever others will read uses `readable`. A text that
is parsed must not smuggle such letters in by escapes: `read_json` replaces them. Pure.
"""

from __future__ import annotations

import json
import re
from typing import Any

REPLACEMENT = "\ufffd"
_NOT_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")
SURROGATES = re.compile("[\ud800-\udfff]")
# One escape of JSON, a pair of surrogates as one; the group is the code unit of a byte.
_ESCAPE = re.compile(r"\\ud[89ab]..\\ud[c-f]..|\\u(dc[89a-f][0-9a-f])|\\.", re.IGNORECASE)
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")


def to_bytes(text: str) -> bytes:
    """The bytes of a string."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _NOT_BYTES.sub(REPLACEMENT, text).encode("utf-8", "surrogateescape")


def from_bytes(raw: bytes) -> str:
    """The string of any bytes."""
    return raw.decode("utf-8", "surrogateescape")


def readable(text: str) -> str:
    """The string with U+FFFD for each byte that is not UTF-8: what may leave the engine."""
    return text if text.isascii() else SURROGATES.sub(REPLACEMENT, text)


def readable_bytes(raw: bytes) -> str:
    """The same of bytes."""
    return readable(from_bytes(raw))


def read_json(text: str, **options: Any) -> Any:
    """`json.loads` as Go decodes: what is not UTF-8, and escapes of half a pair, are U+FFFD. ValueError, RecursionError."""
    found = json.loads(readable(text), **options)
    return _readable_in(found) if _ESCAPED.search(text) else found


def readable_escapes(text: str) -> str:
    """Value text without escapes that stand for bytes, for readers that do not know them."""
    return _ESCAPE.sub(lambda found: found[0] if found[1] is None else r"\ufffd", text)


def _readable_in(value: Any) -> Any:
    match value:
        case str():
            return readable(value)
        case list():
            return [_readable_in(item) for item in value]
        case dict():
            return {readable(key): _readable_in(item) for key, item in value.items()}
    return value
