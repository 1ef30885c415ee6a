"""Random statements of rule bodies."""

from __future__ import annotations

from expressions import Expressions, Scope
from vocabulary import KINDS, text_of

_ITERABLES = ("arr", "obj", "set", "any")
_PATHS = (
    *("input.a", "input.m", "input.o", "input.x", "data.d.o", "data.d.a", "input.u", "data.d"),
)


class Statements(Expressions):
    """Makes bodies."""

    def body(self, scope: Scope, count: int, depth: int, separator: str = "; ") -> str:
        return separator.join(self.statement(scope, depth) for _ in range(count))

    def statement(self, scope: Scope, depth: int) -> str:
        makers = [
            *(self.assigns, self.assigns, self.iterates, self.iterates, self.compares),
            *(self.compares, self.member, self.unifies, self.expression_alone, self.looks_up),
            *(self.guards, self.guards),
        ]
        if depth:
            makers += [self.negates, self.every, self.walks, self.with_something]
            makers += [self.with_something, self.declares, self.asks_rule]
        return self.one(makers)(scope, depth)

    def assigns(self, scope: Scope, depth: int) -> str:
        kind = self.one(KINDS)
        value = self.expression(kind, scope, depth + 1)
        if self.chance(0.15):
            return self.destructures(scope, value, ":=")
        return f"{scope.fresh(kind)} := {value}"

    def destructures(self, scope: Scope, value: str, operator: str) -> str:
        names = list(scope.variables) or ["1"]

        def var() -> str:
            return scope.fresh("any")

        match self.below(8):
            case 0:
                value = self.one(("input.m[_]", "[1, [2, 3]]", '["a", "b"]', "input.x"))
                return f"[{var()}, {var()}] {operator} {value}"
            case 1:
                value = self.one(("input.u[_]", '{"age": 1, "name": "a"}', "input.o"))
                return f'{{"name": {var()}, "age": {var()}}} {operator} {value}'
            case 2 if operator == "=":
                pattern = f"[{self.one(names)}, {var()}]"
                return f"{pattern} = {self.one((value, 'input.m[_]'))}"
            case 3:
                return f"[_, [{var()}, _]] {operator} {self.one(('[1, [2, 3]]', 'input.m'))}"
            case 4 if operator == "=":
                return f'{{"name": {var()}, "age": {self.one(names)}}} = input.u[{var()}]'
            case 5 if operator == "=":
                first, second = scope.name(), scope.name()
                text = f"[{first}, {{{chr(34)}k{chr(34)}: [{second}]}}] = [{value}, {{{chr(34)}k{chr(34)}: [{self.opaque(scope)}]}}]"
                scope.variables |= {first: "any", second: "any"}
                return text
        return f"{var()} {operator} {value}"

    def unifies(self, scope: Scope, depth: int) -> str:
        value = self.expression(self.one(KINDS), scope, depth)
        if self.chance(0.3):
            names = [n for n, k in scope.variables.items() if k == "any"]
            return f"{self.one(names) if names else self.opaque(scope)} = {value}"
        if self.chance(0.2):
            first = scope.name()
            text = f"[{first}, {value}] = [{self.expression('any', scope, 1)}, {scope.name()}]"
            scope.variables[first] = "any"
            return text
        return self.destructures(scope, value, "=")

    def iterates(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(_ITERABLES), scope, depth)
        match self.below(5):
            case 0 | 1:
                return f"some {scope.fresh('any')} in {source}"
            case 2:
                return f"some {scope.fresh('any')}, {scope.fresh('any')} in {source}"
            case 3:
                second = self.one((self.fixed(), "_", ""))
                second = second or scope.fresh("any")
                return f"some [{scope.fresh('any')}, {second}] in {self.one((source, 'input.m'))}"
            case _:
                value, index = scope.name(), scope.name()
                text = f"{value} := {self.one(_PATHS)}[{index}]"
                scope.variables |= {value: "any", index: "any"}
                return text

    def declares(self, scope: Scope, depth: int) -> str:
        first, second = scope.name(), scope.name()
        root = self.one(("input.m", "input.u", "input.x", "data.d.o"))
        text = f"some {first}, {second}; {self.opaque(scope)} {self.one(('!=', '=='))} {root}[{first}][{second}]"
        scope.variables |= {first: "any", second: "any"}
        return text

    def guards(self, scope: Scope, depth: int) -> str:
        """What OPA's rule index looks at."""
        where = self.one(("input.s", "input.n", "input.b", "input.u[0].age", "data.d.n", "input.z"))
        names = [n for n, k in scope.variables.items() if k == "any"]
        if names and self.chance(0.5):
            where = self.one(names)
        match self.below(4):
            case 0 | 1:
                return f"{where} {self.one(('==', '='))} {self.fixed()}"
            case 2:
                return f"{where} in {{{self.fixed()}, {self.fixed()}}}"
            case _:
                return where

    def asks_rule(self, scope: Scope, depth: int) -> str:
        """A key of a rule's document, as OPA looks up without making all of it."""
        rules = [r for r in self.known if r.arity < 0 and r.kind in ("obj", "set", "any")]
        if not rules:
            return self.looks_up(scope, depth)
        name = self.one(rules).reference
        key = self.one(("a", "b", "k", "g0", "g1", 1, True))
        if self.chance(self.loose):
            name += f"[{self.hide(key)}]"
        else:
            name += f"[{text_of(key)}]"
        return f"{scope.fresh('any')} := {name}" if self.chance(0.6) else name

    def looks_up(self, scope: Scope, depth: int) -> str:
        partial = [r for r in self.known if r.arity < 0 and r.kind in ("set", "obj", "any")]
        source = self.unknown(scope)
        if partial and self.chance(0.7):
            source = self.one(partial).reference
        names = list(scope.variables)
        key = self.one(names) if names and self.chance(0.4) else scope.fresh("any")
        if self.chance(0.3):
            return f"{source}[{key}]"
        if self.chance(0.4):
            return f"{source}[{key}] = {scope.fresh('any')}"
        return f"{source}[{key}] {self.one(('==', '!=', '<'))} {self.opaque(scope)}"

    def compares(self, scope: Scope, depth: int) -> str:
        kind = self.one(KINDS)
        left = self.expression(kind, scope, depth)
        if self.chance(0.4):
            return f"{left} {self.one(('==', '!='))} {self.one((self.opaque(scope), left))}"
        return f"{left} {self.one(('<', '<=', '>', '>='))} {self.expression(kind, scope, depth)}"

    def member(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(_ITERABLES), scope, depth)
        if self.chance(0.3):
            return f"{self.opaque(scope)}, {self.opaque(scope)} in {source}"
        return f"({self.expression('any', scope, 1)}) in {source}"

    def expression_alone(self, scope: Scope, depth: int) -> str:
        text = self.expression(self.one(("bool", "any")), scope, depth)
        return f"is_object({text})" if text[0] in "{[" else text

    def negates(self, scope: Scope, depth: int) -> str:
        makers = (self.compares, self.member, self.expression_alone, self.guards)
        return f"not {self.one(makers)(scope.inner(), 0)}"

    def every(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(_ITERABLES), scope, 1)
        inner = scope.inner()
        names = ", ".join(inner.fresh("any") for _ in range(self.one((1, 2))))
        return f"every {names} in {source} {{ {self.body(inner, 1 + self.below(2), 0)} }}"

    def walks(self, scope: Scope, depth: int) -> str:
        source = self.expression(self.one(("any", "obj", "arr")), scope, 1)
        match self.below(3):
            case 0:
                return f"walk({source}, [{scope.fresh('arr')}, {scope.fresh('any')}])"
            case 1:
                path = self.one(("[_]", "_", "[_, _]"))
                return f"walk({source}, [{path}, {scope.fresh('any')}])"
            case _:
                value = self.one(("1", "null", scope.name()))
                text = f"[{scope.fresh('arr')}, {value}] = walk({source})"
                if value[0] == "v":
                    scope.variables[value] = "any"
                return text

    def with_something(self, scope: Scope, depth: int) -> str:
        target, value = self.replacement(scope)
        makers = (
            *(self.compares, self.member, self.looks_up, self.expression_alone, self.assigns),
            *(self.asks_rule, self.guards),
        )
        inner = self.one(makers)
        text = inner(scope, 0)
        again = f" with input.n as {self.scalar()}" if self.chance(0.2) else ""
        if self.chance(0.1):
            another, other = self.replacement(scope)
            again += f" with {another} as {other}"
        prefix = "not " if inner == self.compares and self.chance(0.2) else ""
        return f"{prefix}{text} with {target} as {value}{again}"

    def replacement(self, scope: Scope) -> tuple[str, str]:
        value = self.untyped(scope)
        own = [r for r in self.known if r.reference.startswith("data.")]
        pick = self.below(6)
        if pick == 0 and own:
            rule = self.one(own)
            if rule.arity == 1:
                value = self.one((value, "count", "is_number", "upper"))
            return rule.reference, value
        if pick == 1:
            pairs = (("upper", "lower"), ("is_string", "is_number"), ("startswith", "endswith"))
            return self.one((("count", value), *pairs))
        if pick <= 3:
            names = ("input", "input.n", "input.a", "input.o.k", "input.x.a.b", "input.s")
        else:
            names = (
                "data.d.a",
                "data.d",
                "data.d.o.k",
                "data.d.new.deep",
                "data.d.n",
                "data.p.base",
            )
        return self.one(names), value
