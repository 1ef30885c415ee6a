"""strings.render_template renders what OPA renders: answers recorded from OPA 1.22, null where it has an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cupcake.engine import query
from cupcake.engine.builtins.host.template_parser import parse
from cupcake.engine.errors import EvaluationError

RECORDED = json.loads(Path(__file__).with_name("templates.json").read_text("ascii"))


def render(template: str, data: object) -> str | None:
    found = query(
        "x := strings.render_template(input.t, input.d)", input={"t": template, "d": data}
    )
    return str(found[0]["x"]) if found else None


def test_every_template_renders_as_in_opa() -> None:
    answers = RECORDED["answers"]
    assert {t: render(t, RECORDED["data"]) for t in answers} == answers


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a\nb{{", "template: template:2: unclosed action"),
        ("{{nope}}", 'template: template:1: function "nope" not defined'),
        ("{{$x}}", 'template: template:1: undefined variable "$x"'),
        ("{{if .a}}", "template: template:1: unexpected EOF"),
        ("{{range .l}}{{end}}{{end}}", "template: template:1: unexpected {{end}}"),
        ("{{len 3}}", "error calling len: len of type int"),
        ("{{range 2000000}}x{{end}}", "too many steps"),
        ('{{define "t"}}{{template "t"}}{{end}}{{template "t"}}', "maximum template depth"),
        ("{{if 1}}" * 100 + "{{end}}" * 100, "blocks are nested too deeply"),
        ("{{" + "(" * 5_000 + "1" + ")" * 5_000 + "}}", "nested too deeply"),
        ('{{printf "%999999999d" 1}}{{len 1}}', "len of type int"),
    ],
)
def test_errors_say_what_is_wrong(template: str, message: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        query("x := strings.render_template(input, {})", input=template, strict_builtin_errors=True)
    assert message in caught.value.message


def test_many_ranges_within_each_other_end() -> None:
    template = "{{range 1000}}" * 4 + "x" + "{{end}}" * 4
    with pytest.raises(EvaluationError, match=r"too many steps|too long|eval_limit_time"):
        query("x := strings.render_template(input, {})", input=template, strict_builtin_errors=True)


def test_a_parsed_template_is_plain_data() -> None:
    assert parse("{{.a}}") == parse("{{ .a }}")
