"""Facts about `check` that no single golden case shows: order, caching, limits, the verifier itself."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, RuleGroup
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module, parse_query
from cupcake.engine.rego.reuse import ModuleCache
from cupcake.engine.rego.verify_checked import BrokenPromise, verify


def _module(text: str, file: str = "a.rego") -> ast.Module:
    return parse_module(text, file)


def _messages(text: str) -> list[str]:
    with pytest.raises(CompileErrors) as caught:
        check([_module(text)])
    return [d.message for d in caught.value.diagnostics]


# -- order ---------------------------------------------------------------------------------------

_STATEMENTS = [
    "a = input.a",
    "b = a",
    "[c, d] = [b, 1]",
    "not e",
    "e = input.xs[i]",
    "f > c",
    "f = count(g)",
    "g = [x | x = e]",
    "{'k': h} = input.m".replace("'", '"'),
    "data.t[h][j]",
    "every k in g { k != d }",
    "walk(l, [m, n])",
    "l = input.w",
    "n == m",
    "o + data.z[o] == 1",
    "x = 1",
    "y = x",
    "input.q with input.q as y",
]


def _outcome(statements: list[str]) -> bool:
    text = "package a\np if {\n" + "\n".join(statements) + "\n}"
    try:
        verify(check([_module(text)]))
    except CompileErrors as error:
        assert {d.code for d in error.diagnostics} == {"rego_unsafe_var_error"}
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(_STATEMENTS), min_size=1, max_size=9, unique=True), st.randoms())
def test_the_order_of_statements_decides_nothing(
    statements: list[str], chance: random.Random
) -> None:
    shuffled = list(statements)
    chance.shuffle(shuffled)
    assert _outcome(statements) == _outcome(shuffled)


def test_groups_keep_rules_in_the_order_of_file_names() -> None:
    modules = [
        _module('package a\np contains "b1"\np contains "b2"', "b.rego"),
        _module('package a\np contains "a1"', "a.rego"),
    ]
    group = check(modules).rules[("a", "p")]
    keys = [rule.head.key for rule in group.rules]
    assert keys == [ast.String("a1"), ast.String("b1"), ast.String("b2")]


def test_equal_input_gives_equal_output() -> None:
    text = "package a\np contains x if { some x in input; y = [z | z = x]; y }\nq := p"
    assert check([_module(text)]) == check([_module(text)])


def test_errors_show_their_source_line() -> None:
    text = "package a\np if {\n\tx > 1\n}"
    with pytest.raises(CompileErrors) as caught:
        check([_module(text)], sources={"a.rego": text})
    assert caught.value.diagnostics[0].render().split("\n") == [
        "a.rego:3:2: rego_unsafe_var_error: var x is unsafe",
        "    \tx > 1",
        "    \t^",
    ]


# -- caching -------------------------------------------------------------------------------------


def test_a_module_that_did_not_change_is_not_worked_on_again() -> None:
    cache = ModuleCache()
    one = _module("package a\np if { x := data.b.q; x }", "a.rego")
    two = _module("package b\nq := 1", "b.rego")
    first = check([one, two], cache=cache)
    two = _module("package b\nq := 2\nr := q", "b.rego")
    second = check([one, two], cache=cache)
    assert second.modules[0] is first.modules[0]
    assert second == check([one, two])
    assert len(cache) == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("package b\nf(x) := x", "package b\nf(x, y) := [x, y]"),
        ("package b\nf(x) := x", "package b\ng(x) := x"),
    ],
)
def test_a_change_of_a_called_function_is_seen(before: str, after: str) -> None:
    cache = ModuleCache()
    user = _module("package a\np := data.b.f(1)", "a.rego")
    check([user, _module(before, "b.rego")], cache=cache)
    with pytest.raises(CompileErrors):
        check([user, _module(after, "b.rego")], cache=cache)


def test_a_new_rule_of_the_package_is_seen_by_its_other_modules() -> None:
    cache = ModuleCache()
    user = _module("package a\np := q", "a.rego")
    with pytest.raises(CompileErrors):
        check([user], cache=cache)
    checked = check([user, _module("package a\nq := 1", "b.rego")], cache=cache)
    assert checked == check([user, _module("package a\nq := 1", "b.rego")])


def test_metadata_of_other_modules_is_never_stale() -> None:
    cache = ModuleCache()
    user = _module("package a\np := rego.metadata.chain()", "a.rego")
    first = check([user, _module("# METADATA\n# title: x\npackage a\n", "b.rego")], cache=cache)
    second = check([user, _module("# METADATA\n# title: y\npackage a\n", "b.rego")], cache=cache)
    assert first.rules != second.rules


# -- queries -------------------------------------------------------------------------------------


def test_a_query_may_stand_in_a_package() -> None:
    module = _module("package a.b\np := 1")
    checked = check([module], parse_query("x = p"), query_package="a.b")
    assert checked.query is not None
    assert [name for name, _ in checked.query.vars] == ["x"]
    with pytest.raises(CompileErrors, match="var p is unsafe"):
        check([module], parse_query("x = p"))


def test_a_query_may_import() -> None:
    imported = _module("package x\nimport data.a.b as c").imports
    checked = check([], parse_query("x = c.p"), query_imports=imported)
    assert checked.query is not None
    (expr,) = checked.query.body
    assert isinstance(expr.kind, ast.Unify)
    assert isinstance(expr.kind.rhs, ast.Ref)
    assert expr.kind.rhs.terms[1:] == (ast.String("a"), ast.String("b"), ast.String("p"))


def test_generated_and_wild_variables_are_no_variables_of_a_query() -> None:
    checked = check([], parse_query('input[_] = x; some y in ["a"]; z = [w | w = y]'))
    assert checked.query is not None
    assert [name for name, _ in checked.query.vars] == ["x", "y", "z"]


# -- limits --------------------------------------------------------------------------------------


def test_a_long_chain_of_rules_is_checked() -> None:
    lines = ["package a", *(f"p{i} := p{i + 1}" for i in range(2000)), "p2000 := upper(input.x)"]
    check([_module("\n".join(lines))])


def test_a_long_cycle_is_reported() -> None:
    lines = ["package a", *(f"p{i} := p{i + 1}" for i in range(50)), "p50 := p0"]
    messages = _messages("\n".join(lines))
    assert len(messages) == 51
    assert all("is recursive" in message for message in messages)


def test_a_large_body_in_the_worst_order_is_sorted() -> None:
    lines = [f"x{i} = x{i + 1}" for i in range(200)]
    verify(check([_module("package a\np if {\n" + "\n".join([*lines, "x200 = 1"]) + "\n}")]))


def test_nesting_is_an_answer_and_never_a_crash() -> None:
    deep = "package a\np := " + "[1 | x := " * 90 + "1" + "]" * 90
    try:
        check([_module(deep)])
    except CompileErrors as error:
        assert "nested too deeply" in str(error)


# -- the verifier --------------------------------------------------------------------------------


def _broken(checked: Checked, body: ast.Body) -> Checked:
    (path, group), *_ = checked.rules.items()
    rule = replace(group.rules[0], body=body)
    return replace(checked, rules={path: replace(group, rules=(rule,))})


def _body(text: str) -> ast.Body:
    return parse_query(text)


@pytest.mark.parametrize(
    ("body", "promise"),
    [
        ("x = 1", "neither a local nor a document"),
        ("x := 1", "needed before it is bound"),
        ("some x in input", "needed before it is bound"),
        ("__local1__ > 1; __local1__ = 2", "needed before it is bound"),
        ("not __local1__ = 2", "negated statement binds"),
        ("input.x; nofunc(1)", "nofunc"),
        ("a = [__local1__ | __local1__ = 1]; [__local1__ | __local1__ = 2]", "neither"),
        (
            "__local2__ = [__local1__ | __local1__ = 1]; [__local1__ | __local1__ = 2]",
            "shared by two closures",
        ),
        ('__local1__ = $"{input.x}"', "needed before it is bound"),
        ("__local2__ = [__local1__ | input.x]", "not bound by the body"),
    ],
)
def test_the_verifier_finds_broken_promises(body: str, promise: str) -> None:
    checked = check([_module("package a\np if input.x")])
    verify(checked)
    with pytest.raises(BrokenPromise, match=promise):
        verify(_broken(checked, _body(body)))


def test_the_verifier_finds_groups_that_lie() -> None:
    checked = check([_module("package a\np if input.x")])
    ((path, group),) = checked.rules.items()
    lies = [
        RuleGroup(("b",), group.rules, group.kind),
        replace(group, arity=1),
        replace(group, default=group.rules[0]),
        replace(group, rules=(replace(group.rules[0], default=True),)),
    ]
    for lie in lies:
        with pytest.raises(BrokenPromise):
            verify(replace(checked, rules={path: lie}))
