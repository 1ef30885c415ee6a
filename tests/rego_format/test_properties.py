"""What holds for every program: its layout says the same, has all comments, and is its own layout."""

from __future__ import annotations

import pytest
from fmt_layouts import disturbed
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programs import program

from cupcake.engine.errors import CompileErrors
from cupcake.engine.format.printer import format_text
from cupcake.engine.format.same import say_the_same
from cupcake.engine.rego.lexer import tokenize
from cupcake.engine.rego.parser import RegoVersion, parse_module

_SEEDS = st.integers(0, 1 << 32)


def texts(seed: int) -> list[tuple[str, RegoVersion]]:
    made = program(seed, templates=True)
    version: RegoVersion = "v0" if made.v0 else "v1"
    return [(text, version) for text in made.texts().values()]


def laid_out(text: str, version: RegoVersion) -> str:
    target = "v0" if version == "v0" else "v1"
    return format_text(text, "m.rego", rego_version=version, target=target, check=False)


@given(_SEEDS)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_layout_is_its_own_layout(seed: int) -> None:
    for text, version in texts(seed):
        once = laid_out(text, version)
        assert laid_out(once, version) == once


@given(_SEEDS, st.integers(0, 100), st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_layout_says_the_same_and_has_all_comments(seed: int, other: int, comments: bool) -> None:
    for text, version in texts(seed):
        changed = disturbed(text, other, comments=comments)
        try:
            before = parse_module(changed, "m.rego", rego_version=version)
        except CompileErrors:
            continue
        result = laid_out(changed, version)
        assert say_the_same(before, parse_module(result, "m.rego", rego_version=version))
        kept = "\n".join(found[3] for found in tokenize(result, frozenset()).comments)
        assert all(found[3].strip() in kept for found in tokenize(changed, frozenset()).comments)


@given(st.sampled_from([seed for seed in range(500) if program(seed).v0]))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_v0_becomes_what_both_versions_read(seed: int) -> None:
    for text, version in texts(seed):
        assert version == "v0"
        try:
            both = format_text(text, "m.rego", rego_version="v0", target="both")
        except CompileErrors:
            continue  # a builtin that v1 forbids
        old = parse_module(both, "m.rego", rego_version="v0")
        assert say_the_same(old, parse_module(both, "m.rego", rego_version="v1"))


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("p if x == 1", "p if { equal(x, 1) }", True),
        ("p := 1 + 2", "p := plus(1, 2)", True),
        ("p := {1, 2, 1}", "p := {2, 1}", True),
        ("p if { true }", "p := true", True),
        ("p if { f(_); _ = 1 }", "p if { f(_)\n_ = 1 }", True),
        ("p if x == 1", "p if x == 2", False),
        ("p if { x; y }", "p if { y; x }", False),
        ("p := (1 + 2) * 3", "p := 1 + 2 * 3", False),
        ("p contains 1", "p := {1}", False),
    ],
)
def test_what_says_the_same(text: str, other: str, same: bool) -> None:
    one, two = (parse_module(f"package a\n{found}\n", "m.rego") for found in (text, other))
    assert say_the_same(one, two) is same
