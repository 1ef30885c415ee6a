"""`eval --show-builtin-errors` collects the errors of builtins that `opa` collects, at its places, and leaves the result as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]

QUERIES = [
    *(f"data.failing.{rule}" for rule in "pqrstuv"),
    "data.failing",
    'x := 1; y := to_number("a")',
    'data.failing.f("b")',
    "[x | some y in [0, 1]; x := 1 / y]",
]


def errors(text: str) -> list[Any]:
    return [(e["code"], e["message"], e["location"]) for e in json.loads(text).get("errors", [])]


@pytest.mark.parametrize("query", QUERIES)
def test_errors_of_builtins_are_those_of_opa(rego: Run, opa: Run, query: str) -> None:
    line = f"eval -d failing.rego -I --show-builtin-errors '{query}'"
    ours, theirs = (run(line, '{"zero": 0}') for run in (rego, opa))
    assert sorted(errors(ours[1]), key=str) == sorted(errors(theirs[1]), key=str)
    assert json.loads(ours[1]).get("result") == json.loads(theirs[1]).get("result")
    assert ours[0] == theirs[0]


def test_errors_are_counted_for_people(rego: Run) -> None:
    code, out, err = rego("eval -d failing.rego -f pretty --show-builtin-errors data.failing.p")
    assert (code, err.splitlines()) == (
        0,
        [
            "2 errors occurred:",
            'failing.rego:5: eval_builtin_error: to_number: strconv.ParseFloat: parsing "a": invalid syntax',
            'failing.rego:5: eval_builtin_error: to_number: strconv.ParseFloat: parsing "b": invalid syntax',
        ],
    )
    assert not out


def test_without_errors_the_result_is_printed(rego: Run) -> None:
    line = "eval -d failing.rego -f raw --show-builtin-errors data.failing.f(`1`)"
    assert rego(line) == (0, "1\n", "")


def test_strict_goes_before_it(rego: Run) -> None:
    line = "eval -d failing.rego --show-builtin-errors --strict-builtin-errors data.failing.p"
    code, out, _ = rego(line)
    assert (code, len(errors(out))) == (2, 1)
