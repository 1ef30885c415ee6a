"""Differences from OPA that were found and mended: each minimal program gives what OPA gives."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from comparison import MISSING, Module, Program, canonical, ours
from reference import Fault, executable, running

_CASES = Path(__file__).parent / "cases"


def read_cases() -> list[tuple[str, str, str, str, str]]:
    """(title, source, input, "value" or "errors", expected) of each case."""
    text = (_CASES / "found.case").read_text(encoding="utf-8")
    shape = r"\[case (.*)\]\n\[source\]\n((?s:.*?))\[input\]\n(.*)\n\[(value|errors)\]\n((?s:.*?))(?=\n\[case|\Z)"
    return [match.groups() for match in re.finditer(shape, text)]  # type: ignore[misc]


CASES = read_cases()


def as_program(source: str, given: str) -> Program:
    _, rules = source.split("\n", 1)
    value = json.loads(given) if given else MISSING
    return Program((Module("p", (), (rules.rstrip("\n"),)),), {}, value, ("p",))


def said(found: object) -> str:
    """An outcome in the words of the cases."""
    if isinstance(found, list):
        faults = {f"{f.row} {f.code}" for f in found if isinstance(f, Fault)}
        return "\n".join(sorted(faults))
    assert isinstance(found, dict)
    return canonical(found["p"][1])


def wanted(kind: str, expected: str) -> str:
    return canonical(json.loads(expected)) if kind == "value" else expected.strip()


def test_all_cases_are_read() -> None:
    text = (_CASES / "found.case").read_text(encoding="utf-8")
    assert len(CASES) == text.count("\n[case ") >= 11


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_the_program_gives_what_opa_gives(case: tuple[str, str, str, str, str]) -> None:
    _, source, given, kind, expected = case
    assert said(ours(as_program(source, given))) == wanted(kind, expected)


def test_opa_still_gives_what_the_cases_say() -> None:
    opa = executable()
    if opa is None:
        pytest.skip("no opa 1.7 executable on the path to compare with")
    with running(opa) as reference:
        for title, source, given, kind, expected in CASES:
            program = as_program(source, given)
            found = reference.run(program.texts(), {}, program.input, ["p"], False)
            assert said(found) == wanted(kind, expected), title
