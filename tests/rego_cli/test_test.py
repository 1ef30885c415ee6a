"""`cupcake rego test`: the same tests, results and exit codes as `opa test`; failures that say why; honest coverage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module
from cupcake.engine.testing.coverage import instrument

HERE = Path(__file__).parent
Run = Callable[..., tuple[int, str, str]]


def outcomes(text: str) -> dict[str, Any]:
    """Name of a test -> (file, row, outcome, outcomes of its cases)."""
    found: dict[str, Any] = {}
    for result in json.loads(text):
        outcome = next((w for w in ("error", "fail", "skip") if w in result), "pass")
        place = result["location"]
        cases = {name: bool(c.get("fail")) for name, c in result.get("sub_results", {}).items()}
        key = f"{result['package']}.{result['name']}"
        assert key not in found
        found[key] = (place["file"], place["row"], outcome, cases)
    return found


@pytest.mark.parametrize(
    "line",
    [
        "tests",
        "tests -r authz",
        "tests -r 'test_(passes|double)'",
        "tests -r later",
        "tests -r later -z",
        "tests -r 'passes|later' -z",
        "tests -r passes",
        "tests/authz.rego tests/authz_test.rego",
        "tests -b",
        "v0.rego --v0-compatible",
    ],
)
def test_results_and_exit_code_are_those_of_opa_test(rego: Run, opa: Run, line: str) -> None:
    code, out, err = rego(f"test --format json {line}")
    wanted_code, wanted, _ = opa(f"test --format json {line}")
    assert (json.loads(wanted) is None) == (json.loads(out) is None), err
    if json.loads(wanted) is not None:
        assert outcomes(out) == outcomes(wanted)
    assert code == wanted_code


@pytest.mark.parametrize("line", ["nowhere", "broken/unsafe.rego", "broken/cut.rego"])
def test_files_that_cannot_be_used_exit_1_as_with_opa_test(rego: Run, opa: Run, line: str) -> None:
    assert rego(f"test {line}")[0] == opa(f"test {line}")[0] == 1


@pytest.mark.parametrize(
    ("name", "code"),
    [("test_passes", 0), ("test_false", 2), ("test_conflict", 2), ("later", 2), ("no_such", 0)],
)
def test_exit_codes(rego: Run, name: str, code: int) -> None:
    assert rego(f"test tests -r '{name}$'")[0] == code


REASONS = {
    "many_test.test_multi": """
  tests/many_test.rego:8:2: this does not hold:
    	f(n) == 3 + 4
    	^
      with solution 1 of 2 of what stands before:
        f(n)  = 1
        n     = 0
        3 + 4 = 7
      with solution 2 of 2 of what stands before:
        f(n)  = 2
        n     = 1
        3 + 4 = 7
""",
}
