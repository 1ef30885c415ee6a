"""The matchers against Python's `re` where both mean the same, against each other, and on hard inputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cupcake.engine import compile_policy, load
from cupcake.engine.regex.compile import compile_pattern
from cupcake.engine.vm import Limits

# The pattern comes with the input, so that one compiled policy serves every example. `found` uses the
# Pike machine always, `matched` the DFA where there is one.
POLICY = """package t
matched := [m | some s in input.texts; m := regex.match(input.pattern, s)]
found := [m | some s in input.texts; m := regex.find_n(input.pattern, s, 1)]
replaced := [m | some s in input.texts; m := regex.replace(s, input.pattern, "<$0>")]
result := {"matched": matched, "found": found, "replaced": replaced}
"""


Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run() -> Run:
    """(pattern, text ...) -> what the policy finds."""
    artifact = compile_policy({"t.rego": POLICY}, entrypoints=("t/result",))
    policy = load(artifact, limits=Limits(seconds=10.0))

    def call(pattern: str, *texts: str) -> dict[str, Any]:
        found = policy.evaluate(
            "t/result", {"pattern": pattern, "texts": list(texts)}, strict_builtin_errors=True
        )
        assert isinstance(found, dict)
        return found

    return call


def dfa_offset(pattern: str) -> int:
    return int.from_bytes(compile_pattern(pattern)[28:32], "little")


ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "c",
        "é",
        "\\.",
        "[ab]",
        "[^a]",
        "[a-cé]",
        "\\d",
        "\\w",
        "\\W",
        "\\b",
        "\\B",
        ".",
        "^",
    ]
)
REPEATS = ("*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}")


def _takes_a_letter(pattern: str) -> bool:
    return re.fullmatch(pattern, "", re.ASCII) is None


PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("".join, st.lists(inner, min_size=2, max_size=4)),
        st.builds("(?:{}|{})".format, inner, inner),
        # Python ends a loop at the first empty match of what is repeated, Go does not: see the test below.
        st.builds("(?:{}){}".format, inner.filter(_takes_a_letter), st.sampled_from(REPEATS)),
        st.builds("({})".format, inner),
    ),
    max_leaves=8,
)
TEXTS = st.text(alphabet="abcé .1_\n", max_size=12)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pattern=PATTERNS, texts=st.lists(TEXTS, min_size=1, max_size=6))
@example(pattern="(?:a|ab)(?:c|bcd)", texts=["abcd"])
@example(pattern="(?:a*)*b", texts=["aaab", "c"])
@example(pattern="\\b", texts=["", " ", "é", "a"])
@example(pattern="(?:^|b)a", texts=["ba", "a", "ca"])
def test_first_match_is_the_one_of_python(run: Run, pattern: str, texts: list[str]) -> None:
    reference = re.compile(pattern, re.ASCII)
    got = run(pattern, *texts)
    for index, text in enumerate(texts):
        if not text and "\\B" in pattern:
            continue  # Python before 3.14 finds no \\B in the empty text
        found = reference.search(text)
        assert got["matched"][index] is (found is not None)
        assert got["found"][index] == ([found.group()] if found else [])


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("[a-c](?:b?|c)*|", "abc", "abc"),
        ("(?:b?|c)*", "bc", "bc"),
        ("(?:b?|c)*", "cb", ""),
        ("(?:b?|c){2,}", "bcc", "b"),
        ("a(?:|c)*", "acc", "a"),
        ("(?:c|b?)*", "bc", "bc"),
    ],
)
def test_what_may_be_empty_is_repeated_as_in_opa(
    run: Run, pattern: str, text: str, found: str
) -> None:
    assert run(pattern, text)["found"] == [[found]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pattern=PATTERNS, texts=st.lists(TEXTS, min_size=1, max_size=6))
def test_dfa_and_pike_machine_agree(run: Run, pattern: str, texts: list[str]) -> None:
    ended = f"(?m:{pattern})$"
    got = run(ended, *texts)
    assert got["matched"] == [bool(found) for found in got["found"]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(needle=TEXTS, hay=TEXTS)
def test_a_quoted_text_matches_itself_only(run: Run, needle: str, hay: str) -> None:
    pattern = "".join(f"\\x{{{ord(c):x}}}" for c in needle)
    assert run(pattern, hay)["matched"] == [needle in hay]


def test_replacement_keeps_what_does_not_match(run: Run) -> None:
    assert run("b+", "abbcb")["replaced"] == ["a<bb>c<b>"]


@pytest.mark.parametrize(
    "pattern",
    ["(a*)*b", "(a|aa)+$", "(a|a?)+b", "(?:a?){40}a{40}", "(.*)*(.*)*x", "\\b(\\w+\\s*)*!$"],
)
def test_patterns_that_explode_in_backtracking_are_linear_here(run: Run, pattern: str) -> None:
    # 200,000 characters within the limit of 10 s: exponential or quadratic work would not be done
    assert run(pattern, "a" * 200_000 + "c")["matched"] == [pattern.startswith("(?:a?)")]


@pytest.mark.parametrize(
    "pattern", ["^rm\\s+-rf\\b", "(?i)\\b(secret|token)\\b", "[^/]+\\.env$", "x*"]
)
def test_usual_patterns_have_a_dfa(pattern: str) -> None:
    assert dfa_offset(pattern) > 0


def test_a_pattern_with_too_many_states_still_matches(run: Run) -> None:
    pattern = "(a|b)*a(a|b){13}$"
    assert dfa_offset(pattern) == 0
    assert run(pattern, "ab" * 20, "b" * 40)["matched"] == [True, False]


def test_blobs_are_equal_for_equal_patterns() -> None:
    first = compile_pattern("(?P<x>a+)|b")
    compile_pattern.cache_clear()
    assert compile_pattern("(?P<x>a+)|b") == first
