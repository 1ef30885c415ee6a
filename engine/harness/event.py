"""Read one event strictly: bytes in, one JSON object out, or BadEvent with the reason. Pure.

Strict about JSON (what two parsers could read differently is refused, because the tool may run what the policy
did not see), lenient about content (unknown events, fields and values pass).
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from cupcake.engine.errors import BadEvent

MAX_EVENT_BYTES = 8 * 1024 * 1024
MAX_EVENT_DEPTH = 512

# An open string runs to the end: with a failing match every later quote would be tried anew, in quadratic time.
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_EVENT_NAME = re.compile(rb'"(?:hook_event_name|hookEventName)"\s*:\s*"([A-Za-z]{1,64})"')


def parse_event(data: bytes) -> dict[str, Any]:
    """Raises BadEvent: empty, not UTF-8, not JSON, not an object, too large or deep, duplicate keys, lone surrogates."""
    if len(data) > MAX_EVENT_BYTES:
        raise BadEvent(f"the event is larger than {MAX_EVENT_BYTES // 1024 // 1024} MiB")
    if not data or data.isspace():
        raise BadEvent("the event is empty")
    # Fewer brackets than levels: no need to look closer.
    if data.count(b"[") + data.count(b"{") > MAX_EVENT_DEPTH and _depth(data) > MAX_EVENT_DEPTH:
        raise BadEvent(f"the event is nested deeper than {MAX_EVENT_DEPTH} levels")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadEvent(f"the event is not UTF-8 (byte {error.start})") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadEvent(
            f"the event is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise BadEvent(f"the event is nested deeper than {MAX_EVENT_DEPTH} levels") from None
    except ValueError as error:
        raise BadEvent(f"the event is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadEvent("the event is not a JSON object")
    if _SURROGATE.search(text) is not None:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise BadEvent("the event holds a lone surrogate, which is no character") from None
    return value


def event_names(event: dict[str, Any]) -> tuple[str, ...]:
    """The event's name, in both spellings when they differ; raises BadEvent when there is none."""
    snake = event.get("hook_event_name")
    camel = event.get("hookEventName")
    if snake is None and camel is None:
        raise BadEvent("the event has no hook_event_name")
    if camel is None or camel == snake:
        if not isinstance(snake, str):
            raise BadEvent("hook_event_name is not a string")
        return (snake,)
    if snake is None:
        if not isinstance(camel, str):
            raise BadEvent("hookEventName is not a string")
        return (camel,)
    if not isinstance(snake, str) or not isinstance(camel, str):
        raise BadEvent("hook_event_name or hookEventName is not a string")
    return (snake, camel)


def guess_event_name(data: bytes | None) -> str | None:
    """The name that a broken event seems to have, for the shape of a refusal; None when it cannot be told.

    All of the bytes are searched: a second name, as a tool's own input may hold one, leaves it open."""
    if not data:
        return None
    names = {found.group(1) for found in _EVENT_NAME.finditer(data)}
    return names.pop().decode("ascii") if len(names) == 1 else None


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for found in _STRING_OR_BRACKET.finditer(data):
        first = data[found.start()]
        if first in b"[{":
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_EVENT_DEPTH:
                return deepest
        elif first in b"]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} stands twice in one object")
            seen.add(key)
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is out of range")
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)
