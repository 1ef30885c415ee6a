"""Every call in `cases/*.txt` has the value, or the error, that stands beside it; and OPA says the same."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine import query
from cupcake.engine.errors import EvaluationError

CASES = Path(__file__).with_name("cases")
INPUT = {"n": 5, "s": "str", "a": ["a", 5]}
VALUES = sorted(p.stem for p in CASES.glob("*.txt") if not p.stem.endswith("errors"))
OPA = shutil.which("opa")
NEWEST = (1, 22)  # the OPA whose answers these are


def is_newest() -> bool:
    if OPA is None:
        return False
    text = subprocess.run([OPA, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Version: (\d+)\.(\d+)", text)
    return found is not None and tuple(map(int, found.groups())) >= NEWEST


needs_opa = pytest.mark.skipif(not is_newest(), reason="no opa 1.22 or newer is on the PATH")


def read(stem: str) -> Iterator[tuple[str, str]]:
    """(expression, expected text) pairs of one file."""
    for line in (CASES / f"{stem}.txt").read_text("utf-8").splitlines():
        if line and not line.startswith("# "):
            expression, found, expected = line.rpartition("  =>  ")
            assert found, line
            yield expression, expected


def module(expressions: list[str]) -> str:
    rules = [f"r{i} := [x | x := {e}]" for i, e in enumerate(expressions)]
    return "\n".join(["package t", *rules, ""])


def parsed(text: str) -> list[Any]:
    return [] if text == "undefined" else [json.loads(text, parse_float=Decimal)]


def same(a: Any, b: Any) -> bool:
    """Equal as JSON, numbers by value, booleans apart from numbers."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    return number(a) == number(b)


def number(value: Any) -> Decimal:
    assert isinstance(value, int | float | Decimal)
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


@pytest.mark.parametrize("stem", VALUES)
def test_values(stem: str) -> None:
    pairs = list(read(stem))
    [found] = query("data.t = x", {"t.rego": module([e for e, _ in pairs])})
    wrong = {
        expression: found["x"][f"r{i}"]
        for i, (expression, expected) in enumerate(pairs)
        if not same(found["x"][f"r{i}"], parsed(expected))
    }
    assert not wrong


def error_of(expression: str) -> str:
    try:
        return str(query(f"x := {expression}", input=INPUT, strict_builtin_errors=True))
    except EvaluationError as error:
        return f"{error.code}: {error.message}"


@pytest.mark.parametrize("stem", ["errors", "own_errors"])
def test_errors(stem: str) -> None:
    pairs = list(read(stem))
    assert {e: error_of(e) for e, _ in pairs} == dict(pairs)


def test_errors_are_undefined_when_they_are_not_strict() -> None:
    expressions = [e for e, _ in read("errors")]
    assert [e for e in expressions if query(f"x := {e}", input=INPUT)] == []


@needs_opa
@pytest.mark.parametrize("stem", [s for s in VALUES if not s.startswith("own_")])
def test_opa_has_the_same_values(stem: str, tmp_path: Path) -> None:
    pairs = list(read(stem))
    policy = tmp_path / "t.rego"
    policy.write_text(module([e for e, _ in pairs]), "utf-8")
    done = subprocess.run(
        [str(OPA), "eval", "--format", "json", "--data", str(policy), "data.t"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout, parse_float=Decimal)
    value = answer["result"][0]["expressions"][0]["value"]
    wrong = {
        expression: value[f"r{i}"]
        for i, (expression, expected) in enumerate(pairs)
        if not same(value[f"r{i}"], parsed(expected))
    }
    assert not wrong
