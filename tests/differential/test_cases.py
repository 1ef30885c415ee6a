"""Differences from OPA that were found and mended: each minimal program gives what OPA gives, errors at OPA's place.

A file of cases is a family. A case: `[case title]`, `[source]` (each further one is another module, which may use those before it), if need be
`[data]`, `[input]` (none: no input), `[path]` (else p), `[strict]`, `[v0]`; then `[value]` (nothing: undefined), `[errors]` of
the compile as `row code`, or `[error]` of the evaluation as `code row:col`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from comparison import canonical, ours
from reference import Fault, executables, running
from source import MISSING, Module, Program

_CASES = Path(__file__).parent / "cases"
_SECTION = re.compile(
    r"^\[(case .*|source|data|input|path|strict|v0|newest|value|errors|error)\]$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Case:
    """`newest`: what OPA 1.7 does not give."""

    title: str
    program: Program
    wanted: str
    newest: bool


def read_cases(path: Path) -> list[Case]:
    parts = _SECTION.split(path.read_text(encoding="utf-8"))[1:]
    sections = list(zip(parts[::2], (part.strip("\n") for part in parts[1::2]), strict=True))
    starts = [i for i, (name, _) in enumerate(sections) if name.startswith("case ")]
    found = []
    for start, end in zip(starts, [*starts[1:], len(sections)], strict=True):
        given = dict(sections[start + 1 : end])
        modules = [text for name, text in sections[start + 1 : end] if name == "source"]
        program = Program(
            modules=tuple(map(_module, modules)),
            data=json.loads(given.get("data", "{}")),
            input=json.loads(given["input"]) if given.get("input") else MISSING,
            paths=(given.get("path", "p"),),
            strict="strict" in given,
            v0="v0" in given,
        )
        title = f"{path.stem}: {sections[start][0][5:]}"
        found.append(Case(title, program, _wanted(given), "newest" in given))
    return found


def _module(text: str) -> Module:
    first, _, rules = text.partition("\n")
    return Module(first.removeprefix("package "), (), (rules,))


def _wanted(given: dict[str, str]) -> str:
    if "value" in given:
        return canonical(json.loads(given["value"])) if given["value"] else "undefined"
    return given["errors" if "errors" in given else "error"]


CASES = [case for path in sorted(_CASES.glob("*.case")) for case in read_cases(path)]


def said(found: object, path: str) -> str:
    """An outcome in the words of the cases."""
    if isinstance(found, list):
        faults = {f"{f.row} {f.code}" for f in found if isinstance(f, Fault)}
        return "\n".join(sorted(faults))
    assert isinstance(found, dict)
    match found[path]:
        case ("value", value):
            return canonical(value)
        case ("error", code, _, place):
            return f"{code} {place.partition(':')[2]}"
        case _:
            return "undefined"


def test_all_cases_are_read() -> None:
    texts = [path.read_text(encoding="utf-8") for path in _CASES.glob("*.case")]
    assert len(CASES) == sum(text.count("\n[case ") for text in texts) >= 11


@pytest.mark.parametrize("case", CASES, ids=[case.title for case in CASES])
def test_the_program_gives_what_opa_gives(case: Case) -> None:
    assert said(ours(case.program), case.program.paths[0]) == case.wanted


@pytest.mark.parametrize("newest", [False, True])
def test_opa_still_gives_what_the_cases_say(newest: bool) -> None:
    opas = executables()
    if not opas:
        pytest.skip("no opa executable to compare with: PATH or CUPCAKE_OPAS")
    opa = opas[-1] if newest else opas[0]
    if newest and not opa.has_templates:
        pytest.skip("no opa executable that is new enough: PATH or CUPCAKE_OPAS")
    with running(opa) as reference:
        for case in CASES:
            if not case.newest or opa.has_templates:
                found = said(reference.run(case.program), case.program.paths[0])
                assert found == case.wanted, case.title
