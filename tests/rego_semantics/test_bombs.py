"""Programs made to exhaust a compiler: each ends in a module or in one diagnostic, whatever is nested, repeated or long.

Nothing here measures time; a step that is quadratic or worse would make this file the slowest by far.
"""

from __future__ import annotations

import pytest

from cupcake.engine import compile_policy
from cupcake.engine.errors import CompileErrors

_V2 = "import rego.v2\n"
_DEEP = 20_000


def _nest(left: str, right: str, middle: str = "1", depth: int = _DEEP) -> str:
    return left * depth + middle + right * depth


DEEP = {
    "arrays": "p := " + _nest("[", "]"),
    "objects": "p := " + _nest('{"a": ', "}"),
    "sets": "p := " + _nest("{", "}"),
    "parentheses": "p := " + _nest("(", ")"),
    "array comprehensions": "p := " + _nest("[x | x := ", "]"),
    "set comprehensions": "p := " + _nest("{x | x := ", "}"),
    "bodies": "p if " + _nest("{", "}", " true "),
    "bodies of not": _V2 + "p if " + _nest("not {", "}", "x"),
    "groups": _V2 + "p if " + _nest("(", ")", "x or y"),
    "groups beside or": _V2 + "p if " + _nest("(x or ", ")", "y"),
    "braces beside or": _V2 + "p if { " + _nest("{x or ", "}", "y") + " }",
    "a chain of or": _V2 + "p if " + " or ".join(["input.x"] * _DEEP),
    "a chain of plus": "p := " + "1 + " * _DEEP + "1",
    "a chain of unions": "p := " + "{1} | " * _DEEP + "{2}",
    "a long ref": "p := input" + ".x" * _DEEP,
    "a long ref in brackets": "p := input" + '["x"]' * _DEEP,
    "refs in refs": "p := " + _nest("input[", "]"),
    "calls in calls": "p := " + _nest("count(", ")"),
    "refs on a call": "p := f(1)" + "[0]" * _DEEP + "\nf(x) := x",
    "else": "p := 1 if { false }" + " else := 2 if { false }" * _DEEP,
    "with": "p if { x " + " with input.a as 1" * _DEEP + " }\nx := 1",
    "every": "p if { " + _nest("every x in [1] { ", "}", "true") + " }",
    "template strings": "p := " + _nest('$"{', '}"'),
    "a number": "p := " + "1" * 1_000_000,
    "an exponent": "p := 1e" + "1" * 1_000_000,
    "unclosed braces": "p if " + "{" * 1_000_000,
    "quotes": '"' * 1_000_000,
    "no Rego at all": "@" * 1_000_000,
    "source": "p := 1\n" * 1_000_000,
    "metadata in brackets": "# METADATA\n# custom: " + _nest("[", "]", "") + "\np := 1",
    "metadata": "# METADATA\n# custom:\n" + "#  k: v\n" * 20_000 + "p := 1",
}


@pytest.mark.parametrize("name", DEEP)
def test_what_is_too_deep_or_too_long_is_an_error_of_the_parser(name: str) -> None:
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"a.rego": "package a\n" + DEEP[name]}, None, ["a/p"])
    assert {found.code for found in caught.value.diagnostics} == {"rego_parse_error"}
    assert len(caught.value.diagnostics) <= 100


def _lines(count: int, pattern: str) -> str:
    return "\n".join(pattern.format(i=i, j=i + 1) for i in range(count))


