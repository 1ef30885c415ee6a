"""An evaluator small enough to be all on one page, for what a real one must never do: hang, crash, leak.

A policy is a `.rego` file whose lines are `deny WORD`, `crash WORD`, `hang WORD`, `sleep WORD SECONDS`, or what makes a build fail
(`canaryfail`, `loadfail`, `buildhang`, `buildcrash`, anything else); a rule
applies when the event's `tool_input.command` contains the word. It has the names of `cupcake.daemon.evaluation`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Diagnostic:
    code: str
    message: str
    file: str
    row: int
    col: int

    def render(self) -> str:
        return f"{self.file}:{self.row}:{self.col}: {self.code}: {self.message}"


class BuildFailed(Exception):
    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.diagnostics = diagnostics
        super().__init__(str(diagnostics))


class EngineError(Exception):
    pass


class ProjectError(EngineError):
    pass


@dataclass(frozen=True)
class SourceFile:
    path: str
    data: bytes
    layer: str = "project"


@dataclass(frozen=True)
class Sources:
    root: str
    files: tuple[SourceFile, ...]

    @property
    def digest(self) -> str:
        whole = hashlib.sha256()
        for file in self.files:
            whole.update(file.path.encode() + b"\0" + file.data + b"\0")
        return whole.hexdigest()


def read_sources(root: str, *, global_dir: Path | None = None) -> Sources:
    top = Path(root)
    places = [top / ".cupcake", *([global_dir] if global_dir else [])]
    found = []
    for place in places:
        for path in sorted(place.rglob("*.rego")):
            name = str(path.relative_to(top)) if path.is_relative_to(top) else f"global/{path.name}"
            layer = "project" if place is places[0] else "global"
            found.append(SourceFile(name, path.read_bytes(), layer))
    if not found:
        raise ProjectError(f"{top}/.cupcake has no policies")
    return Sources(root, tuple(found))


@dataclass(frozen=True)
class Compiled:
    rules: list[list[str]]
    warnings: tuple[Diagnostic, ...] = ()

    def save(self, directory: Path) -> None:
        (directory / "rules.json").write_text(json.dumps(self.rules))


def compile_project(sources: Sources, before: None = None) -> Compiled:
    rules: list[list[str]] = []
    errors = []
    for file in sources.files:
        for row, line in enumerate(file.data.decode().splitlines(), 1):
            words = line.split()
            match words:
                case []:
                    continue
                case (
                    ["deny" | "crash" | "hang", _] | ["sleep", _, _] | ["loadfail"] | ["canaryfail"]
                ):
                    rules.append(words)
                case ["buildhang"]:
                    time.sleep(1000)
                case ["buildcrash"]:
                    ctypes.string_at(0)
                case _:
                    errors.append(Diagnostic("tiny_error", f"what is {line!r}?", file.path, row, 1))
    if errors:
        raise BuildFailed(tuple(errors))
    return Compiled(rules)


def patience(compiled: Compiled) -> float:
    return 0.0


def canary(compiled: Compiled, cache_dir: Path) -> None:
    if ["canaryfail"] in compiled.rules:
        raise EngineError("told to fail")


def warm_up(
    cache_dir: Path, root: str | None, global_dir: Path | None, wanted: Callable[[], bool]
) -> tuple[None, None]:
    """Nothing here is cold."""
    return None, None


def load_compiled(directory: Path) -> Compiled:
    rules = json.loads((directory / "rules.json").read_text())
    if ["loadfail"] in rules:
        raise ValueError("told not to load")
    return Compiled(rules)


@dataclass(frozen=True)
class HarnessAnswer:
    verdict: str
    response: bytes
    exit_code: int
    stderr: str
    decision: dict[str, Any]
    timings: dict[str, int]
    warnings: tuple[str, ...]


class Evaluator:
    def __init__(
        self, compiled: Compiled, *, cache_dir: Path | None = None, quick_first: bool = False
    ) -> None:
        self._rules = compiled.rules

    def prepare(self) -> None:
        """Nothing to do ahead."""

    def answer(self, harness: str, event: bytes) -> HarnessAnswer:
        command = json.loads(event)["tool_input"]["command"]
        for rule in self._rules:
            if len(rule) < 2 or rule[1] not in command:
                continue
            if rule[0] == "deny":
                return _answer("deny", f"denied by {rule[1]}")
            if rule[0] == "crash":
                os.abort()
            if rule[0] == "hang":
                ctypes.CDLL(None).pause()
            if rule[0] == "sleep":
                time.sleep(float(rule[2]))
        return _answer("allow", command)


def failure_answer(harness: str, event: bytes | None, reason: str) -> HarnessAnswer:
    return _answer("deny", reason)


def with_notice(answer: HarnessAnswer, text: str) -> HarnessAnswer:
    body = {**json.loads(answer.response), "systemMessage": text}
    return replace(answer, response=json.dumps(body).encode())


def _answer(verdict: str, reason: str) -> HarnessAnswer:
    response = json.dumps({"verdict": verdict, "reason": reason}).encode()
    return HarnessAnswer(
        verdict, response, 0, "", {verdict.title(): {"reason": reason}}, {"evaluate": 1}, ()
    )
