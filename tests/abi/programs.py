"""Reads `programs.case`: one package a program, and the calls to make. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
#: In place of an input: there is none.
NO_INPUT: Final = object()
DATA: Final[dict[str, Any]] = {
    "k": 10,
    "doc": {"list": ["a", {"b": 2}, [3]], "o": {"x": 1}},
    "abi": {"documents": {"base": {"from": "data"}}},
}


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    rules: str
    inputs: tuple[Any, ...]

    @property
    def text(self) -> str:
        return f"package abi.{self.name}\n\n{self.rules}\n"

    @property
    def entrypoints(self) -> list[str]:
        """Its rules that are no functions. (OPA builds no package that holds one.)"""
        found = re.findall(
            r"^(?:default )?(\w+)(?= :=| if| contains|\[|\.)", self.rules, re.MULTILINE
        )
        return [f"abi/{self.name}/{rule}" for rule in dict.fromkeys(found)]


def read() -> list[Program]:
    parts = re.split(
        r"^\[(case .*|input)\]$", (HERE / "programs.case").read_text("utf-8"), flags=re.M
    )
    programs: list[Program] = []
    for head, body in zip(parts[1::2], parts[2::2], strict=True):
        text = body.strip()
        if head.startswith("case "):
            programs.append(Program(head[5:], text, ()))
        else:
            last = programs.pop()
            value = json.loads(text) if text else NO_INPUT
            programs.append(Program(last.name, last.rules, (*last.inputs, value)))
    return programs


PROGRAMS: Final = read()
TEXTS: Final = {f"{p.name}.rego": p.text for p in PROGRAMS}
ENTRYPOINTS: Final = [e for p in PROGRAMS for e in p.entrypoints]
CALLS: Final = [(e, value) for p in PROGRAMS for e in p.entrypoints for value in p.inputs]
