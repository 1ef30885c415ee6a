"""json.patch: RFC 6902 over Rego values. A set's element is its own path segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from cupcake.engine.builtins.host.operands import array, undefined
from cupcake.engine.builtins.values import (
    RegoObject,
    RegoSet,
    Value,
    compare,
    pairs,
    rego_object,
    rego_set,
)

DEPTH_MAX = 512

Change: TypeAlias = Callable[[Value, Value], Value]


class _RefusedError(Exception):
    """The patch cannot be applied; the call is undefined then."""


def _path(value: Value) -> list[Value]:
    match value:
        case str():
            if value == "":
                return []
            parts = value.lstrip("/").split("/")
            return [part.replace("~1", "/").replace("~0", "~") for part in parts]
        case list() if len(value) <= DEPTH_MAX:
            return value
    raise _RefusedError


def _index(key: Value, length: int) -> int:
    """The place in an array; `length` itself may be named to append."""
    if key == "-" and isinstance(key, str):
        return length
    if isinstance(key, str):
        if not (key.isascii() and key.isdigit()) or (len(key) > 1 and key[0] == "0"):
            raise _RefusedError
        key = int(key) if len(key) < 10 else length + 1
    if isinstance(key, bool) or not isinstance(key, int) or not 0 <= key <= length:
        raise _RefusedError
    return key


def _child(parent: Value, key: Value) -> Value:
    """The value below `key`; raises _RefusedError when there is none."""
    match parent:
        case dict() | RegoObject():
            for name, value in pairs(parent):
                if compare(name, key) == 0:
                    return value
        case list():
            at = _index(key, len(parent))
            if at < len(parent):
                return parent[at]
        case RegoSet():
            for value in parent:
                if compare(value, key) == 0:
                    return value
    raise _RefusedError


def _get(document: Value, path: list[Value]) -> Value:
    for key in path:
        document = _child(document, key)
    return document


def _change(document: Value, path: list[Value], change: Change) -> Value:
    """The document with `change(parent, last key)` put in the parent's place."""
    if len(path) == 1:
        return change(document, path[0])
    key = path[0]
    new = _change(_child(document, key), path[1:], change)
    match document:
        case dict() | RegoObject():
            return rego_object([*pairs(document), (key, new)])
        case list():
            at = _index(key, len(document))
            return [*document[:at], new, *document[at + 1 :]]
        case RegoSet():
            return rego_set([new, *(v for v in document if compare(v, key) != 0)])
    raise _RefusedError


def _insert(document: Value, path: list[Value], value: Value) -> Value:
    if not path:
        return value

    def change(parent: Value, key: Value) -> Value:
        match parent:
            case dict() | RegoObject():
                kept = [pair for pair in pairs(parent) if compare(pair[0], key) != 0]
                return rego_object([*kept, (key, value)])
            case list():
                at = _index(key, len(parent))
                return [*parent[:at], value, *parent[at:]]
            case RegoSet() if compare(key, value) == 0:
                return rego_set([*parent, value])
        raise _RefusedError

    return _change(document, path, change)


def _delete(document: Value, path: list[Value]) -> Value:
    if not path:
        raise _RefusedError

    def change(parent: Value, key: Value) -> Value:
        _child(parent, key)
        match parent:
            case dict() | RegoObject():
                return rego_object([pair for pair in pairs(parent) if compare(pair[0], key) != 0])
            case list():
                at = _index(key, len(parent))
                return [*parent[:at], *parent[at + 1 :]]
            case RegoSet():
                return rego_set(v for v in parent if compare(v, key) != 0)
        raise _RefusedError

    return _change(document, path, change)


def _attribute(operation: Value, name: str) -> Value:
    if not isinstance(operation, dict | RegoObject):
        raise _RefusedError
    return _child(operation, name)


def _apply(document: Value, operation: Value) -> Value:
    kind = _attribute(operation, "op")
    path = _path(_attribute(operation, "path"))
    match kind:
        case "add":
            return _insert(document, path, _attribute(operation, "value"))
        case "remove":
            return _delete(document, path)
        case "replace":
            value = _attribute(operation, "value")
            if not path:
                return value
            return _insert(_delete(document, path), path, value)
        case "move":
            source = _path(_attribute(operation, "from"))
            value = _get(document, source)
            if not source:
                return _insert(document, path, value)
            return _insert(_delete(document, source), path, value)
        case "copy":
            value = _get(document, _path(_attribute(operation, "from")))
            return _insert(document, path, value)
        case "test":
            if compare(_get(document, path), _attribute(operation, "value")) == 0:
                return document
    raise _RefusedError


def _patch(document: Value, operations: Value) -> Value:
    name = "json.patch"
    try:
        for operation in array(name, 2, operations):
            document = _apply(document, operation)
    except _RefusedError:
        raise undefined(name) from None
    return document


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (("json.patch", _patch),)
