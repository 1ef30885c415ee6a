"""What a run of tests leaves for the next one changes no result: names, rows, outcomes, and what failures show."""

from __future__ import annotations

import pytest

from cupcake.engine.rego.parser import parse_module
from cupcake.engine.testing.runner import SuiteCache, compile_tests

POLICY = "package p\n\nallow if input.x > limit\n\nlimit := 3\n"
TESTS = """package p_test

import data.p

test_one if p.allow with input as {"x": 2}

test_one if p.limit == 4

test_cases[name] if {
	some name, x in {"small": 1, "large": 9}
	p.allow with input as {"x": x}
}
"""
OTHER = "package p_test\n\ntest_one if data.p.limit == 3\n"

EDITS = {
    "nothing": lambda files: files,
    "a rule": lambda files: {**files, "p.rego": POLICY.replace("3", "0")},
    "rows": lambda files: {**files, "p_test.rego": "\n\n# moved\n" + TESTS},
    "a test more": lambda files: {**files, "p_test.rego": TESTS + "\ntest_two := false\n"},
    "a file before it with the same name": lambda files: {**files, "a_test.rego": OTHER},
    "a file less": lambda files: {"p.rego": POLICY, "b_test.rego": OTHER},
}


def outcome(files: dict[str, str], parsed: dict[str, object], cache: SuiteCache) -> list[object]:
    for name, text in files.items():
        known = parsed.get(name)
        if not isinstance(known, tuple) or known[0] != text:
            parsed[name] = (text, parse_module(text, name))
    modules = [parsed[name][1] for name in files]  # type: ignore[index]
    results = compile_tests(modules, {}, files, cache=cache).run()
    return [
        (r.test, r.test.loc, r.passed, r.value, r.cases, str(r.error), r.failure) for r in results
    ]


@pytest.mark.parametrize("edit", EDITS)
def test_after_an_edit_the_results_are_those_of_a_first_run(edit: str) -> None:
    before = {"p.rego": POLICY, "p_test.rego": TESTS}
    after = EDITS[edit](before)
    parsed: dict[str, object] = {}
    cache = SuiteCache()
    outcome(before, parsed, cache)
    assert outcome(after, parsed, cache) == outcome(after, {}, SuiteCache())
    assert outcome(before, parsed, cache) == outcome(before, {}, SuiteCache())
