"""Rego values as YAML text in the form of Go's yaml.v3 with an indentation of two: style of texts, numbers, order of keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cmp_to_key
from itertools import pairwise
from typing import Any

import yaml

from cupcake.engine.builtins.host.documents import one_line
from cupcake.engine.builtins.host.operands import failed
from cupcake.engine.builtins.texts import readable
from cupcake.engine.builtins.values import RegoObject, RegoSet, Value, pairs

_BASE60 = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?", re.ASCII)
_CONTROL = re.compile("[\x7f-\x84\x86-\x9f\ufffe\uffff]")
_OLD_TRUTHS = frozenset(
    [
        "y",
        "Y",
        "yes",
        "Yes",
        "YES",
        "on",
        "On",
        "ON",
        "n",
        "N",
        "no",
        "No",
        "NO",
        "off",
        "Off",
        "OFF",
    ]
)
_UINT64, _INT64 = (1 << 64) - 1, 1 << 63
_KEY_MAX = 128


def yaml_text(name: str, value: Value, scalar: Callable[[str], object]) -> str:
    """`scalar` tells what a plain text would be read as."""

    class Dumper(_Dumper):
        def text(self, text: str) -> yaml.Node:
            if _CONTROL.search(text):
                raise failed(name, "yaml: control characters are not allowed")
            style = None
            if "\n" in text:
                style = "|"
            elif not isinstance(scalar(text), str) or _is_odd(text):
                style = '"'
            return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, Dumper.text)
    try:
        shown = yaml.dump(
            _plain(value),
            Dumper=Dumper,
            default_flow_style=False,
            allow_unicode=True,
            sort_keys=False,
            width=1 << 20,
        )
    except _TwiceError as error:
        line = f'line 1: mapping key "{error}" already defined at line 1'
        raise failed(name, f"yaml: unmarshal errors:\n  {line}") from None
    except RecursionError:
        raise failed(name, "yaml: value is nested too deeply") from None
    return str(shown).removesuffix("...\n")  # an open scalar, for this writer


def _is_odd(text: str) -> bool:
    """What other readers might take for no text, or Go escapes."""
    return (
        text in _OLD_TRUTHS
        or text == "<<"
        or _BASE60.fullmatch(text) is not None
        or _DATE.fullmatch(text) is not None
        or any(char > "\uffff" or char == "\ufeff" for char in text)
    )


class _TwiceError(ValueError):
    """Two keys of an object are the same text."""


class _Number(str):
    """A number as it is to be written."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def check_simple_key(self) -> bool:
        event: Any = self.event
        if isinstance(event, yaml.ScalarEvent) and event.value == "":
            return True
        return bool(super().check_simple_key())

    def number(self, text: _Number) -> yaml.Node:
        kind = "int" if re.fullmatch("-?[0-9]+", text) else "float"
        return yaml.ScalarNode(f"tag:yaml.org,2002:{kind}", str(text))

    def serialize_node(self, node: Any, parent: Any, index: Any) -> None:
        # Numbers are written as they are, whatever this writer's resolver thinks of them.
        if isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float")):
            self.emit(yaml.ScalarEvent(None, node.tag, (True, False), node.value))
            return
        super().serialize_node(node, parent, index)


_Dumper.add_representer(_Number, _Dumper.number)


def _plain(value: Value) -> object:
    """Sets as lists, keys as texts in their order, numbers as Go shows them."""
    match value:
        case str():
            return readable(value)
        case bool() | None:
            return value
        case int() | Decimal():
            return _Number(_number(value))
        case list() | RegoSet():
            return [_plain(item) for item in value]
        case dict() | RegoObject():
            named = [
                (readable(k if isinstance(k, str) else one_line(k)), v) for k, v in pairs(value)
            ]
            named.sort(key=lambda pair: _ORDER(pair[0]))
            for (key, _), (following, _) in pairwise(named):
                if key == following:  # they differ in bytes that are not UTF-8
                    raise _TwiceError(key)
            return {key: _plain(item) for key, item in named}
    return value


def _number(value: int | Decimal) -> str:
    if isinstance(value, Decimal) and not re.search("[.E]", str(value)):
        value = int(value)
    if isinstance(value, int) and -_INT64 <= value <= _UINT64:
        return str(value)
    return _go_float(float(value))


def _go_float(number: float) -> str:
    """As strconv.FormatFloat(number, 'g', -1, 64)."""
    if number in (float("inf"), float("-inf")):
        return ".inf" if number > 0 else "-.inf"
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    first = len(text) + exponent - 1  # the power of ten of the first digit
    minus = "-" if sign else ""
    if number == 0:
        return minus + "0"
    if first < -4 or first >= 6:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{fraction}e{'-' if first < 0 else '+'}{abs(first):02d}"
    return minus + format(Decimal(repr(abs(number))).normalize(), "f")


def _compare(a: str, b: str) -> int:
    """Digits within texts by their number, letters behind everything else."""
    digits = False
    for at, (x, y) in enumerate(zip(a, b, strict=False)):
        if x == y:
            digits = x.isdigit()
            continue
        if x.isalpha() and y.isalpha():
            return -1 if x < y else 1
        if x.isalpha() or y.isalpha():
            less = x.isalpha() if digits else y.isalpha()
            return -1 if less else 1
        return _compare_numbers(a, b, at)
    return (len(a) > len(b)) - (len(a) < len(b))


def _compare_numbers(a: str, b: str, at: int) -> int:
    lead = ""
    if a[at] == "0" or b[at] == "0":
        before = re.search(r"[0-9]*\Z", a[:at])
        if before and before.group().strip("0"):
            lead = "1"
    x, y = (re.match("[0-9]*", text[at:]) for text in (a, b))
    assert x and y
    m, n = int(lead + x.group() or "0"), int(lead + y.group() or "0")
    if m != n:
        return -1 if m < n else 1
    if len(x.group()) != len(y.group()):
        return -1 if len(x.group()) < len(y.group()) else 1
    return -1 if a[at] < b[at] else 1


_ORDER = cmp_to_key(_compare)
