"""Where a decision was made, told by the texts in it. Pure.

The aggregation entrypoint returns decisions without their package. What nearly every decision does carry is a literal
`rule_id` or `reason`, and those literals stand in the policy files: good enough for messages, never for deciding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LITERAL = re.compile(r'"(?:rule_id|reason)"\s*:\s*("(?:[^"\\\n]|\\.)*")')
_VERB = re.compile(r"^(halt|deny|block|ask|modify|allow_override|add_context)\b", re.MULTILINE)
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Origin:
    package: str
    file: str
    row: int

    def __str__(self) -> str:
        return f"{self.package} ({self.file}:{self.row})"


@dataclass(frozen=True, slots=True)
class Origins:
    """`literals`: text of a rule_id or reason -> where it stands. `context_packages`: who has add_context rules."""

    literals: Mapping[str, tuple[Origin, ...]] = field(default_factory=dict)
    context_packages: tuple[str, ...] = ()

    def locate(self, entry: Any) -> str:
        """ " in <package> (<file>:<row>)" for a decision object, "" when it cannot be told."""
        texts = [entry.get("rule_id"), entry.get("reason")] if isinstance(entry, dict) else [entry]
        for text in texts:
            found = self.literals.get(text) if isinstance(text, str) else None
            if found:
                return " in " + ", ".join(str(origin) for origin in found[:_SHOWN])
        if not isinstance(entry, dict) and self.context_packages:
            return " in one of " + ", ".join(self.context_packages[:_SHOWN])
        return ""

    def packages(self, rule_id: str) -> frozenset[str]:
        """Packages that name this rule id; empty when it is computed."""
        return frozenset(origin.package for origin in self.literals.get(rule_id, ()))


def read_origins(files: Mapping[str, tuple[str, str]]) -> Origins:
    """`files`: file -> (package, text)."""
    literals: dict[str, tuple[Origin, ...]] = {}
    contexts: list[str] = []
    for file, (package, text) in files.items():
        for found in _LITERAL.finditer(text):
            try:
                literal = json.loads(found.group(1))
            except ValueError:
                continue
            origin = Origin(package, file, text.count("\n", 0, found.start()) + 1)
            literals[literal] = (*literals.get(literal, ()), origin)
        if any(verb.group(1) == "add_context" for verb in _VERB.finditer(text)):
            contexts.append(package)
    return Origins(literals, tuple(dict.fromkeys(contexts)))
