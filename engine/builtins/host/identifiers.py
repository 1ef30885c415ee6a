"""UUIDs, quantities with units, random numbers, the runtime's description."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.operands import failed, integer, string
from cupcake.engine.builtins.values import Value


def _uuid_new(gate: Gate, key: Value) -> Value:
    string("uuid.rfc4122", 1, key)
    return str(uuid.UUID(int=gate.random.getrandbits(128), version=4))


# ---- units ----

_AMOUNT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def _unit_factor(unit: str) -> Fraction | None:
    unit = unit[:1] + unit[1:].lower()
    if unit == "m":
        return Fraction(0.001)  # the double, as OPA takes it
    if unit == "":
        return Fraction(1)
    letter = unit[0].lower()
    if letter not in "kmgtpe" or unit[1:] not in ("", "i"):
        return None
    return Fraction((1024 if unit[1:] else 1000) ** ("kmgtpe".index(letter) + 1))


def _split_unit(text: str) -> tuple[str, str]:
    """The amount (digits, dots, signs, exponents) in front and the rest."""
    at = 0
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        if char in "eE":
            if not following or following not in "0123456789+-":
                break
            if following in "+-":
                at += 1
        elif char not in "0123456789.+-":
            break
        at += 1
    return text[:at], text[at:]


def _amount(name: str, text: str, kind: str) -> tuple[str, str]:
    if " " in text:
        raise failed(name, "spaces not allowed in resource strings")
    number, unit = _split_unit(text)
    if not number:
        raise failed(name, f"no {kind} provided")
    return number, unit


def _units_parse(x: Value) -> Value:
    name = "units.parse"
    text = string(name, 1, x).replace('"', "")
    number, unit = _amount(name, text, "amount")
    factor = _unit_factor(unit)
    if factor is None:
        raise failed(name, f"unit {_shown_unit(unit)} not recognized")
    if not _AMOUNT.fullmatch(number):
        raise failed(name, "could not parse amount to a number")
    value = Fraction(number) * factor
    if value.denominator == 1:
        return value.numerator
    scaled = abs(value) * 10**10
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    whole += 2 * rest >= scaled.denominator  # half away from zero
    return Decimal(whole).scaleb(-10) * (-1 if value < 0 else 1)


def _shown_unit(unit: str) -> str:
    return unit[:1] + unit[1:].lower() if len(unit) > 1 else unit


# ---- random numbers and the runtime ----


def _rand_intn(gate: Gate, key: Value, n: Value) -> Value:
    name = "rand.intn"
    string(name, 1, key)
    limit = abs(integer(name, 2, n))
    return gate.random.randrange(limit) if limit else 0


def _runtime(gate: Gate) -> Value:
    """Of the environment, what a policy may see; without that and without configuration, an empty object."""
    shown: dict[str, Value] = {}
    if gate.effects.env != ():
        shown["env"] = dict(gate.variables())
    if gate.effects.config:
        shown["config"] = dict(gate.effects.config)
    return shown


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (("units.parse", _units_parse),)

GATED: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("uuid.rfc4122", _uuid_new),
    ("rand.intn", _rand_intn),
    ("opa.runtime", _runtime),
)
