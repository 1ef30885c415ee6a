"""The golden cases: what was recorded of OPA, what we mean to do otherwise, and that all of it stays what it is."""

from __future__ import annotations

import pytest
from fmt_comparison import opa_fmt
from fmt_golden import Case, cases

from cupcake.engine.format.printer import format_text
from cupcake.engine.format.same import say_the_same
from cupcake.engine.rego.parser import parse_module

_ALL = [*cases(), *cases(differences=True)]


@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.title)
def test_a_text_gets_its_layout(case: Case) -> None:
    assert format_text(case.text, "case.rego", **case.arguments) == case.formatted


@pytest.mark.parametrize("case", _ALL, ids=lambda case: case.title)
def test_a_layout_says_what_the_text_said(case: Case) -> None:
    version = case.arguments.get("rego_version", "v1")
    target = "v0" if case.arguments.get("target") == "v0" else "v1"
    before = parse_module(case.text, "case.rego", rego_version=version)
    assert say_the_same(before, parse_module(case.formatted, "case.rego", rego_version=target))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.title)
def test_opa_gives_the_same_layout(case: Case, opa: str) -> None:
    assert opa_fmt(opa, case.text, case.flags) == case.formatted


@pytest.mark.parametrize("case", cases(differences=True), ids=lambda case: case.title)
def test_a_difference_is_still_one(case: Case, opa: str) -> None:
    assert opa_fmt(opa, case.text, case.flags) != case.formatted
