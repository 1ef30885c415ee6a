"""`cupcake rego test`: the same tests, results and exit codes as `opa test`; failures that say why; honest coverage."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.rego.parser import parse_module
from cupcake.engine.testing.runner import compile_tests

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


def test_failures_show_the_expression_and_the_values_of_its_parts(rego: Run) -> None:
    code, out, _ = rego("test tests/many_test.rego tests/kinds_test.rego -v")
    shown = re.sub(r" \([0-9.]+(µs|ms|s)\)", "", out)
    assert shown == (HERE / "failures.txt").read_text(encoding="utf-8")
    assert code == 2


def test_a_test_that_never_ends_is_an_error(rego: Run, tmp_path: Path) -> None:
    endless = tmp_path / "endless_test.rego"
    endless.write_text(
        "package e\n\ntest_endless if count([1 | some x in numbers.range(1, 3000); "
        "some y in numbers.range(1, 3000); x + y == 0]) == 0\n",
        encoding="utf-8",
    )
    code, out, _ = rego(f"test {endless} --timeout 0.05")
    assert (code, "eval_limit_time" in out) == (2, True)


@pytest.mark.parametrize(
    "arguments", ["--run '('", "--threshold 101", "--timeout 0", "--format xml"]
)
def test_wrong_options_exit_2_and_are_named(rego: Run, arguments: str) -> None:
    code, _, err = rego(f"test tests {arguments}")
    assert code == 2
    assert shlex.split(arguments)[0] in err


def test_what_a_test_prints_is_shown_with_it(rego: Run, opa: Run) -> None:
    _, out, _ = rego("test print.rego -v")
    assert "  printed: hello 3\n  printed: a 1" in out
    outputs = [json.loads(run("test print.rego -f json")[1])[0]["output"] for run in (rego, opa)]
    assert outputs[0] == outputs[1]


# -- coverage ------------------------------------------------------------------------------------


def rows(ranges: list[dict[str, dict[str, int]]]) -> set[int]:
    return {row for r in ranges for row in range(r["start"]["row"], r["end"]["row"] + 1)}


def test_coverage_names_the_rows_that_were_reached(rego: Run) -> None:
    code, out, _ = rego("test tests -r authz --coverage")
    report = json.loads(out)
    policy = report["files"]["tests/authz.rego"]
    assert code == 0
    assert rows(policy["covered"]) == {3, 4, 5, 8, 9, 10, 13, 15, 16}
    assert rows(policy["not_covered"]) == {19}
    assert (policy["covered_lines"], policy["not_covered_lines"], policy["coverage"]) == (9, 1, 90)


def test_a_body_is_covered_up_to_where_it_stopped(rego: Run, tmp_path: Path) -> None:
    policy = tmp_path / "p_test.rego"
    policy.write_text(
        "package p\n\nq if {\n\tinput.a\n\tinput.b\n\tinput.c\n}\n\n"
        "r if {\n\tevery x in [1, 2] {\n\t\tx == 2\n\t\tx > 0\n\t}\n}\n\n"
        'test_q if not q with input as {"a": 1}\n\ntest_r if not r\n',
        encoding="utf-8",
    )
    code, out, _ = rego(f"test {policy} --coverage")
    report = json.loads(out)["files"][str(policy)]
    assert code == 0
    assert rows(report["covered"]) == {4, 5, 10, 11, 16, 18}
    assert rows(report["not_covered"]) == {3, 6, 9, 12}


def test_coverage_has_opas_shape_and_counts_the_same_rows(rego: Run, opa: Run) -> None:
    line = "test tests/authz.rego tests/authz_test.rego --coverage --format json"
    ours, theirs = json.loads(rego(line)[1]), json.loads(opa(line)[1])
    assert set(ours) == set(theirs)
    assert set(ours["files"]) == set(theirs["files"])
    for name, file in theirs["files"].items():
        covered, missed = rows(file["covered"]), rows(file.get("not_covered", []))
        found = ours["files"][name]
        assert rows(found["covered"]) | rows(found.get("not_covered", [])) == covered | missed
        # OPA's index may skip a rule whose condition we evaluate.
        assert rows(found["covered"]) >= covered


def test_counting_changes_no_result(rego: Run) -> None:
    lists = []
    for counted in (False, True):
        modules = {str(p): p.read_text(encoding="utf-8") for p in (HERE / "files/tests").iterdir()}
        parsed = [parse_module(text, name) for name, text in modules.items()]
        suite = compile_tests(parsed, {}, modules, coverage=counted)
        lists.append(
            [(r.test.full_name, r.passed, r.value, r.cases, str(r.error)) for r in suite.run()]
        )
    assert lists[0] == lists[1]


@pytest.mark.parametrize(("threshold", "code"), [(90, 0), (99, 2)])
def test_the_threshold_decides(rego: Run, threshold: float, code: int) -> None:
    found, _, err = rego(f"test tests/authz.rego tests/authz_test.rego --threshold {threshold}")
    assert found == code
    assert ("Code coverage threshold not met" in err) == (code != 0)
