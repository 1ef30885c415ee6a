"""What planned policies give: small policies with the value of `data.t.x`, each a fact about the language."""

from __future__ import annotations

import json
from typing import Any

import pytest
from few_builtins import BUILTINS
from interpreter import Interpreter, RegoError
from values import from_json, to_json

from cupcake.engine.errors import CompileErrors
from cupcake.engine.plan import expand, ir, json_form, optimize
from cupcake.engine.plan.emitter import MAX_NESTING
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.pretty import pretty
from cupcake.engine.plan.verify import verify
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module

UNDEFINED = "undefined"
INPUT = {"n": 3, "list": ["a", "b"], "obj": {"k": 1}, "no": False, "pkg": "b"}
BASE = {"base": {"v": 1, "list": [1, 2]}, "m": {"only": {"p": "base"}, "b": {"extra": 1}}}

OTHER = {
    "m_b.rego": 'package m.b\np := "b"\nq contains 1\nq contains 2\nf(x) := x',
    "m_c.rego": 'package m.c\np := "c"\ndefault r := false\nr if input.none',
    "w.rego": "package w\nv := 1\nu := v + 1\nf(x) := x * 2\nff := f(3)\ncnt := count([1, 2])\nin_n := input.n",
}

CASES: dict[str, tuple[str, Any]] = {
    # complete rules
    "a rule without body is its value": (
        "x := {1, [2], null}",
        [None, 1, [2]],
    ),
    "no body holds": ("x if input.none", UNDEFINED),
    "false is not true": ("x if input.no", UNDEFINED),
    "a default fills in": ("default x := 7\nx := 1 if input.none", 7),
    "a default stays away": ("default x := 7\nx := 1 if input.n == 3", 1),
    "else takes the first that holds": (
        "x := 1 if input.n == 1\nelse := 2 if input.n == 3\nelse := 3",
        2,
    ),
    "else without condition": ("x := 1 if input.none\nelse := 3", 3),
    "equal outputs do not conflict": ("x := v if some v in [2, 2.0]", 2),
    "an undefined value is an undefined rule": ("x := input.none if true", UNDEFINED),
    # sets and objects
    "partial set": ("x contains v if some v in [2, 1, 2]", [1, 2]),
    "partial object": ("x[k] := v if some k, v in input.list", {"0": "a", "1": "b"}),
    "refs in heads nest": ("x.a.b := 1\nx.a.c := 2\nx.d := 3", {"a": {"b": 1, "c": 2}, "d": 3}),
    "dynamic and ground heads merge": (
        'x[k].v := k if some k in ["p", "q"]\nx.fix := 1',
        {"p": {"v": "p"}, "q": {"v": "q"}, "fix": 1},
    ),
    "sets inside objects": (
        'x[k] contains v if { some k in ["a"]; some v in [1, 2] }',
        {"a": [1, 2]},
    ),
    "a shared value is not changed by a deeper head": (
        'o := {"i": {"z": 1}}\ny[k] := o if some k in ["a"]\ny.b.i.n := 2 if true\nx := [y, o]',
        [{"a": {"i": {"z": 1}}, "b": {"i": {"n": 2}}}, {"i": {"z": 1}}],
    ),
    # functions
    "patterns choose the body": (
        'f([a, b]) := a + b\nf({"k": v}) := v\nf("s") := "str"\nx := [f([1, 2]), f(input.obj), f("s")]',
        [3, 1, "str"],
    ),
    "no body fits": ("f([a, b]) := a + b\nx := f(input.list[_])", UNDEFINED),
    "a repeated argument must be equal": ("f(a, a2) := 1 if a == a2\nx := [f(1, 1)]", [1]),
    "default function": ("default f(_) := 0\nf(a) := a if a > 1\nx := [f(1), f(2)]", [0, 2]),
    "else in functions": ("f(a) := 1 if a > 1\nelse := 2\nx := [f(1), f(2)]", [2, 1]),
    "a false result is a value": ("f(a) := false if a == 1\nx := [f(1)]", [False]),
    "a false result is no success": ("f(a) := false if a == 1\nx if f(1)", UNDEFINED),
    # refs and unification
    "an index is bound": ('x := i if input.list[i] == "b"', 1),
    "both sides of a pattern": ("x := [a, b] if [a, [b, 2]] = [1, [5, 2]]", [1, 5]),
    "a pattern checks length": ("x if [_] = input.list", UNDEFINED),
    "object patterns": ('x := v if {"k": v} = input.obj', 1),
    "object patterns check size": ('x := v if {"k": v, "z": _} = input.obj', UNDEFINED),
    "a variable twice": ("x := a if [a, a] = input.list", UNDEFINED),
    "composite keys of sets": ('x := [v | {["a", 1], ["b", 2]}[["b", v]]]', [2]),
    "a ref as a key": ("x := input.list[input.n - 2]", "b"),
    "walk": ('x := [p | walk({"a": [7]}, [p, 7])]', [["a", 0]]),
    "an undefined item undoes the array": ("x := [input.none, 1]", UNDEFINED),
    # closures
    "not undefined": ("x if not input.none.deeper", True),
    "not with a comprehension": ("x if not count([v | v := input.list[_]]) == 3", True),
    "not covers a ref": ("x if not input.none == 1", True),
    "not covers both sides of an equation": ("x if not input.none == input.nope", True),
    "not does not cover arguments": ("x if not count(input.none) == 1", UNDEFINED),
    "not does not cover operands of infix calls": ("x if not input.none != 1", UNDEFINED),
    "not does not cover a searched collection": ("x if not 1 in input.none", UNDEFINED),
    "not does not cover members": ("x if not [input.none] == [1]", UNDEFINED),
    "not does not cover operands of refs": ("x if not input.list[input.none]", UNDEFINED),
    "not covers a call with its output captured": ("f(1) := 1\nx if not f(input.n, 1)", True),
    "not covers the call itself": ("f(1) := 1\nx if not f(input.n)", True),
    "every holds": ("x if every v in input.list { v != 3 }", True),
    "every fails": ('x if every v in input.list { v == "a" }', UNDEFINED),
    "every of nothing": ("x if every v in [] { v == 3 }", True),
    "every of no collection": ("x if every v in input.n { v }", UNDEFINED),
    "every of undefined": ("x if every v in input.none { v }", UNDEFINED),
    "every with keys": ('x if every k, v in input.obj { k == "k"; v == 1 }', True),
    "nested every with scans": (
        "x if every v in [[1, 2], [2]] { every w in v { some z in [1, 2]; z == w } }",
        True,
    ),
    "comprehensions see outer values": (
        "x := [[a, b] | some a in [1, 2]; some b in [a]]",
        [[1, 1], [2, 2]],
    ),
    "an object comprehension": ("x := {k: v | some k, v in input.obj}", {"k": 1}),
    # data
    "base data": ("x := data.base.list[1]", 2),
    "a package is merged with base data": ("x := data.m.b", {"p": "b", "q": [1, 2], "extra": 1}),
    "a package of a variable name": ("x := data.m[input.pkg].p", "b"),
    "a base document of a variable name": (
        'x := [v | some k in ["only", "c"]; v := data.m[k].p]',
        ["base", "c"],
    ),
    "ranging over packages": (
        "x := {k: v | v := data.m[k].p}",
        {"b": "b", "c": "c", "only": "base"},
    ),
    "ranging deeper": ("x := {[k, l] | data.m[k][l] = false}", [["c", "r"]]),
    "ranging into values": ("x := {v | data.m[_].q[v]}", [1, 2]),
    "functions are not seen": ("x := {k | data.m.b[k]}", ["extra", "p", "q"]),
    # with
    "with input": ("x := v if v := data.w.in_n with input.n as 5", 5),
    "with all of input": ("x := v if v := input with input as [1]", [1]),
    "with base data": ("x := v if v := data.base.v with data.base.v as 9", 9),
    "with a rule": ("x := v if v := data.w.u with data.w.v as 41", 42),
    "with a package": ('x := v if v := data.w.u with data.w as {"u": 0}', 0),
    "with a package, seen from above": (
        "x := v if v := data.m.b with data.m.b.p as 3",
        {"p": 3, "q": [1, 2], "extra": 1},
    ),
    "with a function for a function": (
        "g(v) := v + 100\nx := v if v := data.w.ff with data.w.f as g",
        103,
    ),
    "a mock may call what it replaces": (
        "g(v) := data.w.f(v) + 1\nx := v if v := data.w.ff with data.w.f as g",
        7,
    ),
    "with a value for a builtin": ("x := v if v := data.w.cnt with count as 7", 7),
    "with a function for a builtin": ("c(_) := 8\nx := v if v := data.w.cnt with count as c", 8),
    "with a builtin for a function": ("x := v if v := data.w.ff with data.w.f as abs", 3),
    "with a local value for a function": (
        "x := v if { n := input.n; v := data.w.ff with data.w.f as n }",
        3,
    ),
    "a local mock is not seen in data": (
        "x := v if { n := input.n; v := data.base with data.w.f as n }",
        {"v": 1, "list": [1, 2]},
    ),
    "with keeps all solutions": (
        "x := [[i, v] | v := input.l[i] with input.l as [5, 5]]",
        [[0, 5], [1, 5]],
    ),
    "with keeps repeated solutions": ("x := [1 | input.l[_] with input.l as [5, 5]]", [1, 1]),
    "with ends with its expression": (
        "x := [a, b] if { a := input.n with input.n as 1; b := input.n }",
        [1, 3],
    ),
    "with under not": ("x if not data.w.u == 2 with data.w.v as 5", True),
    "an undefined with value": ("x if not input.zz with input.zz as input.none", UNDEFINED),
    "templates": ("x := $`{input.n} {input.none} {input.list}`", '3 <undefined> ["a", "b"]'),
}
CONFLICTS = {
    "complete rules": (
        "x := v if some v in [1, 2]",
        "complete rules must not produce multiple outputs",
    ),
    "two complete rules": (
        "x := 1 if input.n\nx := 2 if input.n",
        "complete rules must not produce multiple outputs",
    ),
    "functions": (
        "f(a) := v if some v in [a, 2]\nx := f(1)",
        "functions must not produce multiple outputs for same inputs",
    ),
    "partial objects": (
        'x[k] := v if { k := "a"; some v in [1, 2] }',
        "object keys must be unique",
    ),
    "object comprehensions": (
        'x := {k: v | k := "a"; some v in [1, 2]}',
        "object keys must be unique",
    ),
    "heads of different depth": (
        'x[k] := 1 if some k in ["a"]\nx.a.b := 2 if true',
        "object keys must be unique",
    ),
}


