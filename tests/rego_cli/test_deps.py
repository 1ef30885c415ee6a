"""`cupcake rego deps` names the documents and rules that `opa deps` names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]

QUERIES = [
    *(f"data.policy.{rule}" for rule in ("p", "q", "w", "t", "u", "dyn", "n", "e", "callfn", "nope")),
    *("data", "data.policy", "data.policy.q[input.x].y = z", "data.policy.q.a.b; input.foo.bar; input.foo"),
    *("data.lib.f(input.z)", "data.other", "data.other.x2", "data.x[_].y", "x := input; y := data.nope"),
    *("data.heads", "data.heads.a.x.b", "data.heads.a[x].b", "data.heads.c", "data.heads.c[1]"),
    *("data.heads.d", "data.heads.g", "1", "input", "input.a[input.b].c", "walk(input.w, [p, v])"),
    *("print(input.pr)", "x := 1; input.y[x]", 'input["a b"].c', "not input.a.b; input.a.b.c"),
]  # fmt: skip


@pytest.mark.parametrize("form", ["pretty", "json"])
def test_dependencies_are_those_of_opa(rego: Run, opa: Run, form: str) -> None:
    older = "Version: 1.7." in opa("version")[1]  # overlooks keys of heads
    asked = [q for q in QUERIES if not older or (q != "data" and "heads" not in q)]
    lines = [f"deps -d deps -f {form} '{query}'" for query in asked]
    found = {line: rego(line) for line in lines}
    assert found == {
        line: (code, plain(out), err) for line in lines for code, out, err in [opa(line)]
    }


def plain(text: str) -> str:
    """Tables as newer versions of OPA draw them."""
    if not text.startswith("+"):
        return text
    lines = text.translate(str.maketrans("|-", "│─")).splitlines()
    joints = {0: "┌┬┐", 2: "├┼┤", len(lines) - 1: "└┴┘"}
    for number, (left, middle, right) in joints.items():
        inner = lines[number][1:-1].replace("+", middle)
        lines[number] = left + inner + right
    return "\n".join(lines) + "\n"


def test_an_error_in_the_query_is_shown(rego: Run) -> None:
    code, out, err = rego("deps 'data.p +'")
    assert (code, out, "rego_parse_error" in err) == (1, "", True)
