"""Values as Go's fmt prints them, for templates: %v and its like, and printf. `sprintf` itself lives in the runtime."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

from cupcake.engine.builtins.texts import SURROGATES, to_bytes

_WIDTH_MAX = 10_000
_VERB = re.compile(r"%([-+# 0]*)(\d*)(?:\.(\d*))?(.)?", re.DOTALL)


class JsonNumber(str):
    """A number of the data, as it was written: Go's json.Number."""

    __slots__ = ()


class _Missing:
    """What a field that is not there gives."""

    __slots__ = ()


MISSING: Final = _Missing()
Data: TypeAlias = "bool | int | float | str | list[Data] | dict[str, Data] | _Missing | None"


def go_type(value: Data) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case JsonNumber():
            return "json.Number"
        case str():
            return "string"
        case list():
            return "[]interface {}"
        case dict():
            return "map[string]interface {}"
    return "<nil>"


def shown(value: Data) -> str:
    """As `%v`."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return go_float(value)
        case str():
            return value
        case list():
            return "[" + " ".join(map(shown, value)) + "]"
        case dict():
            return "map[" + " ".join(f"{k}:{shown(value[k])}" for k in sorted(value)) + "]"
    return "<no value>"


def go_float(number: float) -> str:
    """The shortest text, with an exponent below -4 and from 21 on."""
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "+Inf" if number > 0 else "-Inf"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    first = len(text) + exponent - 1
    if number and not -4 <= first < 21:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        mark = "-" if first < 0 else "+"
        return f"{'-' if sign else ''}{text[0]}{fraction}e{mark}{abs(first):02d}"
    return format(Decimal(repr(number)).normalize(), "f") if number else "0"


def go_print(values: Sequence[Data]) -> str:
    """As Sprint: blanks between two that are no texts."""
    out: list[str] = []
    for at, value in enumerate(values):
        plain = isinstance(value, str) and not isinstance(value, JsonNumber)
        before = values[at - 1] if at else ""
        if at and not plain and (not isinstance(before, str) or isinstance(before, JsonNumber)):
            out.append(" ")
        out.append(shown(value))
    return "".join(out)


def go_format(text: str, values: Sequence[Data]) -> str:
    """As Sprintf, without argument numbers and `*`."""
    out: list[str] = []
    at = used = 0
    for found in _VERB.finditer(text):
        out.append(text[at : found.start()])
        at = found.end()
        flags, width, precision, verb = found.groups()
        if verb is None:
            out.append("%!(NOVERB)")
        elif verb == "%":
            out.append("%")
        elif used >= len(values):
            out.append(f"%!{verb}(MISSING)")
        else:
            out.append(_verb(flags, width, precision, verb, values[used]))
            used += 1
    out.append(text[at:])
    if used < len(values):
        extra = ", ".join(f"{go_type(v)}={shown(v)}" if v is not None else "<nil>" for v in values[used:])  # fmt: skip
        out.append(f"%!(EXTRA {extra})")
    return "".join(out)


def _verb(flags: str, width: str, precision: str | None, verb: str, value: Data) -> str:
    if int(width or 0) > _WIDTH_MAX or int(precision or 0) > _WIDTH_MAX:
        return f"%!{verb}(BADWIDTH)"
    if verb == "T":
        return _padded(go_type(value), flags, width)
    if verb == "v":
        if isinstance(value, float) and precision is not None:
            return f"%{flags}{width}.{precision}g" % value
        cut = shown(value)
        if isinstance(value, str) and precision is not None:
            cut = cut[: int(precision or 0)]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return f"%{flags}{width}d" % value if is_number and isinstance(value, int) else _padded(cut, flags, width)  # fmt: skip
    match value:
        case bool() if verb == "t":
            return _padded(shown(value), flags, width)
        case bool():
            pass
        case int() if verb in "dxXo":
            return f"%{flags}{width}{_dotted(precision)}{verb}" % value
        case int() if verb == "b":
            return _padded(f"{value:b}", flags, width)
        case int() if verb == "c":
            return _padded(chr(value) if 0 <= value < 0x110000 else "\ufffd", flags, width)
        case float() if verb in "feEgGF":
            return f"%{flags}{width}{_dotted(precision)}{verb}" % value
        case str() if verb == "s":
            cut = value if precision is None else value[: int(precision or 0)]
            return _padded(str(cut), flags, width)
        case str() if verb == "q":
            return _padded(quoted(value), flags, width)
        case str() if verb in "xX":
            digits = to_bytes(value).hex()
            return _padded(digits.upper() if verb == "X" else digits, flags, width)
        case list():
            return "[" + " ".join(_verb(flags, width, precision, verb, v) for v in value) + "]"
        case dict():
            pairs = (
                f"{_verb(flags, width, precision, verb, k)}:{_verb(flags, width, precision, verb, value[k])}"
                for k in sorted(value)
            )
            return "map[" + " ".join(pairs) + "]"
    if value is None:
        return f"%!{verb}(<nil>)"
    inner = _verb(flags, width, precision, "v", value)
    return f"%!{verb}({go_type(value)}={inner})"


def _dotted(precision: str | None) -> str:
    return "" if precision is None else f".{precision or 0}"


def _padded(text: str, flags: str, width: str) -> str:
    size = int(width or 0)
    if "-" in flags:
        return text.ljust(size)
    return text.rjust(size, "0" if "0" in flags else " ")


def quoted(text: str) -> str:
    """The text as Go's `%q` shows it."""
    named = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}  # fmt: skip
    out = ['"']
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in named:
            out.append(named[char])
        elif char.isprintable():
            out.append(char)
        elif SURROGATES.match(char):
            out.append(f"\\x{to_bytes(char).hex()}")
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return "".join(out) + '"'