def planned(source: str, *, index: bool = True) -> ir.Policy:
    modules = {**OTHER, "t.rego": "package t\n" + source}
    checked = check([parse_module(text, name) for name, text in sorted(modules.items())])
    policy = plan(checked, ["t/x"], const(BASE), index=index)
    verify(policy)
    return policy


def const(value: Any) -> ir.Const:
    match value:
        case dict():
            return ir.ConstObject(tuple((key, const(item)) for key, item in value.items()))
        case list():
            return ir.ConstArray(tuple(const(item) for item in value))
        case bool() | str() | None:
            return value
    return ir.ConstNumber(str(value))


def result(policy: ir.Policy, event: Any = INPUT) -> Any:
    found = to_json(Interpreter(policy, BUILTINS).run("t/x", from_json(event)))
    assert len(found) <= 1
    return found[0]["result"] if found else UNDEFINED


@pytest.mark.parametrize("name", list(CASES))
def test_value(name: str) -> None:
    source, want = CASES[name]
    assert result(planned(source)) == want
    assert result(planned(source, index=False)) == want


@pytest.mark.parametrize("name", list(CASES))
def test_passes_and_json_keep_the_value(name: str) -> None:
    source, want = CASES[name]
    policy = planned(source)
    for changed in (
        optimize.optimize(policy),
        expand.expand(policy),
        json_form.from_json(json.loads(json.dumps(json_form.to_json(policy)))),
    ):
        verify(changed)
        assert result(changed) == want


