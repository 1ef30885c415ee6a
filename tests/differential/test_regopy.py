"""Random programs against regopy, the interpreter on PyPI. Where the two of us differ, OPA judges: it must say what we say.

CUPCAKE_DIFFERENTIAL_REGOPY=N compares N programs. Skipped without regopy, or without an OPA to judge.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from comparison import canonical, compare, ours
from known import reason
from random_programs import program
from reference import Reference, executables, running
from source import MISSING, Program

_COUNT = int(os.environ.get("CUPCAKE_DIFFERENTIAL_REGOPY", "60"))
regopy = pytest.importorskip("regopy", reason="regopy is not installed: pip install regopy==1.5.2")


@pytest.fixture(scope="module")
def judge() -> Iterator[Reference]:
    opas = executables()
    if not opas:
        pytest.skip("no opa executable to judge: PATH or CUPCAKE_OPAS")
    with running(opas[-1]) as reference:
        yield reference


def theirs(source: Program) -> dict[str, tuple[str, Any]]:
    """The outcome of each path: ("value", v), ("undefined", None) or ("error", None)."""
    found: dict[str, tuple[str, Any]] = {}
    for path in source.paths:
        try:
            interpreter = regopy.Interpreter()
            for name, text in source.texts().items():
                interpreter.add_module(name, text)
            interpreter.add_data(source.data)
            if source.input is not MISSING:
                interpreter.set_input(source.input)
            output = interpreter.query("x = data." + path.replace("/", "."))
            if not output.ok():
                found[path] = ("error", None)
            elif str(output) == "undefined":
                found[path] = ("undefined", None)
            else:
                found[path] = ("value", json.loads(str(output))["bindings"]["x"])
        except Exception:
            found[path] = ("error", None)
    return found


def small(source: Program) -> Program:
    """Its first rules: regopy fails on nearly all whole programs."""
    first = source.modules[0]
    names = list(dict.fromkeys(re.findall(r"^(?:default )?(r\d+)", first.text(), re.MULTILINE)))[:2]
    rules = tuple(r for r in first.rules if re.match(rf"(default )?({'|'.join(names)})\b", r))
    paths = tuple(p for p in source.paths if p.split("/")[-1] in names)
    return replace(source, modules=(replace(first, rules=rules),), paths=paths)


def test_where_regopy_answers_otherwise_opa_says_what_we_say(judge: Reference) -> None:
    """It fails on most of these programs; what it does answer counts."""
    agreed = 0
    for seed in range(_COUNT):
        source = small(program(seed))
        mine = ours(source)
        if source.v0 or source.strict or not isinstance(mine, dict):
            continue
        answers = {p: o for p, o in theirs(source).items() if o[0] != "error"}
        if all(shown(mine[path]) == shown(answer) for path, answer in answers.items()):
            agreed += len(answers)
            continue
        found = [d for d in compare(source, [judge]) if not reason(d, source, [judge])]
        assert not found, f"{source.show()}\n{found}"
    assert agreed >= _COUNT // 4


def shown(outcome: tuple[Any, ...]) -> str:
    return canonical(outcome[1]) if outcome[0] == "value" else str(outcome[0])
