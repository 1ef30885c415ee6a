"""OPA's compliance cases through planner, passes and test interpreter: no case with known builtins may differ."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import run_cases

from cupcake.engine.plan import expand, ir, json_form, optimize

# Cases that the few builtins of these tests suffice for; may only rise.
FLOOR = 690


def through_json(policy: ir.Policy) -> ir.Policy:
    """The policy written as JSON and read again."""
    return json_form.from_json(json.loads(json.dumps(json_form.to_json(policy))))


@pytest.mark.parametrize(
    "passes",
    [(), (optimize.optimize, expand.expand, through_json)],
    ids=["as planned", "optimized, expanded, through JSON"],
)
def test_no_case_gives_another_result(passes: tuple[run_cases.Pass, ...]) -> None:
    if not run_cases.path().exists():
        pytest.skip("no conformance cases: set CUPCAKE_CONFORMANCE to open.jsonl.gz")
    counts: Counter[str] = Counter()
    wrong = []
    for case in run_cases.load():
        outcome = run_cases.run(case, passes=passes)
        counts[outcome.split(" ")[0].rstrip(":")] += 1
        if outcome.startswith("wrong"):
            wrong.append(f"{case['id']}: {outcome}")
    assert not wrong
    assert counts["ok"] >= FLOOR, counts
