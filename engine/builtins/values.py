"""Rego values as the host functions see them, their order, and the error a builtin may raise.

    null None - boolean bool - number int or decimal.Decimal (never float) - string str (`texts.py`) - array list
    set RegoSet - object dict when every key is a string, else RegoObject

Sets and objects with other keys are classes of ours because Python's would confuse 1 with True and
cannot hold lists. It must not import the compiler, the VM or any builtin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cmp_to_key
from typing import Literal, TypeAlias

from cupcake.engine.builtins.texts import to_bytes


@dataclass(eq=False)
class BuiltinError(Exception):
    """A builtin cannot serve its operands. `kind` "type" is an operand of the wrong type
    (eval_type_error), "builtin" anything else (eval_builtin_error); "undefined" is no error but the
    absence of a result, also when errors are strict. `message` starts with the name of the builtin,
    in OPA's words."""

    kind: Literal["type", "builtin", "undefined"]
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True, slots=True)
class RegoSet:
    """A set: its elements once each, in Rego's order. Make one with `rego_set`."""

    items: tuple[Value, ...] = ()

    def __iter__(self) -> Iterator[Value]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class RegoObject:
    """An object with at least one key that is not a string, as pairs in the order of the keys."""

    items: tuple[tuple[Value, Value], ...] = ()

    def __len__(self) -> int:
        return len(self.items)


Value: TypeAlias = (
    "bool | int | Decimal | str | list[Value] | dict[str, Value] | RegoSet | RegoObject | None"
)

_NAMES = ("null", "boolean", "number", "string", "array", "object", "set")


def rank(value: Value) -> int:
    """The place of a value's type in Rego's order, null 0 to set 6; TypeError for foreign types."""
    match value:
        case None:
            return 0
        case bool():
            return 1
        case int() | Decimal():
            return 2
        case str():
            return 3
        case list():
            return 4
        case dict() | RegoObject():
            return 5
        case RegoSet():
            return 6
    raise TypeError(f"{type(value).__name__} is not a Rego value")


def type_name(value: Value) -> str:
    """`null`, `boolean`, `number`, `string`, `array`, `object` or `set`."""
    return _NAMES[rank(value)]


def pairs(value: dict[str, Value] | RegoObject) -> list[tuple[Value, Value]]:
    """The pairs of an object in Rego's order of the keys."""
    if isinstance(value, RegoObject):
        return list(value.items)
    return [(key, value[key]) for key in sorted(value, key=to_bytes)]


def compare(left: Value, right: Value) -> int:
    """-1, 0 or 1 in Rego's order; numbers by value, so that 1 and 1.0 are equal."""
    left_rank, right_rank = rank(left), rank(right)
    if left_rank != right_rank:
        return -1 if left_rank < right_rank else 1
    match left, right:
        case list(), list():
            return _compare_items(left, right)
        case RegoSet(), RegoSet():
            return _compare_items(list(left), list(right))
        case (dict() | RegoObject(), dict() | RegoObject()):
            mine, other = pairs(left), pairs(right)
            for (key_a, value_a), (key_b, value_b) in zip(mine, other, strict=False):
                if order := compare(key_a, key_b) or compare(value_a, value_b):
                    return order
            return (len(mine) > len(other)) - (len(mine) < len(other))
        case (str(), str()):
            a, b = to_bytes(left), to_bytes(right)
            return (a > b) - (a < b)
        case (bool() | int() | Decimal(), bool() | int() | Decimal()):
            return (left > right) - (left < right)
    return 0


def _compare_items(left: list[Value], right: list[Value]) -> int:
    for x, y in zip(left, right, strict=False):
        if order := compare(x, y):
            return order
    return (len(left) > len(right)) - (len(left) < len(right))


ORDER = cmp_to_key(compare)


def rego_set(values: Iterable[Value]) -> RegoSet:
    """A set of these values."""
    result: list[Value] = []
    for value in sorted(values, key=ORDER):
        if not result or compare(result[-1], value) != 0:
            result.append(value)
    return RegoSet(tuple(result))


def rego_object(items: Iterable[tuple[Value, Value]]) -> dict[str, Value] | RegoObject:
    """An object of these pairs; a later pair replaces an earlier one with the same key."""
    listed = list(items)
    if all(isinstance(key, str) for key, _ in listed):
        return {key: value for key, value in listed if isinstance(key, str)}
    result: list[tuple[Value, Value]] = []
    for key, value in sorted(listed, key=lambda pair: ORDER(pair[0])):
        if result and compare(result[-1][0], key) == 0:
            result[-1] = (key, value)
        else:
            result.append((key, value))
    return RegoObject(tuple(result))
