"""Every node knows its place, and every diagnostic shows it."""

from __future__ import annotations

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term

_TEXT = """\
package a.b

import data.x as y

p contains  v if {
\tsome v in input.xs # é
\t"é"; not f(v, `r
s`) == [1,
  2] with input as {"k": v}
}
"""


def _text(loc: ast.Location) -> str:
    return _TEXT[loc.offset : loc.end]


def test_locations_span_the_text_of_their_node() -> None:
    module = parse_module(_TEXT, "a.rego")
    (rule,) = module.rules
    assert _text(module.package.loc) == "a.b"
    assert _text(module.imports[0].loc) == "import data.x as y"
    assert _text(rule.loc) == _TEXT[_TEXT.index("p contains") :].rstrip("\n")
    assert _text(rule.head.loc) == "p contains  v"
    assert [_text(expr.loc) for expr in rule.body] == [
        "some v in input.xs",
        '"é"',
        'not f(v, `r\ns`) == [1,\n  2] with input as {"k": v}',
    ]
    last = rule.body[2]
    assert isinstance(last.kind, ast.Call)
    assert _text(last.kind.loc) == "f(v, `r\ns`) == [1,\n  2]"
    assert [_text(arg.loc) for arg in last.kind.args] == ["f(v, `r\ns`)", "[1,\n  2]"]
    assert _text(last.withs[0].loc) == 'with input as {"k": v}'


def test_rows_and_columns_count_characters_from_one() -> None:
    (rule,) = parse_module(_TEXT, "a.rego").rules
    places = [(expr.loc.row, expr.loc.col) for expr in rule.body]
    assert places == [(6, 2), (7, 2), (7, 7)]
    last = rule.body[2].kind
    assert isinstance(last, ast.Call)
    array = last.args[1]
    assert (array.loc.row, array.loc.col) == (8, 8)
    assert isinstance(array, ast.Array)
    assert (array.items[1].loc.row, array.items[1].loc.col) == (9, 3)
    assert array.loc.file == "a.rego"


def test_places_inside_a_template_string() -> None:
    (expr,) = parse_query('x := $"é {a}\\n{\n b}"')
    assert isinstance(expr.kind, ast.Assign)
    template = expr.kind.rhs
    assert isinstance(template, ast.TemplateString)
    assert [(part.loc.row, part.loc.col) for part in template.parts] == [
        (1, 8),
        (1, 11),
        (1, 13),
        (2, 2),
    ]


def test_a_diagnostic_shows_line_caret_and_hint() -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_module("package a\n\tp if !x\r\n", "dir/a.rego")
    assert str(caught.value) == (
        "dir/a.rego:2:7: rego_parse_error: illegal ! character\n"
        "    \tp if !x\n"
        "    \t     ^\n"
        "    hint: negation is written `not`"
    )


def test_locations_take_no_part_in_equality() -> None:
    assert parse_term("[ 1,x ]") == parse_term("[1, x]")


def test_the_file_of_a_term_and_a_query_can_be_named() -> None:
    with pytest.raises(CompileErrors) as caught:
        parse_term("[", "input.rego")
    assert caught.value.diagnostics[0].file == "input.rego"
    with pytest.raises(CompileErrors) as caught:
        parse_query("x := ")
    assert caught.value.diagnostics[0].file == "<query>"
