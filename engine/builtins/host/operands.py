"""Operand checks of the host builtins, with OPA's messages. `name` is the builtin, `at` counts from 1."""

from __future__ import annotations

from decimal import Decimal

from cupcake.engine.builtins.values import BuiltinError, RegoObject, Value, type_name

_INT64 = (1 << 63) - 1


def type_error(name: str, at: int, value: Value, *expected: str) -> BuiltinError:
    """`name: operand 1 must be number but got string`."""
    wanted = expected[0] if len(expected) == 1 else "one of {" + ", ".join(expected) + "}"
    return BuiltinError("type", f"{name}: operand {at} must be {wanted} but got {type_name(value)}")


def failed(name: str, message: str) -> BuiltinError:
    """`name: message` as eval_builtin_error."""
    return BuiltinError("builtin", f"{name}: {message}")


def string(name: str, at: int, value: Value) -> str:
    if not isinstance(value, str):
        raise type_error(name, at, value, "string")
    return value


def integer(name: str, at: int, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise type_error(name, at, value, "number")
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        written_with_e = isinstance(exponent, int) and exponent > 0  # `1e2` is no integer for OPA
        if not value.is_finite() or written_with_e or value != value.to_integral_value():
            message = f"{name}: operand {at} must be integer number but got floating-point number"
            raise BuiltinError("type", message)
        value = int(value) if value.adjusted() < 20 else _INT64 + 1
    if not -_INT64 - 1 <= value <= _INT64:
        message = f"{name}: operand {at} must be integer number but got floating-point number"
        raise BuiltinError("type", message)
    return value


def array(name: str, at: int, value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise type_error(name, at, value, "array")
    return value


def mapping(name: str, at: int, value: Value) -> dict[str, Value] | RegoObject:
    if not isinstance(value, dict | RegoObject):
        raise type_error(name, at, value, "object")
    return value
