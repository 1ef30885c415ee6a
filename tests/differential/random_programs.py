"""Random well-formed Rego programs with a base document and an input, by seed. Pure: no engine, no OPA.

Most programs compile; some do not (types, safety), which is compared too. `programs` is the same for Hypothesis.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from expressions import Known
from hypothesis import strategies as st
from rules import Rules
from source import MISSING, Module, Program
from vocabulary import KEYS, document, input_document

_PACKAGES = ("p", "q.s", "q", "p.t")
_V0_IMPORTS = ("import future.keywords.in", "import future.keywords.every")
_LOOSE = (0.0, 0.5, 0.8, 0.8)


class Generator(Rules):
    """Makes one program."""

    def program(self) -> Program:
        packages = self.random.sample(_PACKAGES, self.one((1, 1, 2, 3)))
        modules, paths = [], []
        number = 0
        exported: list[Known] = []
        for package in packages:
            imports, self.known = self.imports(exported)
            rules: list[str] = []
            for _ in range(2 + self.below(5)):
                number += 1
                texts, known, asked = self.rules(number)
                rules += texts
                full = Known(f"data.{package}.{known.reference}", known.kind, known.arity)
                self.known += [known, full] if self.chance(0.5) else [known]
                exported.append(full)
                if asked:
                    at = f"{package}.{known.reference}".replace(".", "/")
                    paths.append(at)
                    if known.kind == "obj" and self.chance(0.4):
                        paths.append(f"{at}/{self.one(('g0', 'g1', 'a', 'b', 'g/h', 'c'))}")
            lines = (*(_V0_IMPORTS if self.v0 else ()), *imports)
            modules.append(Module(package, lines, tuple(rules)))
            paths.append(package.replace(".", "/"))
        given: Any = MISSING if self.chance(0.03) else input_document(self.random)
        if given is not MISSING:
            given["l"] = self.hidden
        strict = self.chance(0.3)
        return Program(tuple(modules), self.documents(), given, tuple(paths), strict, self.v0)

    def documents(self) -> dict[str, Any]:
        """The base document; parts of it lie where packages are."""
        objects = {k: document(self.random, 1) for k in KEYS[:3]}
        data: dict[str, Any] = {
            "d": {"a": document(self.random, 2), "o": objects, "n": 3, "s": "str"}
        }
        if self.chance(0.3):
            data["p"] = {"base": document(self.random, 2), "t": {"base": 1}}
        if self.chance(0.2):
            data["q"] = {"base": document(self.random, 1)}
        return data

    def imports(self, exported: list[Known]) -> tuple[list[str], list[Known]]:
        lines, known = [], []
        for i, rule in enumerate(exported):
            package, _, name = rule.reference.rpartition(".")
            if self.chance(0.3):
                lines.append(f"import {rule.reference} as i{i}")
                known.append(Known(f"i{i}", rule.kind, rule.arity))
            elif self.chance(0.2):
                lines.append(f"import {package} as k{i}")
                known.append(Known(f"k{i}.{name}", rule.kind, rule.arity))
            else:
                known.append(rule)
        return lines, known


def program(seed: int, *, templates: bool = False) -> Program:
    """The program of a seed, always the same one. `templates`: may hold template strings, which OPA 1.7 does not know."""
    choose = random.Random(seed)
    v0 = choose.random() < 0.12
    loose = choose.choice(_LOOSE)
    return Generator(choose, loose=loose, templates=templates and not v0, v0=v0).program()


@st.composite
def programs(draw: st.DrawFn, *, templates: bool = True) -> Program:
    """Programs for Hypothesis, which shrinks by leaving out rules: the program of a seed without some of its rules."""
    source = program(draw(st.integers(0, 1 << 32)), templates=templates)
    modules = []
    for module in source.modules:
        kept = tuple(
            rule if draw(st.integers(0, 20)) else "\n" * rule.count("\n") for rule in module.rules
        )
        modules.append(replace(module, rules=kept))
    return replace(source, modules=tuple(modules))
