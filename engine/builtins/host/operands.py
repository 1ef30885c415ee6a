"""Operand checks of the host builtins, with OPA's messages. `name` is the builtin, `at` counts from 1."""

from __future__ import annotations

from decimal import Decimal

from cupcake.engine.builtins.values import BuiltinError, RegoObject, Value, type_name

INTEGER_DIGITS_MAX = 4300


def type_error(name: str, at: int, value: Value, *expected: str) -> BuiltinError:
    """`name: operand 1 must be number but got string`."""
    wanted = expected[0] if len(expected) == 1 else "one of {" + ", ".join(expected) + "}"
    return BuiltinError("type", f"{name}: operand {at} must be {wanted} but got {type_name(value)}")


def failed(name: str, message: str) -> BuiltinError:
    """`name: message` as eval_builtin_error."""
    return BuiltinError("builtin", f"{name}: {message}")


def undefined(name: str) -> BuiltinError:
    """No result, and no error."""
    return BuiltinError("undefined", f"{name}: no result")


def string(name: str, at: int, value: Value) -> str:
    if not isinstance(value, str):
        raise type_error(name, at, value, "string")
    return value


def integer(name: str, at: int, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise type_error(name, at, value, "number")
    if isinstance(value, Decimal):
        if not value.is_finite() or value != value.to_integral_value():
            message = f"{name}: operand {at} must be integer number but got floating-point number"
            raise BuiltinError("type", message)
        if value.adjusted() > INTEGER_DIGITS_MAX:
            raise failed(name, "number is too large")
        return int(value)
    return value


def array(name: str, at: int, value: Value) -> list[Value]:
    if not isinstance(value, list):
        raise type_error(name, at, value, "array")
    return value


def mapping(name: str, at: int, value: Value) -> dict[str, Value] | RegoObject:
    if not isinstance(value, dict | RegoObject):
        raise type_error(name, at, value, "object")
    return value
