"""Runs parsed templates as Go's text/template does over decoded JSON: numbers of the data are json.Number there, a kind of text.

Output and steps are bounded.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import quote_plus

from cupcake.engine.builtins.host.go_format import (
    MISSING,
    Data,
    JsonNumber,
    go_format,
    go_print,
    go_type,
    shown,
)
from cupcake.engine.builtins.host.template_parser import (
    Argument,
    Branch,
    Call,
    Fields,
    Function,
    Leave,
    Literal,
    Nil,
    Node,
    Pipe,
    Show,
    TemplateError,
    Variable,
)
from cupcake.engine.builtins.texts import SURROGATES, from_bytes, to_bytes

OUTPUT_MAX = 1 << 22
STEPS_MAX = 1_000_000
CALLS_MAX = 200

_Scope: TypeAlias = list[tuple[str, Data]]


class _LeftError(Exception):
    """A `break` (True) or `continue`."""


def fail(message: str) -> TemplateError:
    return TemplateError(f'template: template: executing "template": {message}')


def run(templates: dict[str, tuple[Node, ...]], data: Data) -> str:
    """The text; TemplateError."""
    runner = _Runner(templates)
    runner.nodes(templates[""], data, [("$", data)], 0)
    return "".join(runner.out)


class _Runner:
    __slots__ = ("_size", "_steps", "_templates", "out")

    def __init__(self, templates: dict[str, tuple[Node, ...]]) -> None:
        self._templates = templates
        self.out: list[str] = []
        self._size = self._steps = 0

    def write(self, text: str) -> None:
        self._size += len(text)
        if self._size > OUTPUT_MAX:
            raise fail("output is too long")
        self.out.append(text)

    def nodes(self, nodes: Sequence[Node], dot: Data, scope: _Scope, depth: int) -> None:
        for node in nodes:
            self._steps += 1
            if self._steps > STEPS_MAX:
                raise fail("too many steps")
            match node:
                case str():
                    self.write(node)
                case Show(pipe):
                    value = self.pipe(pipe, dot, scope)
                    if not pipe.names:
                        self.write("<no value>" if value is None else shown(value))
                case Branch():
                    known = len(scope)
                    self.branch(node, dot, scope, depth)
                    del scope[known:]
                case Call(name, argument):
                    self.call(name, argument, dot, scope, depth)
                case Leave(word):
                    raise _LeftError(word == "break")

    def call(self, name: str, argument: Pipe | None, dot: Data, scope: _Scope, depth: int) -> None:
        if name not in self._templates or not name:
            raise fail(f'template "{name}" not defined')
        if depth >= CALLS_MAX:
            raise fail(f"exceeded maximum template depth ({CALLS_MAX})")
        inner = None if argument is None else self.pipe(argument, dot, scope)
        self.nodes(self._templates[name], inner, [("$", inner)], depth + 1)

    def branch(self, node: Branch, dot: Data, scope: _Scope, depth: int) -> None:
        if node.word == "range":
            self.range(node, dot, scope, depth)
            return
        value = self.pipe(node.pipe, dot, scope)
        if truth(value):
            self.nodes(node.body, value if node.word == "with" else dot, scope, depth)
        else:
            self.nodes(node.otherwise, dot, scope, depth)

    def range(self, node: Branch, dot: Data, scope: _Scope, depth: int) -> None:
        names = node.pipe.names
        value = self.pipe(Pipe(node.pipe.commands), dot, scope)
        items: list[tuple[Data, Data]]
        match value:
            case list():
                items = list(enumerate(value))
            case dict():
                items = [(key, value[key]) for key in sorted(value)]
            case int() if not isinstance(value, bool):
                if value > STEPS_MAX:
                    raise fail("too many steps")
                items = [(i, i) for i in range(value)]
            case None:
                items = []
            case _ if value is MISSING:
                items = []
            case _:
                raise fail(f"range can't iterate over {shown(value)}")
        known = len(scope)
        for key, item in items:
            given = (item,) if len(names) == 1 else (key, item)
            if node.pipe.assigns:
                for name, one in zip(names, given, strict=False):
                    self.assign(name, one, scope)
            else:
                scope += zip(names, given, strict=False)
            try:
                self.nodes(node.body, item, scope, depth)
            except _LeftError as left:
                if left.args[0]:
                    break
            finally:
                del scope[known:]
        if not items:
            self.nodes(node.otherwise, dot, scope, depth)

    @staticmethod
    def assign(name: str, value: Data, scope: _Scope) -> None:
        for at in range(len(scope) - 1, -1, -1):
            if scope[at][0] == name:
                scope[at] = (name, value)
                return

    def pipe(self, pipe: Pipe, dot: Data, scope: _Scope) -> Data:
        value: Data = MISSING
        for number, command in enumerate(pipe.commands):
            final = (value,) if number else ()
            value = self.command(command, final, dot, scope)
        for name in pipe.names:
            if pipe.assigns:
                self.assign(name, value, scope)
            else:
                scope.append((name, value))
        return value

    def command(
        self, command: tuple[Argument, ...], final: tuple[Data, ...], dot: Data, scope: _Scope
    ) -> Data:
        first = command[0]
        if isinstance(first, Function):
            return self.function(first.name, command[1:], final, dot, scope)
        if isinstance(first, Nil):
            raise fail("nil is not a command")
        if len(command) > 1 or final:
            raise fail("can't give argument to non-function")
        return self.value(first, dot, scope)

    def value(self, argument: Argument, dot: Data, scope: _Scope) -> Data:
        match argument:
            case Literal(value):
                return value
            case Nil():
                return None
            case Variable(name):
                return next(value for known, value in reversed(scope) if known == name)
            case Pipe():
                return self.pipe(argument, dot, scope)
            case Function(name):
                return self.function(name, (), (), dot, scope)
            case Fields(of, names):
                found = dot if of is None else self.value(of, dot, scope)
                for name in names:
                    found = field(found, name)
                return found

    def function(
        self,
        name: str,
        arguments: tuple[Argument, ...],
        final: tuple[Data, ...],
        dot: Data,
        scope: _Scope,
    ) -> Data:
        if name in ("and", "or"):  # stop at the first that settles it
            if not arguments and not final:
                raise fail(f"wrong number of args for {name}: want at least 1 got 0")
            value: Data = MISSING
            for argument in arguments:
                value = self.value(argument, dot, scope)
                if truth(value) is (name == "or"):
                    return value
            return final[0] if final else value
        values = [self.value(argument, dot, scope) for argument in arguments] + list(final)
        if name in ("html", "js", "urlquery"):  # for these, nothing is "no value"
            return call(name, [MISSING if v is None else v for v in values])
        return call(name, [None if v is MISSING else v for v in values])


def field(value: Data, name: str) -> Data:
    if value is MISSING or value is None:
        if value is None:
            raise fail(f"nil data; no entry for key {json.dumps(name)}")
        return MISSING
    if isinstance(value, dict):
        return value.get(name, MISSING)
    raise fail(f"can't evaluate field {name} in type interface {{}}")


def truth(value: Data) -> bool:
    return value is not MISSING and bool(value)


# ---- functions ----

_AT_LEAST = {"eq": 1, "index": 1, "slice": 1, "printf": 1, "call": 1}
_EXACT = {"not": 1, "len": 1, "ne": 2, "lt": 2, "le": 2, "gt": 2, "ge": 2}


def call(name: str, values: list[Data]) -> Data:
    if name in _EXACT and len(values) != _EXACT[name]:
        raise fail(f"wrong number of args for {name}: want {_EXACT[name]} got {len(values)}")
    if len(values) < _AT_LEAST.get(name, 0):
        message = f"wrong number of args for {name}: want at least {_AT_LEAST[name]} got 0"
        raise fail(message)
    return _FUNCTIONS[name](values)


def _kind(value: Data) -> str:
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
    raise fail(f"non-comparable type {shown(value)}: {go_type(value)}")


def _equal(first: Data, second: Data) -> bool:
    if first is None or second is None:
        return first is None and second is None
    if _kind(first) != _kind(second):
        types = f"{go_type(first)} and {go_type(second)}"
        raise fail(f"error calling eq: incompatible types for comparison: {types}")
    return bool(first == second)


def _less(first: Data, second: Data) -> bool:
    if not isinstance(first, int | float | str) or isinstance(first, bool):
        raise fail("error calling lt: invalid type for comparison")
    if second is None or _kind(first) != _kind(second):
        types = f"{go_type(first)} and {go_type(second)}"
        raise fail(f"error calling lt: incompatible types for comparison: {types}")
    if isinstance(first, str):
        return to_bytes(first) < to_bytes(str(second))
    assert isinstance(second, int | float)
    return first < second


def _eq(values: list[Data]) -> Data:
    if len(values) < 2:
        raise fail("error calling eq: missing argument for comparison")
    return any(_equal(values[0], other) for other in values[1:])


def _len(values: list[Data]) -> Data:
    value = values[0]
    if isinstance(value, str):
        return len(to_bytes(value))
    if isinstance(value, list | dict):
        return len(value)
    what = "nil pointer" if value is None else f"type {go_type(value)}"
    raise fail(f"error calling len: len of {what}")


def _place(value: Data) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise fail(f"error calling index: cannot index slice/array with type {go_type(value)}")
    return value


def _index(values: list[Data]) -> Data:
    found = values[0]
    for key in values[1:]:
        match found:
            case dict():
                if not isinstance(key, str):
                    raise fail(
                        f"error calling index: value has type {go_type(key)}; should be string"
                    )
                found = found.get(key, MISSING)
            case list() | str():
                whole = to_bytes(found) if isinstance(found, str) else found
                at = _place(key)
                if not 0 <= at < len(whole):
                    raise fail(f"error calling index: index out of range: {at}")
                found = whole[at]
            case _:
                what = "nil pointer" if found is None or found is MISSING else go_type(found)
                raise fail(f"error calling index: can't index item of type {what}")
    return found


def _slice(values: list[Data]) -> Data:
    item, places = values[0], [_place(v) for v in values[1:]]
    if not isinstance(item, str | list) or len(places) > (2 if isinstance(item, str) else 3):
        raise fail(f"error calling slice: cannot slice {go_type(item)} so")
    whole = to_bytes(item) if isinstance(item, str) else item
    low, high, *_ = (*places, len(whole), len(whole)) if places else (0, len(whole))
    if len(places) > 1:
        high = places[1]
    if not 0 <= low <= high <= len(whole):
        raise fail("error calling slice: index out of range")
    part = whole[low:high]
    return from_bytes(part) if isinstance(part, bytes) else part


_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}  # fmt: skip


def _escape_js(text: str) -> str:
    return "".join(
        _JS.get(c)
        or (
            f"\\u{ord(c):04X}"
            if not c.isprintable() and ord(c) < 1 << 16 and not SURROGATES.match(c)
            else c
        )
        for c in text
    )


def _escape_html(text: str) -> str:
    return html.escape(text, quote=True).replace("&quot;", "&#34;").replace("&#x27;", "&#39;").replace("\0", "\ufffd")  # fmt: skip


def _joined(values: list[Data]) -> str:
    return values[0] if len(values) == 1 and isinstance(values[0], str) else go_print(values)


def _call(values: list[Data]) -> Data:
    raise fail(f"error calling call: non-function of type {go_type(values[0])}")


def _printf(values: list[Data]) -> Data:
    if not isinstance(values[0], str) or isinstance(values[0], JsonNumber):
        raise fail("wrong type for value; expected string")
    return go_format(values[0], values[1:])


_FUNCTIONS: dict[str, Callable[[list[Data]], Data]] = {
    "call": _call,
    "eq": _eq,
    "ge": lambda v: not _less(v[0], v[1]),
    "gt": lambda v: not (_less(v[0], v[1]) or _equal(v[0], v[1])),
    "html": lambda v: _escape_html(_joined(v)),
    "index": _index,
    "js": lambda v: _escape_js(_joined(v)),
    "le": lambda v: _less(v[0], v[1]) or _equal(v[0], v[1]),
    "len": _len,
    "lt": lambda v: _less(v[0], v[1]),
    "ne": lambda v: not _equal(v[0], v[1]),
    "not": lambda v: not truth(v[0]),
    "print": go_print,
    "printf": _printf,
    "println": lambda v: " ".join(shown(x) for x in v) + "\n",
    "slice": _slice,
    "urlquery": lambda v: re.sub(r"%7E", "~", quote_plus(to_bytes(_joined(v)), safe="")),
}
