"""`--explain notes` and `--profile`: what OPA says of the same evaluation, from marks in the module."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., tuple[int, str, str]]

# Queries whose notes OPA prints in the same lines.
SAME_NOTES = ["p", "q", "r", "t", "silent", "chosen", "helper", "f(1)", "head", "nothing"]


@pytest.mark.parametrize("rule", SAME_NOTES)
def test_notes_stand_in_the_lines_that_opa_prints(rego: Run, opa: Run, rule: str) -> None:
    line = f"eval -d traced.rego -f pretty --explain notes data.traced.{rule}"
    shown, wanted = rego(line), opa(line)
    # A query that is a call has another form in OPA: it asks for the value with `_`.
    assert re.sub(r"Enter data.traced.f\(.*\)", "Enter f", shown[1]) == re.sub(
        r"Enter data.traced.f\(.*\)", "Enter f", wanted[1]
    )
    assert (shown[0], shown[2]) == (wanted[0], wanted[2])


def test_bodies_inside_of_expressions_are_entered_as_they_are_written(rego: Run) -> None:
    code, out, _ = rego(
        "eval -f pretty --explain notes '[x | some x in [1, 2]; trace(sprintf(\"%d\", [x])); x > 1]'"
    )
    assert (code, out.splitlines()[1:4]) == (
        0,
        [
            'query:1     | Enter [1, 2]; trace(sprintf("%d", [x])); x > 1',
            'query:1     | | Note "1"',
            'query:1     | | Note "2"',
        ],
    )


def test_notes_are_events_in_json(rego: Run, opa: Run) -> None:
    line = "eval -d traced.rego --explain notes data.traced.t"
    ours, theirs = (json.loads(run(line)[1])["explanation"] for run in (rego, opa))

    def notes(events: list[dict[str, Any]]) -> list[Any]:
        return [(e["Op"], e["Location"]["row"], e["Message"]) for e in events if e["Op"] == "Note"]

    assert notes(ours) == notes(theirs) != []


def test_a_failing_test_shows_its_notes(rego: Run, tmp_path: Any) -> None:
    path = tmp_path / "noted_test.rego"
    path.write_text(
        'package noted_test\n\ntest_a if {\n\ttrace("here")\n\tf(2)\n}\n\nf(x) if {\n\ttrace("there")\n\tx > 2\n}\n\n'
        'test_b if trace("not shown")\n',
        encoding="utf-8",
    )
    code, out, _ = rego(f"test {path} --explain notes")
    place = re.escape(str(path))
    lines = rf"""  {place}:3 +Enter data\.noted_test\.test_a
  {place}:4 +\| Note "here"
  {place}:8 +\| Enter data\.noted_test\.f
  {place}:9 +\| \| Note "there"
"""
    assert (code, bool(re.search(lines, out)), "not shown" in out) == (2, True, False), out
    assert "noted_test.f" not in rego(f"test {path}")[1]


# -- profiles ------------------------------------------------------------------------------------


def profile(run: Run, flags: str, query: str = "data.traced.counted") -> list[dict[str, Any]]:
    code, out, err = run(f"eval -d traced.rego {flags} {query}")
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)["profile"]
    return found


def test_a_profile_has_opas_shape_and_rows(rego: Run, opa: Run) -> None:
    ours, theirs = profile(rego, "--profile"), profile(opa, "--profile")
    assert [set(row) for row in ours] == [set(theirs[0])] * len(theirs)
    rows = [
        sorted((r["location"]["file"], r["location"]["row"]) for r in one) for one in (ours, theirs)
    ]
    assert rows[0] == rows[1]


def test_expressions_are_counted_as_they_are_written(rego: Run) -> None:
    counts = {
        row["location"]["row"]: (row["num_eval"], row["num_redo"], row["num_gen_expr"])
        for row in profile(rego, "--profile")
        if row["location"]["file"]
    }
    # Ten numbers, of which six are greater than 4 and three of those even, one of which is 8; `even` is asked six times.
    assert counts == {
        64: (1, 10, 1),
        65: (10, 6, 1),
        66: (6, 3, 1),
        67: (3, 2, 1),
        70: (6, 3, 1),
    }


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ("--profile-sort line", [70, 67, 66, 65, 64, 1]),
        ("--profile-sort num_eval --profile-sort line", [65, 70, 66, 67, 64, 1]),
        ("--profile-sort num_redo --profile-sort line --profile-limit 2", [64, 65]),
        ("--profile-limit 0 --profile-sort line", [70, 67, 66, 65, 64, 1]),
    ],
)
def test_a_profile_is_sorted_and_cut(rego: Run, flags: str, wanted: list[int]) -> None:
    assert [row["location"]["row"] for row in profile(rego, flags)] == wanted


def test_the_table_names_the_query_by_its_text(rego: Run) -> None:
    code, out, _ = rego("eval -d traced.rego --profile -f pretty data.traced.counted")
    assert code == 0
    heads = ["Time", "Num Eval", "Num Redo", "Num Gen Expr", "Location"]
    assert heads in [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert re.search(r"│ data\.traced\.counted │$", out, re.MULTILINE)
    assert "timer_rego_query_eval_ns" in out


def test_a_repeated_profile_has_statistics(rego: Run, opa: Run) -> None:
    line = "eval -d traced.rego --profile --count 3 data.traced.counted"
    ours, theirs = (json.loads(run(line)[1])["aggregated_profile"] for run in (rego, opa))
    assert {frozenset(r["total_time_ns_stats"]) for r in ours} == {
        frozenset(theirs[0]["total_time_ns_stats"])
    }
    assert ours[0]["total_time_ns_stats"]["count"] == 3


@pytest.mark.parametrize("rule", ["p", "q", "r", "t", "chosen", "head", "counted"])
def test_watching_changes_no_result(rego: Run, rule: str) -> None:
    line = f"eval -d traced.rego -f values data.traced.{rule}"
    plain = rego(line)
    for flags in ("--profile", "--explain notes", "--profile --explain notes --coverage"):
        assert rego(f"{line} {flags}") == plain
