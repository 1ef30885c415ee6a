"""Rego values for the test interpreter, over plain Python: None, bool, int/Fraction, str, list, Obj, Set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any


def order(value: Any) -> tuple[Any, ...]:
    """A hashable key that sorts values as Rego does and is equal exactly for equal values."""
    match value:
        case None:
            return (0,)
        case bool():
            return (1, value)
        case int() | float() | Fraction() | Decimal():
            return (2, Fraction(value))
        case str():
            return (3, value.encode("utf-8", "surrogatepass"))
        case list():
            return (4, tuple(order(item) for item in value))
        case Obj():
            return (5, tuple((k, order(value.table[k][1])) for k in sorted(value.table)))
        case Set():
            return (6, tuple(sorted(value.table)))
    raise TypeError(f"no Rego value: {value!r}")


class Obj:
    """An object; `table` maps order(key) to (key, value)."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        self.table: dict[Any, tuple[Any, Any]] = {}
        for key, value in pairs:
            self.put(key, value)

    def put(self, key: Any, value: Any) -> None:
        self.table[order(key)] = (key, value)

    def get(self, key: Any) -> tuple[Any, Any] | None:
        return self.table.get(order(key))

    def items(self) -> Iterator[tuple[Any, Any]]:
        for key in sorted(self.table):
            yield self.table[key]

    def copy(self) -> Obj:
        return Obj(self.table.values())


class Set:
    """A set; `table` maps order(item) to item."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self.table: dict[Any, Any] = {}
        for item in items:
            self.add(item)

    def add(self, item: Any) -> None:
        self.table[order(item)] = item

    def __contains__(self, item: Any) -> bool:
        return order(item) in self.table

    def items(self) -> Iterator[Any]:
        for key in sorted(self.table):
            yield self.table[key]


def number(text: str) -> int | Fraction:
    value = Fraction(Decimal(text))
    return value.numerator if value.denominator == 1 else value


def from_json(value: Any) -> Any:
    """A value from what `json.loads(..., parse_float=Decimal)` gives."""
    match value:
        case Decimal():
            return number(str(value))
        case float():
            return number(repr(value))
        case list():
            return [from_json(item) for item in value]
        case dict():
            return Obj((key, from_json(item)) for key, item in value.items())
    return value


def to_json(value: Any) -> Any:
    """JSON as OPA prints bindings: sets as sorted arrays, other keys as their JSON text."""
    match value:
        case list():
            return [to_json(item) for item in value]
        case Set():
            return [to_json(item) for item in value.items()]
        case Obj():
            return {
                k if isinstance(k, str) else text(to_json(k)): to_json(v) for k, v in value.items()
            }
        case Fraction():
            return float(value)
    return value


def text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def term_text(value: Any) -> str:
    """A value as Rego writes it."""
    match value:
        case list():
            return "[" + ", ".join(term_text(item) for item in value) + "]"
        case Set():
            items = ", ".join(term_text(item) for item in value.items())
            return "{" + items + "}" if items else "set()"
        case Obj():
            return (
                "{" + ", ".join(f"{term_text(k)}: {term_text(v)}" for k, v in value.items()) + "}"
            )
    return text(to_json(value))