LARGE = {
    "a string": 'p := "' + "a" * 1_000_000 + '"',
    "escapes": 'p := "' + "\\u0041" * 100_000 + '"',
    "a raw string": "p := `" + "a\n" * 500_000 + "`",
    "a name": "p := 1\n" + "q" * 1_000_000 + " := 1",
    "a fraction": "p := 0." + "1" * 100_000,
    "a comment": "#" + "x" * 1_000_000 + "\np := 1",
    "empty lines": "\n" * 1_000_000 + "p := 1",
    "nesting that is allowed": "p := " + _nest("[", "]", depth=200),
    "operators in parentheses": "p := " + _nest("(1 + ", ")", depth=200),
    "and": _V2 + "p if " + " and ".join(["input.x"] * 200),
    "rules": _lines(2_000, "q{i} := {i}") + "\np := 1",
    "elements": "p := [" + ",".join(["1"] * 20_000) + "]",
    "variables that follow each other": "p if {\nx0 := 1\n" + _lines(2_000, "x{j} := x{i}") + "\n}",
    "variables in reverse": "p if {\nx2000 = 1\n"
    + "\n".join(f"x{i} = x{i + 1}" for i in range(2_000))
    + "\n}",
    "sums in reverse": "p if {\n" + _lines(500, "x{i} = x{j} + 1") + "\nx500 = 1\n}",
    "declarations": "p if { some "
    + ", ".join(f"x{i}" for i in range(2_000))
    + "\n"
    + _lines(2_000, "x{i} = {i}")
    + "\n}",
    "rules that follow each other": "q0 := 1\n" + _lines(2_000, "q{j} := q{i}") + "\np := q2000",
    "types that double": "q0 := 1\n" + _lines(60, "q{j} := [q{i}, q{i}]") + "\np := count(q60)",
    "functions whose types double": "f0(x) := x + 1\n"
    + _lines(60, "f{j}(x) := [f{i}(x), f{i}(x)]")
    + "\np := 1",
    "sums in sums of what they bind": "p if { input.a[i] == input.b[i]" + " + 1" * 150 + " }",
    "refs of a head": "p := ["
    + ", ".join(f"input.x[v{i}]" for i in range(1_500))
    + "] if {\n"
    + _lines(1_500, "v{i} := input.y[{i}]")
    + "\n}",
    "names beside keys": _lines(800, "r.g{i}.h := 1\nr[input.x{i}].k := 2\nq{i} if r[input.z]")
    + "\np := 1",
    "literals in arguments": "f(x) := x\np := " + _nest("f([", "])", depth=100),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_large_compiles(name: str) -> None:
    assert compile_policy({"a.rego": "package a\n" + LARGE[name]}, None, ["a/p"]).wasm


def test_a_ring_of_rules_is_told_in_few_words() -> None:
    ring = "\n".join(f"p{i} := p{(i + 1) % 2_000}" for i in range(2_000))
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"a.rego": "package a\n" + ring}, None, ["a/p0"])
    assert {found.code for found in caught.value.diagnostics} == {"rego_recursion_error"}
    assert len(str(caught.value)) < 20_000


def test_of_endless_errors_some_are_told() -> None:
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"a.rego": "package a\n" + _lines(5_000, "q{i} := x")}, None, ["a/q0"])
    assert 1_000 <= len(caught.value.diagnostics) <= 1_100


ENCODED = {
    "a byte order mark": ("\ufeffpackage a\np := 1", ""),
    "a byte order mark within": ("package a\n\ufeffp := 1", "illegal byte-order mark"),
    "line ends of Windows": ("package a\r\np if {\r\n\ttrue\r\n}\r\n", ""),
    "marks of direction in strings and comments": ('package a\np := "\u202e x" # \u2066', ""),
    "marks of direction in names": ("package a\n\u202ep := 1", "illegal token: '\\u202e'"),
    "a null character": ("package a\np := 1\x00", "illegal null character"),
    "half of a pair": ('package a\np := "\ud800"', "illegal UTF-8 character"),
    "half of a pair, escaped": ('package a\np := "\\ud800"', ""),
    "a blank that is none": ("package a\np :=\u00a01", "illegal token: '\\xa0'"),
    "a line end of Unicode": ("package a\u2028p := 1", "illegal token: '\\u2028'"),
    "letters beyond ASCII": ("package a\np\u00e9 := 1", "illegal token: '\u00e9'"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_characters_are_taken_or_named(name: str) -> None:
    text, message = ENCODED[name]
    if not message:
        assert compile_policy({"a.rego": text}, None, ["a/p"]).wasm
        return
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"a.rego": text}, None, ["a/p"])
    assert message in {found.message for found in caught.value.diagnostics}
