"""Random rules, in the text of v1 or v0."""

from __future__ import annotations

import random
import re

from expressions import Known, Scope
from statements import Statements
from vocabulary import KINDS

Made = tuple[list[str], str, int]


class Rules(Statements):
    """Makes rules. Three texts differ between the versions: where a body starts, `contains`, and `:=` in heads."""

    def __init__(self, choose: random.Random, *, loose: float, templates: bool, v0: bool) -> None:
        super().__init__(choose, loose=loose, templates=templates)
        self.v0 = v0
        self.if_ = "" if v0 else " if"
        self.is_ = "=" if v0 else ":="

    def contains(self, name: str, member: str) -> str:
        return f"{name}[{member}]" if self.v0 else f"{name} contains {member}"

    def block(self, scope: Scope, least: int = 1) -> str:
        count = self.random.randrange(least, 4)
        return "{\n\t" + self.body(scope, count, 1, "\n\t") + "\n}"

    def rules(self, number: int) -> tuple[list[str], Known, bool]:
        """One rule with all its bodies; how to refer to it; whether it can be asked for."""
        name = f"r{number}"
        makers = (
            *(self.complete, self.complete, self.boolean, self.partial_set, self.partial_set),
            *(self.partial_object, self.partial_object, self.general, self.general, self.function),
            *(self.function, self.constant),
        )
        texts, kind, arity = self.one(makers)(name)
        return [without_unused(t) for t in texts], Known(name, kind, arity), arity < 0

    def constant(self, name: str) -> Made:
        """Some rules of one value, which OPA stops at early."""
        value = self.fixed()
        return (
            [
                f"{name} {self.is_} {value}{self.if_} {self.block(Scope({}))}"
                for _ in range(2 + self.below(2))
            ],
            "any",
            -1,
        )

    def complete(self, name: str) -> Made:
        kind = self.one(KINDS)
        texts = []
        if self.chance(0.4):
            texts.append(f"default {name} {self.is_} {self.fixed()}")
        if self.chance(0.25):
            return [f"{name} {self.is_} {self.expression(kind, Scope({}), 3)}"], kind, -1
        for _ in range(self.one((1, 1, 2))):
            texts.append(self.chain(name, kind, Scope({})))
        return texts, kind, -1

    def chain(self, head: str, kind: str, outer: Scope) -> str:
        scope = outer.inner()
        block = self.block(scope)
        text = f"{head} {self.is_} {self.expression(kind, scope)}{self.if_} {block}"
        while self.chance(0.3):
            scope = outer.inner()
            if self.chance(0.3):
                empty = " { true }" if self.v0 else ""
                return f"{text} else {self.is_} {self.scalar()}{empty}"
            block = self.block(scope)
            text += f" else {self.is_} {self.expression(kind, scope)}{self.if_} {block}"
        return text

    def boolean(self, name: str) -> Made:
        texts = [f"default {name} {self.is_} false"] if self.chance(0.5) else []
        for _ in range(self.one((1, 1, 2, 3))):
            texts.append(f"{name}{self.if_} {self.block(Scope({}))}")
        return texts, "bool", -1

    def partial_set(self, name: str) -> Made:
        texts = []
        for _ in range(self.one((1, 1, 2))):
            scope = Scope({})
            block = self.block(scope)
            member = self.expression(self.one(KINDS), scope)
            texts.append(f"{self.contains(name, member)}{self.if_} {block}")
        if self.chance(0.2) and not self.v0:
            texts.append(f"{name} contains {self.fixed()}")
        return texts, "set", -1

    def partial_object(self, name: str) -> Made:
        texts = []
        for _ in range(self.one((1, 1, 2))):
            scope = Scope({})
            block = self.block(scope)
            key = self.expression(self.one(("str", "any")), scope, 1)
            value = self.expression(self.one(KINDS), scope)
            texts.append(f"{name}[{key}] {self.is_} {value}{self.if_} {block}")
        if self.chance(0.2):
            texts.append(f"{name}.{self.one('abc')} {self.is_} {self.fixed()}")
        return texts, "obj", -1

    def general(self, name: str) -> Made:
        texts = []
        if self.chance(0.1):
            texts.append(f"default {name}.g0 {self.is_} {self.fixed()}")
        count = self.one((1, 2, 3))
        for i in range(count):
            scope = Scope({})
            block = f"{self.if_} {self.block(scope)}"

            def key(scope: Scope = scope) -> str:
                return self.expression(self.one(("str", "any", "num")), scope, 1)

            value = self.expression(self.one(KINDS), scope)
            given = f"{self.is_} {value}{block}"
            last = f"else {self.is_} {self.fixed()}" + (" { true }" if self.v0 else "")
            texts.append(
                self.one(
                    (
                        f"{name}.g{i}[{key()}] {given}",
                        f"{name}[{key()}][{key()}] {given}",
                        f"{self.contains(f'{name}.g{i}', value)}{block}",
                        f"{name}[{key()}].g.h {given}",
                        f"{name}.g{i}.h {given}",
                        f"{name}.g.h[{key()}].t {self.is_} true{block}",
                        # Beside a rule with a variable key OPA drops what `else` gives.
                        *(
                            [f"{name}.g{i} {given} {last}"] * 2
                            if count == 1 and not self.v0
                            else []
                        ),
                        f"{name}.g{i}.h[{key()}].k[{key()}] {given}",
                        *([] if self.v0 else [f"{name}[{key()}] contains {value}{block}"]),
                    )
                )
            )
        return texts, "obj", -1

    def function(self, name: str) -> Made:
        arity = self.one((1, 1, 2, 2, 3))
        kind = self.one(KINDS)
        texts = []
        if self.chance(0.25):
            holes = ", ".join("_" for _ in range(arity))
            texts.append(f"default {name}({holes}) {self.is_} {self.fixed()}")
        for _ in range(self.one((1, 1, 2, 3))):
            scope = Scope({})
            pattern = ", ".join(self.parameter(scope) for _ in range(arity))
            if self.chance(0.25):
                value = self.expression(kind, scope, 3)
                texts.append(f"{name}({pattern}) {self.is_} {value}")
            elif self.chance(0.15):
                texts.append(f"{name}({pattern}){self.if_} {self.block(scope)}")
            else:
                texts.append(self.chain(f"{name}({pattern})", kind, scope))
        return texts, kind, arity

    def parameter(self, scope: Scope) -> str:
        match self.below(8):
            case 0:
                return self.fixed()
            case 1:
                return f"[{scope.fresh('any')}, {scope.fresh('any')}]"
            case 2:
                name = scope.fresh("any")
                age = self.one(("1", "")) or scope.fresh("any")
                return f'{{"name": {name}, "age": {age}}}'
            case 3:
                return "_"
        return scope.fresh("any")


_DECLARED = re.compile(r"\b(some|every) (?:(v\d+), )?(?:(v\d+)|\[(v\d+), (v\d+|_|[^\]]*)\]) in\b")


def without_unused(text: str) -> str:
    """Declared variables that nothing uses are errors: they become wildcards."""

    def once(match: re.Match[str]) -> str:
        found = match.group(0)
        for name in re.findall(r"\bv\d+\b", found):
            if len(re.findall(rf"\b{name}\b", text)) == 1:
                found = re.sub(rf"\b{name}\b", "_", found)
        return found

    return _DECLARED.sub(once, text)
