"""Random well-formed Rego v1 programs with a base document and an input, by seed. Pure: no engine, no OPA.

Most programs compile; a few do not (types, safety), which is compared too. Kinds of expressions are kept apart
loosely: `any` reads the input, whose members have any type, so that wrong types reach every builtin.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from builtin_calls import CALLS, FORMATS, GLOBS, PATTERNS
from comparison import Module, Program
from reference import MISSING

NUMBERS = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "10",
        "7",
        "1.0",
        "1.5",
        "-0.5",
        "0.1",
        "0.2",
        "2.50",
        "1e3",
        "1e-7",
    ),
    *("100000000000000000000", "9007199254740993", "-9007199254740993", "3.14159265358979323846"),
    *("2147483648", "4294967296", "9223372036854775807", "-9223372036854775808", "1e21", "0.30"),
)
STRINGS = (
    *(
        "",
        "a",
        "b",
        "c",
        "abc",
        "A b",
        "é",
        "日本",
        "a,b,c",
        "1",
        "-1.5",
        "a/b",
        "x.y.z",
        " pad ",
        "a\tb",
    ),
    *(
        "😀",
        "true",
        "null",
        "[1,2]",
        "aXbXc",
        "ABC",
        "ß",
        "k",
        "foo",
        "foobar",
        '{"a": 1}',
        "a\nb",
        '"q\\',
    ),
)
KEYS = ("a", "b", "c", "k", "n", "x y", "é")
KINDS = ("num", "str", "bool", "arr", "set", "obj", "any")


@dataclass(slots=True)
class Scope:
    """Variables bound so far in a body, by kind; `made` counts the names of the whole rule."""

    variables: dict[str, str]
    made: list[int] = field(default_factory=lambda: [0])

    def inner(self) -> Scope:
        return Scope(dict(self.variables), self.made)

    def maybe(self, choose: random.Random, *fixed: str) -> str:
        """One of the fixed texts or a new variable."""
        picked = choose.choice((*fixed, ""))
        return picked or self.fresh("any")

    def fresh(self, kind: str) -> str:
        self.made[0] += 1
        name = f"v{self.made[0]}"
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


class Generator:
    """One program. Every choice comes from `random`."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.known: list[Known] = []
        self.package = ""
        self.local = ""

    # -- values ------------------------------------------------------------------------------------

    def one(self, of: Any) -> Any:
        return self.random.choice(of)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def document(self, depth: int = 2) -> Any:
        pick = self.random.randrange(10 if depth else 5)
        match pick:
            case 0 | 1:
                return json.loads(self.one(NUMBERS[:21]))
            case 2 | 3:
                return self.one(STRINGS)
            case 4:
                return self.one((True, False, None))
            case 5 | 6:
                return [self.document(depth - 1) for _ in range(self.random.randrange(4))]
            case _:
                return {
                    self.one(KEYS): self.document(depth - 1)
                    for _ in range(self.random.randrange(4))
                }

    def input_document(self) -> dict[str, Any]:
        small = self.random.randrange
        given: dict[str, Any] = {
            "n": json.loads(self.one(NUMBERS)),
            "s": self.one(STRINGS),
            "b": self.one((True, False)),
            "a": [json.loads(self.one(NUMBERS[:9])) for _ in range(small(4))],
            "w": [self.one(STRINGS) for _ in range(small(4))],
            "o": {self.one(KEYS): self.document(1) for _ in range(small(4))},
            "m": [[small(3) for _ in range(2)] for _ in range(small(4))],
            "u": [{"name": self.one(STRINGS), "age": small(5)} for _ in range(small(4))],
            "x": self.document(2),
            "z": None,
        }
        for key in list(given):
            if self.chance(0.08):
                del given[key]
        return given

    # -- expressions -------------------------------------------------------------------------------

    def expression(self, kind: str, scope: Scope, depth: int = 2) -> str:
        """An expression that is meant to be of the kind."""
        if self.chance(0.01):
            kind = self.one(KINDS)
        same = [v for v, k in scope.variables.items() if k in (kind, "any")]
        if same and self.chance(0.35):
            return str(self.one(same))
        rules = [r for r in self.known if r.arity < 0 and (kind in (r.kind, "any"))]
        if rules and self.chance(0.15):
            return self.reference_to(self.one(rules))
        functions = [r for r in self.known if r.arity >= 0 and (kind in (r.kind, "any"))]
        if functions and depth and self.chance(0.15):
            return self.function_call(self.one(functions), scope, depth)
        if self.chance(0.12):
            return self.unknown(scope)
        if kind == "any":
            return (
                self.unknown(scope)
                if self.chance(0.6)
                else self.expression(self.one(KINDS[:6]), scope, depth)
            )
        if depth and self.chance(0.4):
            return self.builtin_call(kind, scope, depth)
        return self.literal(kind, scope, depth)

    def reference_to(self, rule: Known) -> str:
        return rule.reference

    def function_call(self, rule: Known, scope: Scope, depth: int) -> str:
        given = ", ".join(self.expression("any", scope, depth - 1) for _ in range(rule.arity))
        return f"{rule.reference}({given})"

    def unknown(self, scope: Scope) -> str:
        """A reference into input or data."""
        root = self.one(
            (
                "input.n",
                "input.s",
                "input.b",
                "input.a",
                "input.w",
                "input.o",
                "input.m",
                "input.u",
                "input.x",
                "input.z",
                "data.d.a",
                "data.d.o",
                "data.d.n",
                "data.d.s",
                "input",
                "data.d",
            )
        )
        while self.chance(0.25):
            names = list(scope.variables)
            root += self.one(
                (
                    *('["k"]', ".a", ".b", "[0]", "[1]", "[_]", ".name", '["x y"]', ".n"),
                    *([f"[{self.one(names)}]"] if names else []),
                )
            )
        return str(root)

    def builtin_call(self, kind: str, scope: Scope, depth: int) -> str:
        name, operands = self.one(CALLS[kind])
        given = [self.operand(o, scope, depth - 1) for o in operands]
        if not name[0].isalpha():
            return f"({given[0]} {name} {given[1]})"
        return f"{name}({', '.join(given)})"

    def operand(self, kind: str, scope: Scope, depth: int) -> str:
        inner = self.expression
        match kind:
            case "pattern":
                return f"`{self.one(PATTERNS)}`" if self.chance(0.9) else inner("str", scope, depth)
            case "glob":
                return json.dumps(self.one(GLOBS))
            case "delimiters":
                return str(self.one(("[]", "null", '["."]', '["/"]', '["/", "."]', '[","]')))
            case "format":
                return json.dumps(self.one(FORMATS), ensure_ascii=False)
            case "words":
                return str(
                    self.one(("input.w", '["a", "b"]', '{"b", "a"}', inner("arr", scope, depth)))
                ).strip()
            case "numbers":
                return str(
                    self.one(
                        ("input.a", "[1, 2, 3]", "{0.1, 0.2, 3}", "[]", inner("arr", scope, depth))
                    )
                )
            case "small":
                return str(
                    self.one(
                        ("0", "1", "2", "3", "-1", "5", "2.0", "input.b", "1.5", "input.u[0].age")
                    )
                )
            case "base":
                return str(self.one(("2", "8", "10", "16", "3", "input.n")))
            case "paths":
                return str(
                    self.one(
                        (
                            '["a"]',
                            '["a/b", "k"]',
                            '{["a", "b"]}',
                            '["0"]',
                            "[]",
                            "input.w",
                            '["o/a"]',
                        )
                    )
                )
            case "keys":
                return str(self.one(('["a"]', '{"a", "k"}', '{"a": 1}', "input.w", "input.o")))
            case "strmap":
                return str(
                    self.one(
                        (
                            '{"a": "1", "b": "a"}',
                            "{}",
                            '{"": "x"}',
                            "input.o",
                            '{"ab": "x", "a": "y"}',
                        )
                    )
                )
            case "objects":
                return str(
                    self.one(
                        ('[{"a": 1}, {"a": {"b": 2}}]', "input.u", "[input.o, data.d.o]", "[]")
                    )
                )
            case "sets":
                return (
                    "{"
                    + ", ".join(inner("set", scope, 0) for _ in range(self.random.randrange(1, 4)))
                    + "}"
                )
            case "graph":
                return str(
                    self.one(
                        (
                            '{"a": ["b"], "b": ["a", "c"]}',
                            '{"a": {"b"}, "b": [], "c": ["z"]}',
                            "input.o",
                        )
                    )
                )
            case "coll":
                return inner(self.one(("arr", "set", "obj")), scope, depth)
            case "list":
                return inner(self.one(("arr", "set")), scope, depth)
        return inner(kind, scope, depth)

    def literal(self, kind: str, scope: Scope, depth: int) -> str:
        size = self.random.randrange(4)
        less = depth - 1 if depth else 0
        element: Callable[[], str] = (
            (lambda: self.expression(self.one(KINDS), scope, less)) if depth else self.scalar
        )
        match kind:
            case "num" | "str" | "bool":
                return self.scalar(kind)
            case "arr" if depth and self.chance(0.25):
                return self.comprehension("[", "]", scope)
            case "arr":
                return "[" + ", ".join(element() for _ in range(size)) + "]"
            case "set" if depth and self.chance(0.3):
                return self.comprehension("{", "}", scope)
            case "set":
                return "{" + ", ".join(element() for _ in range(size)) + "}" if size else "set()"
            case "obj" if depth and self.chance(0.25):
                inner = scope.inner()
                body = self.body(inner, self.random.randrange(1, 3), 1)
                key, value = self.expression("str", inner, 1), self.expression("any", inner, 1)
                return f"{{{key}: {value} | {body}}}"
            case _:
                keys = self.random.sample(KEYS, size)
                return (
                    "{"
                    + ", ".join(f"{json.dumps(k, ensure_ascii=False)}: {element()}" for k in keys)
                    + "}"
                )

    def scalar(self, kind: str | None = None) -> str:
        match kind or self.one(("num", "str", "bool", "null")):
            case "num":
                return str(self.one(NUMBERS))
            case "str":
                return json.dumps(self.one(STRINGS), ensure_ascii=False)
            case "bool":
                return str(self.one(("true", "false")))
        return "null"

    def comprehension(self, opening: str, closing: str, scope: Scope) -> str:
        inner = scope.inner()
        body = self.body(inner, self.random.randrange(1, 3), 1)
        return f"{opening}{self.expression('any', inner, 1)} | {body}{closing}"

    # -- bodies ------------------------------------------------------------------------------------

    def body(self, scope: Scope, count: int, depth: int, separator: str = "; ") -> str:
        return separator.join(self.statement(scope, depth) for _ in range(count))

    def statement(self, scope: Scope, depth: int) -> str:
        makers = [
            *(
                self.assigns,
                self.assigns,
                self.iterates,
                self.iterates,
                self.compares,
                self.compares,
            ),
            *(self.member, self.unifies, self.expression_alone, self.looks_up),
        ]
        if depth:
            makers += [
                self.negates,
                self.every,
                self.walks,
                self.with_something,
                self.with_something,
            ]
        return str(self.one(makers)(scope, depth))

    def assigns(self, scope: Scope, depth: int) -> str:
        kind = self.one(KINDS)
        value = self.expression(kind, scope, depth + 1)
        if self.chance(0.15):
            return self.destructures(scope, value, ":=")
        return f"{scope.fresh(kind)} := {value}"

    def destructures(self, scope: Scope, value: str, operator: str) -> str:
        free = operator == "="
        known = list(scope.variables) or ["1"]
        shape = self.random.randrange(5)
        if shape == 0:
            value = self.one(("input.m[_]", "[1, [2, 3]]", '["a", "b"]', "input.x"))
            return f"[{scope.fresh('any')}, {scope.fresh('any')}] {operator} {value}"
        if shape == 1:
            value = self.one(("input.u[_]", '{"age": 1, "name": "a"}', "input.o"))
            return (
                f'{{"name": {scope.fresh("any")}, "age": {scope.fresh("any")}}} {operator} {value}'
            )
        if shape == 2 and free:
            fixed = self.one(known)
            return f"[{fixed}, {scope.fresh('any')}] = {self.one((value, 'input.m[_]'))}"
        if shape == 3:
            return (
                f"[_, [{scope.fresh('any')}, _]] {operator} {self.one(('[1, [2, 3]]', 'input.m'))}"
            )
        return f"{scope.fresh('any')} {operator} {value}"

    def unifies(self, scope: Scope, depth: int) -> str:
        value = self.expression(self.one(KINDS), scope, depth)
        if self.chance(0.3):
            names = list(scope.variables)
            left = self.one(names) if names else self.scalar()
            return f"{left} = {value}"
        if self.chance(0.2):
            first = scope.name()
            text = f"[{first}, {value}] = [{self.expression('any', scope, 1)}, {scope.name()}]"
            scope.variables[first] = "any"
            return text
        return self.destructures(scope, value, "=")

    def iterates(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(("arr", "obj", "set", "any")), scope, depth)
        match self.random.randrange(4):
            case 0:
                return f"some {scope.fresh('any')} in {source}"
            case 1:
                return f"some {scope.fresh('any')}, {scope.fresh('any')} in {source}"
            case 2:
                return f"some [{scope.fresh('any')}, {scope.maybe(self.random, '1', '_')}] in {self.one((source, 'input.m'))}"
            case _:
                root = self.one(
                    ("input.a", "input.m", "input.o", "input.x", "data.d.o", "data.d.a", "input.u")
                )
                index = scope.name()
                text = f"{scope.name()} := {root}[{index}]"
                scope.variables[text.split(" ", maxsplit=1)[0]] = "any"
                scope.variables[index] = "any"
                return text

    def looks_up(self, scope: Scope, depth: int) -> str:
        partial = [r for r in self.known if r.arity < 0 and r.kind in ("set", "obj", "any")]
        source = (
            self.one(partial).reference if partial and self.chance(0.7) else self.unknown(scope)
        )
        names = list(scope.variables)
        key = self.one(names) if names and self.chance(0.4) else scope.fresh("any")
        if self.chance(0.3):
            return f"{source}[{key}]"
        if self.chance(0.4):
            return f"{source}[{key}] = {scope.fresh('any')}"
        return f"{source}[{key}] {self.one(('==', '!=', '<'))} {self.expression('any', scope, 1)}"

    def compares(self, scope: Scope, depth: int) -> str:
        kind = self.one(KINDS)
        left, right = self.expression(kind, scope, depth), self.expression(kind, scope, depth)
        if self.chance(0.4):
            return f"{left} {self.one(('==', '!='))} {self.one((self.unknown(scope), left))}"
        return f"{left} {self.one(('<', '<=', '>', '>='))} {right}"

    def member(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(("arr", "obj", "set", "any")), scope, depth)
        if self.chance(0.3):
            return f"{self.expression('any', scope, 1)}, {self.expression('any', scope, 1)} in {source}"
        return f"({self.expression('any', scope, 1)}) in {source}"

    def expression_alone(self, scope: Scope, depth: int) -> str:
        text = self.expression(self.one(("bool", "any")), scope, depth)
        return f"is_object({text})" if text[0] in "{[" else text

    def negates(self, scope: Scope, depth: int) -> str:
        return (
            f"not {self.one((self.compares, self.member, self.expression_alone))(scope.inner(), 0)}"
        )

    def every(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(("arr", "obj", "set", "any")), scope, 1)
        inner = scope.inner()
        names = ", ".join(inner.fresh("any") for _ in range(self.one((1, 2))))
        return f"every {names} in {source} {{ {self.body(inner, self.random.randrange(1, 3), 0)} }}"

    def walks(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(("any", "obj", "arr")), scope, 1)
        shape = self.random.randrange(3)
        if shape == 0:
            return f"walk({source}, [{scope.fresh('arr')}, {scope.fresh('any')}])"
        if shape == 1:
            return f"walk({source}, [{self.one(('[_]', '_', '[_, _]'))}, {scope.fresh('any')}])"
        return f"[{scope.fresh('arr')}, {scope.maybe(self.random, '1', 'null')}] = walk({source})"

    def with_something(self, scope: Scope, depth: int) -> str:
        target: str
        value = self.expression(self.one(KINDS), scope, 1)
        own = [r for r in self.known if r.reference.startswith("data.")]
        pick = self.random.randrange(6)
        if pick == 0 and own:
            rule = self.one(own)
            target = rule.reference
            if rule.arity >= 0:
                value = self.one(
                    (value, self.one(("count", "is_number", "upper")) if rule.arity == 1 else value)
                )
        elif pick == 1:
            target, value = self.one(
                (
                    ("count", value),
                    ("upper", "lower"),
                    ("is_string", "is_number"),
                    ("startswith", "endswith"),
                )
            )
        elif pick <= 3:
            target = self.one(
                ("input", "input.n", "input.a", "input.o.k", "input.x.a.b", "input.s")
            )
        else:
            target = self.one(("data.d.a", "data.d", "data.d.o.k", "data.d.new.deep", "data.d.n"))
        inner = self.one(
            (self.compares, self.member, self.looks_up, self.expression_alone, self.assigns)
        )
        before = dict(scope.variables)
        text = inner(scope, 0)
        again = f" with input.n as {self.scalar()}" if self.chance(0.2) else ""
        del before
        prefix = "not " if inner == self.compares and self.chance(0.2) else ""
        return f"{prefix}{text} with {target} as {value}{again}"

    # -- rules -------------------------------------------------------------------------------------

    def block(self, scope: Scope, least: int = 1) -> str:
        count = self.random.randrange(least, 4)
        return "{\n\t" + self.body(scope, count, 1, "\n\t") + "\n}"

    def rules(self, number: int) -> tuple[list[str], Known, bool]:
        """One rule with all its bodies; how to refer to it; whether it can be asked for."""
        name = f"r{number}"
        make = self.one(
            (
                self.complete,
                self.complete,
                self.boolean,
                self.partial_set,
                self.partial_set,
                self.partial_object,
                self.partial_object,
                self.general,
                self.function,
                self.function,
            )
        )
        texts, kind, arity = make(name)
        return [without_unused(t) for t in texts], Known(name, kind, arity), arity < 0

    def complete(self, name: str) -> tuple[list[str], str, int]:
        kind = self.one(KINDS)
        texts = []
        if self.chance(0.4):
            texts.append(f"default {name} := {self.scalar()}")
        if self.chance(0.25):
            return [f"{name} := {self.expression(kind, Scope({}), 3)}"], kind, -1
        for _ in range(self.one((1, 1, 2))):
            texts.append(self.chain(f"{name} := {{}} if", kind, Scope({})))
        return texts, kind, -1

    def chain(self, head: str, kind: str, outer: Scope) -> str:
        scope = outer.inner()
        block = self.block(scope)
        text = head.replace("{}", self.expression(kind, scope)) + f" {block}"
        while self.chance(0.3):
            scope = outer.inner()
            if self.chance(0.3):
                return text + f" else := {self.scalar()}"
            block = self.block(scope)
            text += f" else := {self.expression(kind, scope)} if {block}"
        return text

    def boolean(self, name: str) -> tuple[list[str], str, int]:
        texts = [f"default {name} := false"] if self.chance(0.5) else []
        for _ in range(self.one((1, 1, 2, 3))):
            texts.append(f"{name} if {self.block(Scope({}))}")
        return texts, "bool", -1

    def partial_set(self, name: str) -> tuple[list[str], str, int]:
        texts = []
        for _ in range(self.one((1, 1, 2))):
            scope = Scope({})
            block = self.block(scope)
            texts.append(f"{name} contains {self.expression(self.one(KINDS), scope)} if {block}")
        if self.chance(0.2):
            texts.append(f"{name} contains {self.scalar()}")
        return texts, "set", -1

    def partial_object(self, name: str) -> tuple[list[str], str, int]:
        texts = []
        for _ in range(self.one((1, 1, 2))):
            scope = Scope({})
            block = self.block(scope)
            key = self.expression(self.one(("str", "any")), scope, 1)
            texts.append(f"{name}[{key}] := {self.expression(self.one(KINDS), scope)} if {block}")
        if self.chance(0.2):
            texts.append(f"{name}.{self.one('abc')} := {self.scalar()}")
        return texts, "obj", -1

    def general(self, name: str) -> tuple[list[str], str, int]:
        texts = []
        for i in range(self.one((1, 2, 3))):
            scope = Scope({})
            block = self.block(scope)

            def key(scope: Scope = scope) -> str:
                return self.expression(self.one(("str", "any", "num")), scope, 1)

            value = self.expression(self.one(KINDS), scope)
            texts.append(
                self.one(
                    (
                        f"{name}.g{i}[{key()}] := {value} if {block}",
                        f"{name}[{key()}][{key()}] := {value} if {block}",
                        f"{name}.g{i} contains {value} if {block}",
                        f"{name}[{key()}] contains {value} if {block}",
                        f"{name}[{key()}].g.h := {value} if {block}",
                        f"{name}.g{i}.h := {value} if {block}",
                        f"{name}.g.h[{key()}].t if {block}",
                        f"{name}.g{i} := {value} if {block} else := {self.scalar()}",
                    )
                )
            )
        return texts, "obj", -1

    def function(self, name: str) -> tuple[list[str], str, int]:
        arity = self.one((1, 1, 2, 2, 3))
        kind = self.one(KINDS)
        texts = []
        if self.chance(0.25) and arity:
            holes = ", ".join("_" for _ in range(arity))
            texts.append(f"default {name}({holes}) := {self.scalar()}")
        for _ in range(self.one((1, 1, 2, 3))):
            scope = Scope({})
            pattern = ", ".join(self.parameter(scope) for _ in range(arity))
            if self.chance(0.25):
                texts.append(f"{name}({pattern}) := {self.expression(kind, scope, 3)}")
            else:
                texts.append(self.chain(f"{name}({pattern}) := {{}} if", kind, scope))
        return texts, kind, arity

    def parameter(self, scope: Scope) -> str:
        match self.random.randrange(8):
            case 0:
                return self.scalar()
            case 1:
                return f"[{scope.fresh('any')}, {scope.fresh('any')}]"
            case 2:
                age = scope.maybe(self.random, "1")
                return f'{{"name": {scope.fresh("any")}, "age": {age}}}'
            case 3:
                return "_"
        return scope.fresh("any")

    # -- programs ----------------------------------------------------------------------------------

    def program(self) -> Program:
        packages = self.random.sample(("p", "q.s", "q", "p.t"), self.one((1, 1, 2, 3)))
        modules, paths = [], []
        number = 0
        exported: list[Known] = []
        for package in packages:
            imports, self.known = self.imports(exported)
            rules: list[str] = []
            for _ in range(self.random.randrange(2, 7)):
                number += 1
                texts, known, asked = self.rules(number)
                rules += texts
                full = Known(f"data.{package}.{known.reference}", known.kind, known.arity)
                self.known += [known, full] if self.chance(0.5) else [known]
                exported.append(full)
                if asked:
                    paths.append(f"{package}.{known.reference}".replace(".", "/"))
            modules.append(Module(package, tuple(imports), tuple(rules)))
            paths.append(package.replace(".", "/"))
        data = {
            "d": {
                "a": self.document(2),
                "o": {k: self.document(1) for k in KEYS[:3]},
                "n": 3,
                "s": "str",
            }
        }
        given = MISSING if self.chance(0.05) else self.input_document()
        strict = self.chance(0.3)
        return Program(tuple(modules), data, given, tuple(paths), strict)

    def imports(self, exported: list[Known]) -> tuple[list[str], list[Known]]:
        lines, known = [], []
        for i, rule in enumerate(exported):
            if self.chance(0.3):
                alias = f"i{i}"
                lines.append(f"import {rule.reference} as {alias}")
                known.append(Known(alias, rule.kind, rule.arity))
            else:
                known.append(rule)
        return lines, known


_DECLARED = re.compile(r"\b(some|every) (?:(v\d+), )?(?:(v\d+)|\[(v\d+), (v\d+|_|1)\]) in\b")


def without_unused(text: str) -> str:
    """Declared variables that nothing uses are errors: they become wildcards."""

    def once(match: re.Match[str]) -> str:
        found = match.group(0)
        for name in re.findall(r"\bv\d+\b", found):
            if len(re.findall(rf"\b{name}\b", text)) == 1:
                found = re.sub(rf"\b{name}\b", "_", found)
        return found

    return _DECLARED.sub(once, text)


def program(seed: int) -> Program:
    """The program of a seed, always the same one."""
    return Generator(seed).program()
