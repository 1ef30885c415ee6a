"""Small programs that would be expensive to compile: each ends soon, in a module or in diagnostics with a place."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from cupcake.engine.api import compile_policy
from cupcake.engine.errors import CompileErrors, EngineError

HARD_STOP = 60


@pytest.fixture(autouse=True)
def hard_stop() -> Iterator[None]:
    def late(number: int, frame: object) -> None:
        raise AssertionError("the compile goes on and on")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HARD_STOP)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def lines(count: int, text: str) -> str:
    return "\n".join(text.replace("{i}", str(i)).replace("{j}", str(i + 1)) for i in range(count))


COMPILES = {
    "a rule that doubles the one before": "x0 := [1, 1]\n" + lines(60, "x{j} := [x{i}, x{i}]") + "\np := x60",
    "a variable that doubles the one before": "p if {\nx0 := [1, 2]\n" + lines(60, "x{j} := [x{i}, x{i}]") + "\nx60 }",
    "an object that doubles": 'p if {\nx0 := {"a": 1}\n' + lines(60, 'x{j} := {"a": x{i}, "b": x{i}}') + "\nx60 }",
    "doubled types that are compared": 'x0 := [1, "a"]\n' + lines(40, "x{j} := [x{i}, x{i}]") + "\np if x40 == x39",
    "a function that calls the next twice": lines(60, "f{i}(x) := f{j}(x) + f{j}(x)") + "\nf60(x) := x\np := f0(1)",
    "a long chain of rules": lines(1000, "p{i} := p{j}") + "\np1000 := 1\np := p0",
    "a repeat that would be a million states": "p := regex.match(`(((a{100}){100}){100}){100}`, input)",
    "a DFA that would be exponential": "p := regex.match(`(a|b)*a(a|b){30}`, input)",
    "alternatives in alternatives of a glob": 'p := glob.match("' + "{a," * 200 + "b" + "}" * 200 + '", [], input)',
    "an array of many numbers": f"p := [{','.join(map(str, range(30_000)))}]",
    "a string without end": f'p := "{"x" * 2_000_000}"',
}  # fmt: skip


@pytest.mark.parametrize("name", COMPILES)
def test_it_compiles(name: str) -> None:
    assert compile_policy({"a.rego": "package a\n" + COMPILES[name]}, entrypoints=["a/p"]).wasm


REFUSED = {
    "a number of a million digits": ("p := " + "9" * 1_000_000, 2, "number too big"),
    "a number with a huge exponent": ("p := 1e999999999999999999999999", 2, "number too big"),
    "more variables to iterate than blocks nest": ("p if {\n" + lines(2000, "x{i} := input[_]") + "\n}", 152, "split the rule"),
    "a ref that iterates without end": ("p := input" + "[_]" * 500, 2, "split the rule"),
    "a package of a thousand steps": ("import data" + ".a" * 1000 + "\np := 1", 2, "at most 100 steps"),
    "a rule of a thousand steps": ("a" + ".b" * 1000 + " := 1\np := 1", 2, "at most 100 steps"),
    "brackets without end": ("p := " + "[" * 100_000, 2, "nested too deeply"),
    "else without end": ("p := 1 if input.a" + "\nelse := 2 if input.b" * 1000, 253, "too many else branches"),
    "50 MB": ("p := 1\n" + "# comment\n" * 5_000_000, 1, "source is too large"),
    "aliases of YAML that multiply": (
        "# METADATA\n# custom:\n#   a: &a [1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"#   {chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9))
        + "p := 1",
        3,
        "METADATA block is too large",
    ),
    "a rule that needs itself, the long way": (lines(1000, "p{i} := p{j}") + "\np1000 := p0\np := 1", 2, "is recursive"),
    "a thousand unsafe variables": ("p if {\n" + lines(1000, "x{i} > 1") + "\n}", 3, "var x0 is unsafe"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_at_its_place(name: str) -> None:
    text, row, message = REFUSED[name]
    with pytest.raises(CompileErrors) as caught:
        compile_policy({"a.rego": "package a\n" + text}, entrypoints=["a/p"])
    first = caught.value.diagnostics[0]
    assert message in first.render()
    assert (first.file, first.row) == ("a.rego", row)


DEEP: dict[str, object] = {}
_level = DEEP
for _ in range(3000):
    _level["a"] = _level = {}
ENDLESS: dict[str, object] = {}
ENDLESS["a"] = ENDLESS

DATA = {
    "deep": (DEEP, "nests too deeply"),
    "without end": (ENDLESS, "nests too deeply"),
    "not a number": ({"a": [float("nan")]}, "nan is no number"),
    "infinity": ({"a": float("-inf")}, "-inf is no number"),
    "a key that is no text": ({"a": {1: 2}}, "no string"),
    "an object of Python's": ({"a": object()}, "object is no value"),
    "bytes": ({"a": b"x"}, "bytes is no value"),
}


@pytest.mark.parametrize("name", DATA)
def test_a_base_document_that_is_no_json_is_refused(name: str) -> None:
    data, message = DATA[name]
    with pytest.raises(EngineError, match=message):
        compile_policy({"a.rego": "package a\np := data.a"}, data, ["a/p"])
