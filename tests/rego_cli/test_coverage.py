"""`--coverage` of `cupcake rego test` and `eval`: the rows that OPA names, from counters in the module."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cupcake.engine.api import compile_policy
from cupcake.engine.errors import EvaluationError
from cupcake.engine.plan.planner import plan
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module
from cupcake.engine.testing.coverage import Counters, report
from cupcake.engine.testing.runner import compile_tests
from cupcake.engine.vm import load
from cupcake.engine.wasm.assemble import assemble

HERE = Path(__file__).parent
Run = Callable[..., tuple[int, str, str]]


def rows(ranges: list[dict[str, dict[str, int]]]) -> set[int]:
    """Where something starts. OPA 1.7 has no columns, and puts rows together."""
    found = set()
    for r in ranges:
        first, last = r["start"]["row"], r["end"]["row"]
        found.update({first} if "col" in r["start"] else range(first, last + 1))
    return found


def test_coverage_names_the_rows_that_were_reached(rego: Run) -> None:
    code, out, _ = rego("test tests -r authz --coverage")
    report = json.loads(out)
    policy = report["files"]["tests/authz.rego"]
    assert code == 0
    assert rows(policy["covered"]) == {3, 4, 5, 8, 9, 10, 13, 15, 16}
    # The head of row 13 gives no value; its condition, beside it, was looked at.
    assert rows(policy["not_covered"]) == {13, 19}
    assert (policy["covered_lines"], policy["not_covered_lines"]) == (9, 2)
    assert policy["coverage"] == 100 * 9 / 11


@pytest.mark.parametrize("query", ["data.covered", "data.covered.allow"])
def test_ranges_are_those_of_expressions_and_heads_as_opa_has_them(
    rego: Run, opa: Run, query: str
) -> None:
    """But for what OPA's compiler makes of parts of expressions."""
    if "Version: 1.7." in opa("version")[1]:
        pytest.skip("the columns are those of a newer `opa`")
    line = f"eval -d covered.rego --coverage {query}"
    mine, theirs = (
        json.loads(run(line)[1])["coverage"]["files"]["covered.rego"] for run in (rego, opa)
    )
    for kind in ("covered", "not_covered"):
        known = [(r["start"], r["end"]) for r in theirs.get(kind, [])]
        assert [r for r in mine.get(kind, []) if (r["start"], r["end"]) not in known] == []
    for number in ("covered_lines", "not_covered_lines", "coverage"):
        assert mine.get(number) == theirs.get(number)


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


@pytest.mark.parametrize(("threshold", "code"), [(80, 0), (99, 2)])
def test_the_threshold_decides(rego: Run, threshold: float, code: int) -> None:
    found, _, err = rego(f"test tests/authz.rego tests/authz_test.rego --threshold {threshold}")
    assert found == code
    assert ("Code coverage threshold not met" in err) == (code != 0)


# -- the counters --------------------------------------------------------------------------------

POLICY = """package p

default q := 0

q := 1 if input.a

r contains x if {
	some x in [1, 2, 3]
	x > 1
}

s := 1 if input.a
s := 2 if input.b
"""


def counted(policy: str, *inputs: object) -> dict[str, list[int]]:
    """Name of a rule -> the values that each of its definitions gave, over all inputs."""
    module = parse_module(policy, "p.rego")
    counters = Counters()
    checked = counters.policy(check([module]))
    planned = plan(checked, ["p"], index=False, counters=len(counters))
    loaded = load(assemble(planned))
    for one in inputs:
        try:
            loaded.evaluate("p", one)
        except EvaluationError as error:
            assert error.code == "eval_conflict_error"
    found: dict[str, list[int]] = {}
    for rule in (
        report([module], counters, loaded.counts(), {"p.rego": policy}).files["p.rego"].rules
    ):
        found.setdefault(rule.name, []).append(rule.values)
    return found


def test_values_of_rules_are_counted_over_all_evaluations() -> None:
    wanted = {"q": [1, 2], "r": [6], "s": [2, 0]}
    assert counted(POLICY, {"a": 1}, {"a": 2}, {}) == wanted


def test_what_was_reached_before_an_error_is_counted() -> None:
    assert counted(POLICY, {"a": 1, "b": 1})["s"] == [1, 1]


def test_other_policies_have_no_counters() -> None:
    assert compile_policy({"p.rego": POLICY}, entrypoints=["p"]).counters == (0, 0)


def test_rules_are_reported_with_their_counts(rego: Run) -> None:
    _, out, _ = rego("test tests/authz.rego tests/authz_test.rego --coverage")
    rules = json.loads(out)["files"]["tests/authz.rego"]["rules"]
    assert [(r["name"], r["row"]) for r in rules[:2]] == [("allow", 3), ("deny", 8)]
    assert [r["name"] for r in rules if not r["values"]] == ["deny", "unused"]


def test_eval_reports_the_rows_that_opa_reports(rego: Run, opa: Run) -> None:
    line = "eval --coverage -d policy.rego -i input.json data.a.b.allow"
    ours, theirs = json.loads(rego(line)[1])["coverage"], json.loads(opa(line)[1])["coverage"]
    assert set(ours) == set(theirs)
    assert set(ours["files"]) == set(theirs["files"])
    mine, file = ours["files"]["policy.rego"], theirs["files"]["policy.rego"]
    assert rows(mine["covered"]) == rows(file["covered"])
    assert rows(mine["not_covered"]) == rows(file["not_covered"])
