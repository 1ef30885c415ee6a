"""Texts that are large, deep, damaged or hostile: each is a diagnostic with a place, never a crash."""

from __future__ import annotations

import threading

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term
from cupcake.engine.rego.render import dump


def _refusal(text: str, **options: int) -> tuple[int, int, str]:
    with pytest.raises(CompileErrors) as caught:
        parse_module(text, "a.rego", **options)
    first = caught.value.diagnostics[0]
    assert first.code == "rego_parse_error"
    assert first.file == "a.rego"
    return first.row, first.col, first.message


@pytest.mark.parametrize(
    "deep",
    [
        "[" * 100_000,
        "{" * 100_000,
        "(" * 100_000,
        "f(" * 100_000,
        "a[" * 100_000,
        '{"a":' * 20_000,
        "[x | " * 20_000,
        "{x: y | " * 20_000,
        "1 + (" * 20_000,
        "1 + 1 * (" * 20_000,
        "every x in [1] { " * 20_000,
        '$"{' * 20_000,
        "x, (" * 20_000,
        "f(1)." + "g(1)." * 20_000 + "h(1)",
        "1" + " + 1" * 20_000,
        "1" + " in 1" * 20_000,
    ],
    ids=lambda text: text[:8],
)
def test_deep_nesting_is_a_parse_error(deep: str) -> None:
    row, _, message = _refusal(f"package a\np if {{\n{deep}\n}}\n")
    assert message == "expression is nested too deeply"
    assert row in (1, 3)


def test_a_long_else_chain_is_a_parse_error() -> None:
    text = "package a\np := 1 if { a }" + " else := 2 if { b }" * 5_000
    assert _refusal(text)[2].startswith("too many else branches")


@pytest.mark.parametrize(
    ("opening", "closing"),
    [("[", "]"), ("{", "}"), ("(", ")"), ("f(", ")"), ("a[", "]"), ("[x | y = ", "]")],
)
def test_ordinary_nesting_is_no_error(opening: str, closing: str) -> None:
    parse_term(opening * 60 + "1" + closing * 60)


def test_deep_text_is_refused_on_a_small_stack_too() -> None:
    refused: list[CompileErrors] = []

    def run(depth: int) -> None:
        if depth:
            return run(depth - 1)
        try:
            parse_term("[" * 240 + "]" * 240)
        except CompileErrors as error:
            refused.append(error)

    thread = threading.Thread(target=run, args=(900,))
    thread.start()
    thread.join()
    assert refused[0].diagnostics[0].message == "expression is nested too deeply"


@pytest.mark.parametrize(
    "text",
    [
        "[a | [a | " * 60 + "1, 2" + "]" * 120,
        "{a | b, " * 100 + "1" + "}" * 100,
        "[a | b, f(" * 60 + "1" + ")]" * 60,
        "(a, " * 100 + "b" + ")" * 100,
        "[a | " * 120 + ", ",
    ],
    ids=lambda text: text[:12],
)
def test_ambiguous_nesting_is_read_in_linear_steps(text: str) -> None:
    # Without the memory of failed readings each of these doubles the work per level and never ends.
    try:
        parse_term(text)
    except CompileErrors as error:
        assert error.diagnostics


def test_long_flat_text_is_no_error() -> None:
    items = ", ".join(str(i) for i in range(20_000))
    term = parse_term(f"[{items}]")
    assert isinstance(term, ast.Array)
    assert len(term.items) == 20_000
    assert len(parse_query("\n".join(["x = 1"] * 5_000))) == 5_000


def test_trailing_blanks_cost_no_more_than_their_length() -> None:
    parse_module("package a\np := 1" + " \n\t" * 300_000, "a.rego")


def test_too_large_a_text_is_refused_before_it_is_read() -> None:
    _, _, message = _refusal("package a\n" + "#" * 100, max_source=50)
    assert message == "source is too large: 110 characters, at most 50 are allowed"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("\x00", "illegal null character"),
        ("\ud800", "illegal UTF-8 character"),
        ("\udfff", "illegal UTF-8 character"),
    ],
)
@pytest.mark.parametrize("around", ["p := {}", 'p := "{}"', "# {}", "p := `\n{}`", 'p := $"{}"'])
def test_characters_that_are_no_text_are_refused_at_their_place(
    bad: str, message: str, around: str
) -> None:
    text = "package a\n\n" + around.replace("{}", bad) + "\nq := 1\n"
    with pytest.raises(CompileErrors) as caught:
        parse_module(text, "a.rego")
    (found,) = caught.value.diagnostics
    at = text.index(bad)
    row = text.count("\n", 0, at) + 1
    assert (found.row, found.col) == (row, at - text.rfind("\n", 0, at))
    assert found.message == message


def test_no_more_errors_than_a_person_reads() -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_module("package a\n" + "p := ]\n" * 500, "a.rego")
    assert 50 <= len(caught.value.diagnostics) <= 60


@pytest.mark.parametrize("text", ["@" * 300_000, "p := ]\n@\n" * 50_000, "# METADATA\n\n" * 50_000])
def test_a_flood_of_faults_is_cut_short(text: str) -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_module("package a\n" + text, "a.rego")
    assert 50 <= len(caught.value.diagnostics) <= 110


def test_a_line_too_long_to_show_is_left_out() -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_term("[" + "1, " * 1_000 + "@]")
    (found,) = caught.value.diagnostics
    assert (found.row, found.col, found.source_line) == (1, 3_002, "")


def test_windows_line_ends_and_a_byte_order_mark_are_no_errors() -> None:
    plain = "package a\n# note\np if {\n  x := 1\n  y := `r`\n}\n"
    windows = "\ufeff" + plain.replace("\n", "\r\n")
    assert dump(parse_module(windows, "a.rego")) == dump(parse_module(plain, "a.rego"))


def test_blanks_other_than_regos_are_illegal() -> None:
    for blank in "\f\v\u00a0\u2028\u3000":
        assert _refusal(f"package a\np{blank}:= 1")[0:2] == (2, 2)
