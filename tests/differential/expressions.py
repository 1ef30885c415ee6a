"""Random expressions. Kinds are kept apart loosely: `any` reads documents, whose members have any type, so that wrong
types reach every builtin. Most literals are put into the input (`loose`), where no type checker sees them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from builtin_calls import CALLS, FORMATS, GLOBS, PATTERNS
from vocabulary import KEYS, KINDS, NUMBERS, ROOTS, STEPS, STRINGS, text_of

T = TypeVar("T")


@dataclass(slots=True)
class Scope:
    """Variables bound so far in a body, by kind; `made` counts the names of the whole rule."""

    variables: dict[str, str]
    made: list[int] = field(default_factory=lambda: [0])

    def inner(self) -> Scope:
        return Scope(dict(self.variables), self.made)

    def fresh(self, kind: str) -> str:
        name = self.name()
        self.variables[name] = kind
        return name

    def name(self) -> str:
        self.made[0] += 1
        return f"v{self.made[0]}"


@dataclass(frozen=True, slots=True)
class Known:
    """A rule made before: how to refer to it, its kind, and its arity when it is a function."""

    reference: str
    kind: str
    arity: int = -1


class Expressions:
    """Makes expressions. Every choice comes from `random`; `hidden` are the literals that went into the input."""

    def __init__(self, choose: random.Random, *, loose: float, templates: bool) -> None:
        self.random = choose
        self.loose = loose
        self.templates = templates
        self.known: list[Known] = []
        self.hidden: list[Any] = []

    def body(self, scope: Scope, count: int, depth: int, separator: str = "; ") -> str:
        """Statements; made by the layer above."""
        raise NotImplementedError

    def one(self, of: Sequence[T]) -> T:
        return self.random.choice(of)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def below(self, limit: int) -> int:
        return self.random.randrange(limit)

    # -- expressions

    def expression(self, kind: str, scope: Scope, depth: int = 2) -> str:
        """An expression that is meant to be of the kind."""
        if self.chance(0.005):
            kind = self.one(KINDS)
        same = [v for v, k in scope.variables.items() if k in (kind, "any")]
        if same and self.chance(0.35):
            return self.one(same)
        rules = [r for r in self.known if r.arity < 0 and (kind in (r.kind, "any"))]
        if rules and self.chance(0.15):
            return self.one(rules).reference
        functions = [r for r in self.known if r.arity >= 0 and (kind in (r.kind, "any"))]
        if functions and depth and self.chance(0.15):
            return self.function_call(self.one(functions), scope, depth)
        if self.chance(0.12):
            return self.unknown(scope)
        if kind == "any":
            if self.chance(0.6):
                return self.unknown(scope)
            return self.expression(self.one(KINDS[:6]), scope, depth)
        if depth and self.chance(0.4):
            return self.builtin_call(kind, scope, depth)
        return self.literal(kind, scope, depth)

    def function_call(self, rule: Known, scope: Scope, depth: int) -> str:
        given = ", ".join(self.untyped(scope, depth - 1) for _ in range(rule.arity))
        return f"{rule.reference}({given})"

    def untyped(self, scope: Scope, depth: int = 1) -> str:
        """An expression of which the type checker knows nothing, mostly."""
        return self.expression("any", scope, depth) if self.chance(0.1) else self.opaque(scope)

    def opaque(self, scope: Scope) -> str:
        """A variable of any type, a literal in the input, or a reference."""
        free = [v for v, k in scope.variables.items() if k == "any"]
        if free and self.chance(0.5):
            return self.one(free)
        return self.hide(self.plain_value(1)) if self.chance(0.5) else self.unknown(scope)

    def hide(self, value: Any) -> str:
        """A reference to a value that the input is going to hold."""
        if value not in self.hidden or isinstance(value, bool | int):
            self.hidden.append(value)
            return f"input.l[{len(self.hidden) - 1}]"
        return f"input.l[{self.hidden.index(value)}]"

    def plain_value(self, depth: int) -> Any:
        match self.below(6 if depth else 4):
            case 0 | 1:
                return self.one((0, 1, 2, 3, 1.5, -1))
            case 2 | 3:
                return self.one(("a", "b", "k", "abc", "", True, False, None))
            case 4:
                return [self.plain_value(depth - 1) for _ in range(self.below(4))]
            case _:
                return {k: self.plain_value(depth - 1) for k in self.random.sample(KEYS[:4], 2)}

    def unknown(self, scope: Scope) -> str:
        """A reference into input or data."""
        root = self.one(ROOTS)
        while self.chance(0.25):
            names = list(scope.variables)
            root += self.one((*STEPS, *([f"[{self.one(names)}]"] if names else [])))
        return root

    def builtin_call(self, kind: str, scope: Scope, depth: int) -> str:
        name, operands = self.one(CALLS[kind])
        given = [self.operand(o, scope, depth - 1) for o in operands]
        if name in ("==", "!="):
            given[self.below(2)] = self.opaque(scope)
        if not name[0].isalpha():
            return f"({given[0]} {name} {given[1]})"
        if name == "in":
            return f"(({given[0]}) in {given[1]})"
        return f"{name}({', '.join(given)})"

    def operand(self, kind: str, scope: Scope, depth: int) -> str:
        fixed = _OPERANDS.get(kind)
        if fixed is not None:
            return self.one(fixed)
        match kind:
            case "pattern" if self.chance(0.9):
                return f"`{self.one(PATTERNS)}`"
            case "pattern":
                return self.expression("str", scope, depth)
            case "glob":
                return json.dumps(self.one(GLOBS))
            case "format":
                return text_of(self.one(FORMATS))
            case "words" | "numbers" if self.chance(0.8):
                return self.one(_LISTS[kind])
            case "words" | "numbers":
                return self.opaque(scope)
            case "sets":
                members = (self.expression("set", scope, 0) for _ in range(1 + self.below(3)))
                return "{" + ", ".join(members) + "}"
            case "coll":
                return self.expression(self.one(("arr", "set", "obj")), scope, depth)
            case "list":
                return self.expression(self.one(("arr", "set")), scope, depth)
        return self.expression(kind, scope, depth)

    # -- literals

    def literal(self, kind: str, scope: Scope, depth: int) -> str:
        size = self.below(4)
        less = depth - 1 if depth else 0
        if kind in ("num", "str", "bool"):
            if kind == "str" and self.templates and depth and self.chance(0.15):
                return self.template(scope, depth)
            return self.scalar(kind)
        if self.chance(0.25 if depth else 0):
            return self.comprehension(kind, scope)
        element: Callable[[], str] = (
            (lambda: self.expression(self.one(KINDS), scope, less)) if depth else self.scalar
        )
        match kind:
            case "arr":
                return "[" + ", ".join(element() for _ in range(size)) + "]"
            case "set":
                return "{" + ", ".join(element() for _ in range(size)) + "}" if size else "set()"
            case _:
                keys = self.random.sample(KEYS, size)
                return "{" + ", ".join(f"{text_of(k)}: {element()}" for k in keys) + "}"

    def scalar(self, kind: str | None = None) -> str:
        match kind or self.one(("num", "str", "bool", "null")):
            case "num":
                text = self.one(NUMBERS)
                return self.hide(json.loads(text)) if self.chance(self.loose) else text
            case "str":
                value = self.one(STRINGS)
                return self.hide(value) if self.chance(self.loose) else text_of(value)
            case "bool":
                return self.one(("true", "false"))
        return "null"

    def fixed(self) -> str:
        """A scalar in the text itself, as default values and patterns want it."""
        match self.below(4):
            case 0 | 1:
                return self.one(NUMBERS[:12])
            case 2:
                return text_of(self.one(STRINGS[:6]))
        return self.one(("true", "false", "null"))

    def comprehension(self, kind: str, scope: Scope) -> str:
        inner = scope.inner()
        body = self.body(inner, 1 + self.below(2), 1)
        value = self.expression("any", inner, 1)
        match kind:
            case "arr":
                return f"[{value} | {body}]"
            case "set":
                return f"{{{value} | {body}}}"
            case _:
                return f"{{{self.expression('str', inner, 1)}: {value} | {body}}}"

    def template(self, scope: Scope, depth: int) -> str:
        parts = []
        for _ in range(1 + self.below(3)):
            parts.append(self.one(("", "a ", "é", "\\{", "x=", "%d ", "\\n")))
            if self.chance(0.8):
                parts.append("{" + self.expression("any", scope, depth - 1) + "}")
        return '$"' + "".join(parts) + '"'


_LISTS = {
    "words": ("input.w", '["a", "b"]', '{"b", "a"}', '["abc"]'),
    "numbers": ("input.a", "[1, 2, 3]", "{0.1, 0.2, 3}", "[]", "input.m[0]"),
}
_OPERANDS: dict[str, tuple[str, ...]] = {
    "delimiters": ("[]", "null", '["."]', '["/"]', '["/", "."]', '[","]'),
    "small": ("0", "1", "2", "3", "-1", "5", "2.0", "input.b", "1.5", "input.u[0].age"),
    "base": ("2", "8", "10", "16", "3", "input.n"),
    "paths": ('["a"]', '["a/b", "k"]', '{["a", "b"]}', '["0"]', "[]", "input.w", '["o/a"]'),
    "keys": ('["a"]', '{"a", "k"}', '{"a": 1}', "input.w", "input.o"),
    "strmap": ('{"a": "1", "b": "a"}', "{}", '{"": "x"}', "input.o", '{"ab": "x", "a": "y"}'),
    "objects": ('[{"a": 1}, {"a": {"b": 2}}]', "input.u", "[input.o, data.d.o]", "[]"),
    "graph": ('{"a": ["b"], "b": ["a", "c"]}', '{"a": {"b"}, "b": [], "c": ["z"]}', "input.o"),
}
