"""METADATA blocks: what they hold, where they belong, and what is wrong with them."""

from __future__ import annotations

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.parser import parse_module

_TEXT = """\
# METADATA
# scope: package
# title: Guards
# custom:
#   routing:
#     required_events: ["PreToolUse"]
#   severity: HIGH
#   since: 2024-01-31
#   at: 2024-01-31T10:00:00Z
package guards

import rego.v1

# An ordinary comment.

# METADATA
# title: No force
# entrypoint: true
deny contains "x" if input.force

# METADATA
# scope: document
# description: >
#   two
#   lines
allow := true

other := 1 # METADATA is only a word here
"""


def _errors(text: str) -> list[tuple[int, str]]:
    with pytest.raises(CompileErrors) as caught:
        parse_module(text, "a.rego")
    return [(found.row, found.message) for found in caught.value.diagnostics]


def test_a_block_before_the_package_belongs_to_the_module() -> None:
    module = parse_module(_TEXT, "a.rego")
    (note,) = module.annotations
    assert note.scope == "package"
    assert note.values["title"] == "Guards"
    assert note.values["custom"] == {
        "routing": {"required_events": ["PreToolUse"]},
        "severity": "HIGH",
        "since": "2024-01-31T00:00:00Z",
        "at": "2024-01-31T10:00:00Z",
    }
    assert (note.loc.row, note.loc.col) == (1, 1)
    assert _TEXT[note.loc.offset : note.loc.end].endswith("at: 2024-01-31T10:00:00Z")


def test_a_block_before_a_rule_belongs_to_that_rule() -> None:
    deny, _, other = parse_module(_TEXT, "a.rego").rules
    (note,) = deny.annotations
    assert note.scope == "document"  # what an entrypoint is, unless another scope is written
    assert note.values == {"title": "No force", "entrypoint": True}
    assert other.annotations == ()


def test_the_scope_may_be_written() -> None:
    rules = parse_module(_TEXT, "a.rego").rules
    (note,) = rules[1].annotations
    assert note.scope == "document"
    assert note.values["description"] == "two lines\n"


def test_a_block_before_an_import_belongs_to_nothing() -> None:
    errors = _errors("package a\n# METADATA\n# title: t\nimport data.b\np := 1")
    assert errors == [(2, "annotations cannot be applied to an import")]


def test_a_block_ends_where_the_next_one_begins() -> None:
    text = "package a\n# METADATA\n# title: t\n# METADATA\n# title: u\np := 1"
    notes = parse_module(text, "a.rego").rules[0].annotations
    assert [note.values["title"] for note in notes] == ["t", "u"]


def test_numbers_are_titles_and_keys_of_custom() -> None:
    text = "package a\n# METADATA\n# title: 12\n# custom:\n#   1: x\n# 2: y\np := 1"
    (note,) = parse_module(text, "a.rego").rules[0].annotations
    assert note.values == {"title": "12", "custom": {"1": "x"}, "2": "y"}


def test_a_second_body_does_not_shift_the_blocks_after_it() -> None:
    text = "package a\np if { x } { y }\n# METADATA\n# title: q\nq := 1"
    rules = parse_module(text, "a.rego").rules
    assert [len(rule.annotations) for rule in rules] == [0, 0, 1]


def test_blocks_take_no_part_in_equality_of_values() -> None:
    one, two = (
        parse_module(f"package a\n# METADATA\n# title: {title}\np := 1", "a.rego").rules[0]
        for title in ("x", "y")
    )
    assert one == two
    assert isinstance(one.annotations[0], ast.Annotations)
    assert hash(one) == hash(two)


@pytest.mark.parametrize(
    ("block", "row", "message"),
    [
        ("# METADATA\n# a: b\n# c: d: e", 4, "yaml: mapping values are not allowed"),
        ("# METADATA\n# just text", 3, "METADATA block must be a YAML mapping"),
        ("# METADATA", 2, "expected METADATA block, found whitespace"),
        ("# METADATA\n# custom: {a: {1: x}}", 2, "invalid map key type(s): 1 is no string"),
        ("# METADATA\n# scope: galaxy", 2, "invalid annotation scope 'galaxy'"),
        (
            "# METADATA\n# scope: package",
            2,
            "annotation scope 'package' must be applied to package",
        ),
        ("# METADATA\n# title: !!python/object:os.system x", 3, "yaml: could not determine"),
        ("# METADATA\n# a: " + "[" * 5000, 3, "METADATA block is nested too deeply"),
        (
            "# METADATA\n# a: &a [1,1,1,1,1,1,1,1,1,1]\n# b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "# c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n# d: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "# e: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]",
            3,
            "METADATA block is too large",
        ),
    ],
)
def test_a_bad_block_is_a_parse_error_at_its_line(block: str, row: int, message: str) -> None:
    ((found_row, found),) = _errors(f"package a\n{block}\np := 1\n")
    assert found.startswith(message), found
    assert found_row == row


def test_a_bad_block_shows_its_line() -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_module("package a\n# METADATA\n# a: b\n# c: d: e\np := 1\n", "a.rego")
    assert caught.value.diagnostics[0].source_line == "# c: d: e"
    with pytest.raises(CompileErrors) as caught:
        parse_module("package a\n# METADATA\np := 1\n", "a.rego")
    assert caught.value.diagnostics[0].source_line == "# METADATA"


def test_an_indented_comment_begins_no_block() -> None:
    rules = parse_module("package a\n  # METADATA\n  # title: [\np := 1\n", "a.rego").rules
    assert rules[0].annotations == ()


def test_bad_blocks_are_reported_beside_syntax_errors() -> None:
    found = _errors("package a\n# METADATA\n# title: b: c\np := ]\nq := )\n")
    assert [row for row, _ in found] == [3, 4, 5]