@pytest.mark.parametrize("name", list(CONFLICTS))
def test_conflict(name: str) -> None:
    source, message = CONFLICTS[name]
    with pytest.raises(RegoError) as caught:
        result(planned(source))
    assert str(caught.value) == f"eval_conflict_error: {message}"


def test_equal_input_gives_equal_ir() -> None:
    sources = [source for source, _ in CASES.values()]
    for source in sources[:20]:
        assert planned(source) == planned(source)
        assert pretty(planned(source), places=True) == pretty(planned(source), places=True)


def test_iterations_nested_too_deeply_are_refused_with_their_place() -> None:
    lines = "\n".join(f"some v{number} in input.list" for number in range(MAX_NESTING + 10))
    with pytest.raises(CompileErrors) as caught:
        planned(f"x if {{\n{lines}\n}}")
    (error,) = caught.value.diagnostics
    assert (error.code, error.file) == ("rego_compile_error", "t.rego")
    assert error.row > MAX_NESTING


def test_rules_that_no_entrypoint_needs_are_left_out() -> None:
    names = [func.name for func in planned("x := y\ny := 1\nz := data.w.u").funcs]
    assert names == ["g0.data.t.x", "g0.data.t.y"]


def test_ground_terms_are_constants() -> None:
    (func,) = planned('x := {"a": [1, {2, 3}]}').funcs
    kinds = {type(stmt) for block in func.blocks for stmt in block.stmts}
    assert ir.LoadConstStmt in kinds
    assert ir.MakeObjectStmt not in kinds


