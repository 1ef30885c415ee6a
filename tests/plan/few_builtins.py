"""The builtins that the planner's tests need, in Python. A policy that needs another one is skipped by its test."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from interpreter import RegoError, UndefinedResult
from values import Obj, Set, from_json, order, term_text, text, to_json


def _numbers(*values: Any) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | Fraction):
            raise UndefinedResult


def _norm(value: Any) -> Any:
    return value.numerator if isinstance(value, Fraction) and value.denominator == 1 else value


def _minus(a: Any, b: Any) -> Any:
    if isinstance(a, Set) and isinstance(b, Set):
        return Set(item for item in a.items() if item not in b)
    _numbers(a, b)
    return _norm(a - b)


def _arith(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call(a: Any, b: Any) -> Any:
        _numbers(a, b)
        return _norm(op(a, b))

    return call


def _div(a: Any, b: Any) -> Any:
    _numbers(a, b)
    if b == 0:
        raise UndefinedResult
    return _norm(Fraction(a) / Fraction(b))


def _rem(a: Any, b: Any) -> Any:
    if not isinstance(a, int) or not isinstance(b, int) or b == 0:
        raise UndefinedResult
    return abs(a) % abs(b) * (1 if a >= 0 else -1)


def _items(value: Any) -> list[Any]:
    match value:
        case list():
            return value
        case Set():
            return list(value.items())
    raise UndefinedResult


def _count(value: Any) -> int:
    match value:
        case list() | str():
            return len(value)
        case Obj() | Set():
            return len(value.table)
    raise UndefinedResult


def _walk(value: Any) -> list[Any]:
    found: list[Any] = []

    def visit(path: list[Any], node: Any) -> None:
        found.append([path, node])
        match node:
            case list():
                for index, item in enumerate(node):
                    visit([*path, index], item)
            case Obj():
                for key, item in node.items():
                    visit([*path, key], item)
            case Set():
                for item in node.items():
                    visit([*path, item], item)

    visit([], value)
    return found


def _member_2(item: Any, xs: Any) -> bool:
    match xs:
        case list():
            return any(order(item) == order(x) for x in xs)
        case Set():
            return item in xs
        case Obj():
            return any(order(item) == order(x) for _, x in xs.items())
    return False


def _member_3(key: Any, value: Any, xs: Any) -> bool:
    match xs:
        case list():
            return isinstance(key, int) and 0 <= key < len(xs) and order(xs[key]) == order(value)
        case Set():
            return order(key) == order(value) and key in xs
        case Obj():
            found = xs.get(key)
            return found is not None and order(found[1]) == order(value)
    return False


def _object_get(obj: Any, key: Any, default: Any) -> Any:
    if not isinstance(obj, Obj):
        raise UndefinedResult
    at: Any = obj
    for part in key if isinstance(key, list) else [key]:
        match at:
            case Obj() if at.get(part) is not None:
                at = at.get(part)[1]  # type: ignore[index]
            case list() if isinstance(part, int) and 0 <= part < len(at):
                at = at[part]
            case _:
                return default
    return at


def _keys(obj: Obj) -> list[Any]:
    return [key for key, _ in obj.items()]


def _object_remove(obj: Any, keys: Any) -> Any:
    if not isinstance(obj, Obj) or not isinstance(keys, list | Set | Obj):
        raise UndefinedResult
    gone = keys if isinstance(keys, Set) else Set(keys if isinstance(keys, list) else _keys(keys))
    return Obj((k, v) for k, v in obj.items() if k not in gone)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise UndefinedResult
    return value


def _sprintf(form: Any, args: Any) -> str:
    parts = _string(form).split("%")
    out, rest = parts[0], list(args)
    for part in parts[1:]:
        verb, tail = part[:1], part[1:]
        if verb not in ("s", "v", "d") or not rest:
            raise KeyError("sprintf")
        arg = rest.pop(0)
        if isinstance(arg, int) and abs(arg) > 10**18:
            raise KeyError("sprintf")
        out += (arg if isinstance(arg, str) else term_text(arg)) + tail
    return out


def _template(parts: Any) -> str:
    out = ""
    for part in parts:
        if isinstance(part, Set):
            found = list(part.items())
            if len(found) > 1:
                raise RegoError(
                    "eval_conflict_error", "template-strings must not produce multiple outputs"
                )
            shown = found[0] if found else "<undefined>"
            out += shown if isinstance(shown, str) else term_text(shown)
        else:
            out += part if isinstance(part, str) else term_text(part)
    return out


def _range(a: Any, b: Any) -> list[int]:
    if not isinstance(a, int) or not isinstance(b, int):
        raise UndefinedResult
    return list(range(a, b + 1)) if a <= b else list(range(a, b - 1, -1))


def _to_number(value: Any) -> Any:
    match value:
        case None:
            return 0
        case bool():
            return int(value)
        case str():
            try:
                return _norm(Fraction(value))
            except ValueError:
                raise UndefinedResult from None
    _numbers(value)
    return value


def _type_name(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case Obj():
            return "object"
        case Set():
            return "set"
    return "number"


BUILTINS: dict[str, Callable[..., Any]] = {
    "plus": _arith(lambda a, b: a + b),
    "minus": _minus,
    "mul": _arith(lambda a, b: a * b),
    "div": _div,
    "rem": _rem,
    "equal": lambda a, b: order(a) == order(b),
    "neq": lambda a, b: order(a) != order(b),
    "lt": lambda a, b: order(a) < order(b),
    "lte": lambda a, b: order(a) <= order(b),
    "gt": lambda a, b: order(a) > order(b),
    "gte": lambda a, b: order(a) >= order(b),
    "and": lambda a, b: Set(x for x in _items(a) if x in b),
    "or": lambda a, b: Set([*_items(a), *_items(b)]),
    "count": _count,
    "sum": lambda xs: sum(_items(xs)),
    "max": lambda xs: max(_items(xs), key=order),
    "min": lambda xs: min(_items(xs), key=order),
    "walk": _walk,
    "internal.member_2": _member_2,
    "internal.member_3": _member_3,
    "internal.template_string": _template,
    "object.get": _object_get,
    "object.remove": _object_remove,
    "concat": lambda d, xs: d.join(_string(x) for x in _items(xs)),
    "contains": lambda s, x: _string(x) in _string(s),
    "startswith": lambda s, x: _string(s).startswith(_string(x)),
    "endswith": lambda s, x: _string(s).endswith(_string(x)),
    "lower": lambda s: _string(s).lower(),
    "upper": lambda s: _string(s).upper(),
    "split": lambda s, d: _string(s).split(d) if d else list(s),
    "replace": lambda s, a, b: _string(s).replace(a, b),
    "trim": lambda s, c: _string(s).strip(c),
    "sprintf": _sprintf,
    "array.concat": lambda a, b: [*_items(a), *_items(b)],
    "numbers.range": _range,
    "to_number": _to_number,
    "type_name": _type_name,
    "is_string": lambda v: isinstance(v, str),
    "is_array": lambda v: isinstance(v, list),
    "is_object": lambda v: isinstance(v, Obj),
    "is_set": lambda v: isinstance(v, Set),
    "is_number": lambda v: isinstance(v, int | Fraction) and not isinstance(v, bool),
    "is_null": lambda v: v is None,
    "is_boolean": lambda v: isinstance(v, bool),
    "abs": abs,
    "sort": lambda xs: sorted(_items(xs), key=order),
    "union": lambda xs: Set(item for x in xs.items() for item in x.items()),
    "json.unmarshal": lambda s: from_json(json.loads(_string(s))),
    "json.marshal": lambda v: text(to_json(v)),
    "time.now_ns": lambda: 1_700_000_000_000_000_000,
    "opa.runtime": Obj,
    "trace": lambda _: True,
    "print": lambda _: True,
    "cast_array": lambda v: list(_items(v)),
    "cast_set": lambda v: Set(_items(v)),
}
