"""strings.render_template: the part of Go's text/template that shows values.

`{{.a.b}}`, `{{.}}`, `{{$}}`, `{{"text"}}`, `{{if}}`, `{{with}}`, `{{range}}` with `{{else}}`, comments and trimming by
`{{-` and `-}}`. Functions, variables and pipelines are refused with a clear error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from cupcake.engine.builtins.host.documents import number_text
from cupcake.engine.builtins.host.operands import failed, mapping, string
from cupcake.engine.builtins.values import BuiltinError, RegoObject, RegoSet, Value, pairs

_NAME = "strings.render_template"
_ACTION = re.compile(r"\{\{(- )?\s*(.*?)\s*( -)?\}\}", re.DOTALL)
_FIELDS = re.compile(r"(\$?)((?:\.[A-Za-z_][A-Za-z0-9_]*)+|\.?)")
_OUTPUT_MAX = 1 << 22
_DEPTH_MAX = 64


@dataclass(frozen=True, slots=True)
class _Show:
    operand: str


@dataclass(slots=True)
class _Block:
    word: str
    operand: str
    body: list[_Node] = field(default_factory=list)
    otherwise: list[_Node] = field(default_factory=list)
    has_else: bool = False


_Node: TypeAlias = "str | _Show | _Block"


def _error(message: str) -> BuiltinError:
    return failed(_NAME, f"template: {message}")


def _parse(text: str) -> list[_Node]:
    root = _Block("", "")
    open_blocks = [root]
    target = root.body
    at = 0
    trim = False
    for action in _ACTION.finditer(text):
        literal = text[at : action.start()]
        literal = literal.lstrip(" \t\r\n") if trim else literal
        literal = literal.rstrip(" \t\r\n") if action.group(1) else literal
        trim = bool(action.group(3))
        at = action.end()
        if literal:
            target.append(literal)
        word, _, operand = action.group(2).partition(" ")
        operand = operand.strip()
        if action.group(2).startswith("/*"):
            continue
        if word in ("if", "range", "with"):
            if len(open_blocks) > _DEPTH_MAX:
                raise _error("blocks are nested too deeply")
            block = _Block(word, operand)
            target.append(block)
            open_blocks.append(block)
            target = block.body
        elif word == "else" and not operand and len(open_blocks) > 1:
            open_blocks[-1].has_else = True
            target = open_blocks[-1].otherwise
        elif word == "end" and not operand and len(open_blocks) > 1:
            open_blocks.pop()
            parent = open_blocks[-1]
            target = parent.otherwise if parent.has_else else parent.body
        else:
            target.append(_Show(action.group(2)))
    if len(open_blocks) > 1:
        raise _error("unexpected EOF")
    rest = text[at:].lstrip(" \t\r\n") if trim else text[at:]
    if "{{" in rest:
        raise _error("unclosed action")
    target.append(rest)
    return root.body


class _Renderer:
    __slots__ = ("out", "root", "size")

    def __init__(self, root: Value) -> None:
        self.root = root
        self.out: list[str] = []
        self.size = 0

    def write(self, text: str) -> None:
        self.size += len(text)
        if self.size > _OUTPUT_MAX:
            raise _error("output is too long")
        self.out.append(text)

    def operand(self, text: str, dot: Value) -> tuple[bool, Value]:
        """(found, value)."""
        if text.startswith('"'):
            try:
                return True, str(json.loads(text))
            except ValueError:
                raise _error(f"bad string {text}") from None
        if re.fullmatch(r"-?[0-9]+", text):
            return True, int(text)
        if text in ("true", "false"):
            return True, text == "true"
        path = _FIELDS.fullmatch(text)
        if path is None or not text:
            raise _error(f"function or pipeline {text!r} is not supported")
        value = self.root if path.group(1) else dot
        for name in path.group(2).split("."):
            if not name:
                continue
            if not isinstance(value, dict | RegoObject):
                raise _error(f"can't evaluate field {name}")
            found = [item for key, item in pairs(value) if key == name]
            if not found:
                return False, None
            value = found[0]
        return True, value

    def run(self, nodes: list[_Node], dot: Value) -> None:
        for node in nodes:
            match node:
                case str():
                    self.write(node)
                case _Show(operand):
                    found, value = self.operand(operand, dot)
                    self.write(_shown(value) if found else "<undefined>")
                case _Block():
                    self.block(node, dot)

    def block(self, block: _Block, dot: Value) -> None:
        found, value = self.operand(block.operand, dot)
        if block.word == "range" and found and value:
            match value:
                case list() | RegoSet():
                    for item in value:
                        self.run(block.body, item)
                    return
                case dict() | RegoObject():
                    for _, item in pairs(value):
                        self.run(block.body, item)
                    return
            raise _error("range can't iterate over the value")
        if found and _truth(value):
            self.run(block.body, value if block.word == "with" else dot)
        else:
            self.run(block.otherwise, dot)


def _truth(value: Value) -> bool:
    if isinstance(value, RegoSet | RegoObject):
        return len(value) > 0
    return bool(value)


def _shown(value: Value) -> str:
    """As Go's fmt prints the JSON form of the value."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case list() | RegoSet():
            return "[" + " ".join(_inner(item) for item in value) + "]"
        case dict() | RegoObject():
            return "map[" + " ".join(f"{_inner(k)}:{_inner(v)}" for k, v in pairs(value)) + "]"
    return number_text(value)


def _inner(value: Value) -> str:
    return "<nil>" if value is None else _shown(value)


def _render(template: Value, variables: Value) -> Value:
    text = string(_NAME, 1, template)
    renderer = _Renderer(mapping(_NAME, 2, variables))
    renderer.run(_parse(text), renderer.root)
    return "".join(renderer.out)


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = ((_NAME, _render),)
