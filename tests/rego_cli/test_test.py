"""`cupcake rego test`: the same tests, results and exit codes as `opa test`; failures that say why; honest coverage."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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
    "arguments", ["--run '('", "--threshold 101", "--timeout soon", "--format xml"]
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


# -- flags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "tests -r nothing --fail-on-empty",
        "tests -r nothing",
        "tests -r test_passes --count 3",
        "tests -r test_false --count 3",
        "tests -r passes --timeout 1m",
        "tests -r passes --timeout=0",
        "tests -r passes --parallel 4 -p 1 --target rego",
        "tests -r passes --var-values --explain fails",
        "tests -r passes --capabilities v1.7.0",
        "tests -r passes --verbose=false",
    ],
)
def test_flags_of_opa_are_taken_and_give_its_exit_code(rego: Run, opa: Run, line: str) -> None:
    if "fail-on-empty" in line and "fail-on-empty" not in opa("test --help")[1]:
        pytest.skip("this `opa` has no --fail-on-empty")
    assert rego(f"test {line}")[0] == opa(f"test {line}")[0]


def test_without_a_test_fail_on_empty_says_so(rego: Run) -> None:
    assert rego("test tests -r nothing --fail-on-empty") == (1, "", "no tests were run\n")


def test_counting_repeats_the_report_until_one_fails(rego: Run) -> None:
    assert rego("test tests -r test_passes$ --count 3")[1].count("PASS: 1/1") == 3
    assert rego("test tests -r test_false$ --count 3")[1].count("FAIL: 1/1") == 1


def test_results_can_be_sorted_by_their_duration(rego: Run) -> None:
    _, out, _ = rego("test tests -f json --sort duration")
    took = [result["duration"] for result in json.loads(out)]
    assert took == sorted(took, reverse=True)


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("pretty", r"data\.\S+passes\t +[0-9]+\t +[0-9]+ ns/op"),
        ("gobench", r"BenchmarkData\S+Passes\t +[0-9]+\t +[0-9]+ ns/op"),
    ],
)
def test_a_benchmark_has_a_line_a_test(rego: Run, form: str, pattern: str) -> None:
    code, out, _ = rego(f"test tests -r test_passes$ --bench -f {form}")
    assert (code, bool(re.fullmatch(pattern, out.strip()))) == (0, True), out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("tests --explain full", "--explain notes"),
        ("tests --explain notes --coverage", "give one of them"),
        ("tests -f gobench", "give --bench too"),
        ("tests --bench --coverage", "give one of them"),
        ("tests --fail-on-emtpy", "did you mean --fail-on-empty?"),
        ("tests --run", "expected one argument"),
        ("tests --format jsno", "did you mean json?"),
        ("tests --count 0", "no number from 1 on"),
    ],
)
def test_what_cannot_be_done_is_said(rego: Run, line: str, says: str) -> None:
    code, _, err = rego(f"test {line}")
    assert (code, says in err) == (2, True), err
