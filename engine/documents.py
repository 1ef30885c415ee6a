"""Base documents on their way into a module: small ones become constants of the plan, large ones are laid out by the
runtime itself, in WebAssembly, which takes a twentieth of the time that Python does.

It joins the compiler and the VM, which do not know each other; it decides nothing but the size from which on that pays.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import TYPE_CHECKING

from cupcake.engine.builtins.values import RegoObject, RegoSet, Value, pairs, rego_object, rego_set
from cupcake.engine.errors import EngineError, EvaluationError
from cupcake.engine.plan import ir
from cupcake.engine.runtime.abi import JSON_DEPTH_MAX

if TYPE_CHECKING:
    from cupcake.engine.vm import Policy

# Characters of JSON text. Below, Python is as fast, and the constants are shared with those of the policy.
LARGE = 1 << 16
_EMPTY = ir.Policy(ir.Static(), (ir.Plan("none", ()),), ())


def document(value: object, *, large: int = LARGE) -> ir.Const | ir.ConstDocument:
    """A base document as the planner takes it: any JSON value. EngineError for anything else."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        try:
            text = _written(value)
        except (
            TypeError,
            RecursionError,
        ):  # no JSON: `to_const` knows sets, and refuses the rest with a clear error
            return _constant(value)
    return _constant(value) if len(text) < large else ir.ConstDocument(text, _lay_out)


def _constant(value: object) -> ir.Const:
    try:
        return to_const(value)
    except RecursionError:
        raise EngineError("the data cannot be used: it nests too deeply") from None
    except TypeError as error:
        raise EngineError(f"the data cannot be used: {error}") from None


def _written(value: object) -> str:
    """JSON text with exact decimals, which the library does not write. TypeError for what is no JSON."""
    match value:
        case str():
            return encode_basestring_ascii(value)
        case dict():
            members = [f"{encode_basestring_ascii(k)}:{_written(v)}" for k, v in value.items()]
            return "{" + ",".join(members) + "}"
        case list() | tuple():
            return "[" + ",".join(map(_written, value)) + "]"
        case None | bool():
            return json.dumps(value)
        case int() | float() | Decimal():
            return _digits(value)
    raise TypeError(type(value).__name__)


def _digits(value: float | Decimal) -> str:
    if isinstance(value, int):
        try:
            return int.__repr__(value)
        except ValueError:  # more digits than Python writes for an int
            return f"{Decimal(value):f}"
    if not (value.is_finite() if isinstance(value, Decimal) else isfinite(value)):
        raise TypeError(f"{value} is no number of a JSON document")
    return str(value)


def to_const(value: object) -> ir.Const:
    """A JSON document (or a value with sets) as a constant of the IR. TypeError for anything else."""
    match value:
        case None | bool() | str():
            return value
        case int() | float() | Decimal():
            return ir.ConstNumber(_digits(value))
        case list() | tuple():
            return ir.ConstArray(tuple(map(to_const, value)))
        case RegoSet():
            return ir.ConstSet(tuple(map(to_const, value)))
        case RegoObject():
            return ir.ConstObject(tuple((to_const(k), to_const(v)) for k, v in pairs(value)))
        case Mapping():
            return ir.ConstObject(tuple((_name(k), to_const(v)) for k, v in value.items()))
    raise TypeError(f"{type(value).__name__} is no value of a JSON document")


def _name(key: object) -> str:
    if isinstance(key, str):
        return key
    raise TypeError("a key that is no string in a JSON document")


@functools.cache
def _scratch() -> Policy:
    # Only large documents need the VM; a compiler starts without it.
    from cupcake.engine.vm import Limits, load
    from cupcake.engine.wasm.assemble import assemble

    limits = Limits(memory_bytes=(4 << 30) - 65536, seconds=600.0)
    return load(assemble(_EMPTY), limits=limits, quick=True)


def _lay_out(text: str, base: int) -> tuple[bytes, int]:
    try:
        return _scratch().lay_out(text, base)
    except EvaluationError as e:
        if (
            e.code == "eval_internal_error"
        ):  # it is JSON, so all that the reader can mind is its depth
            raise EngineError(f"it is nested more than {JSON_DEPTH_MAX} levels deep") from e
        raise


def to_value(const: ir.Const) -> Value:
    """A constant of the IR as a Python value; the inverse of `to_const`."""
    match const:
        case ir.ConstNumber(text):
            number = Decimal(text)
            return int(text) if text.lstrip("-").isdigit() else number
        case ir.ConstArray(items):
            return [to_value(i) for i in items]
        case ir.ConstSet(items):
            return rego_set(to_value(i) for i in items)
        case ir.ConstObject(listed):
            return rego_object((to_value(k), to_value(v)) for k, v in listed)
        case _:
            return const