def test_guards_are_switched_on() -> None:
    source = "\n".join(
        f'x contains {n} if {{ input.event == "e{n % 10}"; input.deep.v = {n} }}' for n in range(40)
    )
    policy = planned(source)
    machine = Interpreter(policy, BUILTINS)
    machine.run("t/x", from_json({"event": "e3", "deep": {"v": 13}}))
    plain = Interpreter(planned(source, index=False), BUILTINS)
    plain.run("t/x", from_json({"event": "e3", "deep": {"v": 13}}))
    assert machine.steps < plain.steps / 2
    for event in ({"event": "e3", "deep": {"v": 13}}, {"event": "e3"}, {}, {"event": 3}):
        assert result(policy, event) == result(planned(source, index=False), event)


def test_one_rule_under_several_values_is_planned_once() -> None:
    source = "\n".join(f'x contains "{n}" if input.event in {{"a", "{n}"}}' for n in range(8))
    policy = planned(source)
    adds = pretty(policy).count(" SetAdd ")
    assert adds == 8
    assert result(policy, {"event": "a"}) == [str(n) for n in range(8)]
    assert result(policy, {"event": "5"}) == ["5"]


def test_functions_that_a_with_does_not_touch_are_shared() -> None:
    source = "x := v if v := data.w.u with count as 3"
    policy = planned(source, index=False)
    shared = optimize.share_functions(policy)
    assert [f.name for f in policy.funcs if f.name.startswith("g1")] == [
        "g1.data.w.u",
        "g1.data.w.v",
    ]
    assert len(shared.funcs) == 3
    assert result(shared) == 2


def test_expanded_plans_hold_only_statements_of_opa() -> None:
    source = 'x contains {"a": [1, null]} if input.event in {"p", "q"}\nx contains 2 if input.event == "r"'
    document = json_form.to_json(expand.expand(planned(source)))
    text = json.dumps(document)
    assert '"type": "cupcake:' not in text
    assert '"type": "MakeNumberRefStmt"' in text
