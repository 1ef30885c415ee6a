"""Whatever is edited, added, removed or renamed: a compile after others gives the artifact, or the errors, of a compile from
nothing."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.artifact import Artifact
from cupcake.engine.compiler import Compiler, compile_policy
from cupcake.engine.errors import CompileErrors, Diagnostic

ENTRYPOINTS = ("app/main", "app/pick")

MAIN = """package app
import data.lib
main := {
	"found": collect("deny"),
	"size": count(data.policies),
	"rest": [data.other, data.aaa],
	"mocked": mocked,
}
mocked := x if { x := data.lib.name(input.x) with data.lib.name as other with input.x as 7 }
default mocked := "none"
other(x) := sprintf("other %v", [x])
collect(verb) := found if {
	sets := [value | walk(data.policies, [path, value]); path[count(path) - 1] == verb]
	found := [d | some s in sets; some d in s]
}
pick := data.policies[input.which].deny
"""

# One of these is always there. What other files may hold: texts that use each other's names, and some that are wrong.
LIBRARIES = (
    'package lib\nname(x) := upper(x)\ntool := "Bash"\nis_edit if input.tool == "Edit"',
    'package lib\nname(x) := lower(x)\ntool := "Edit"\nis_edit if input.tool in {"Edit", "Write"}',
    "package lib\nname(x) := x if { x != 3 } else := 4\ntool contains input.t",
    "package lib\nname(x) := data.other.x if x\nlevel := 3\ntool[x] := 1 if some x in input.list\ntool.a := 2",
)
GOOD = (
    "package policies.a\nimport data.lib\n"
    'deny contains lib.name("a") if input.tool == lib.tool\n'
    'deny contains "b" if { lib.is_edit; regex.match(`^a+$`, input.text) }',
    'package policies.a\ndeny contains {"deny": input} if { input.tool == "Bash"; glob.match("*.x", [], input.text) }',
    "package policies.a\nhalt contains 1\nextra.deny contains 2 if data.lib.is_edit",
    "package policies.b\ndeny contains x if { some x in input.list; every y in input.list { y <= x } }",
    "package policies.b\ndeny contains 3 if { input.n * 2 == 6 }\np[x] := y if { some x, y in input.obj }",
    "package policies.b\ndeny contains rego.metadata.chain()",
    '# METADATA\n# title: c\npackage policies.c\nimport rego.v1\np.q.r := 1\np.q.s := data.policies.c.t\nt := {1, "two", null}',
    "package policies.c\np[x] := 1 if some x in input.keys\np.q := 2 if input.q",
    'package policies.c\np := 1\nq := x if { x := p with input as {"a": [1, 2.50, {"b"}]} }',
    "package policies.c",
    "package policies.e\nimport rego.v2\ndeny contains 1 if { data.lib.is_edit or data.lib.tool == input.t }",
    "# METADATA\n# scope: subpackages\n# title: one\npackage policies",
    "# METADATA\n# scope: subpackages\n# title: two\npackage policies",
    "package policies.d\ndeny contains x if { x := data.lib.is_edit with data.lib.tool as 1 }",
    "package aaa\nz if data.policies.b.deny with data.policies.a as {}\ny := x if { x := data.lib.tool with data.aaa.z as 1 }",
    "package other\nx := data.policies.a.deny\ny := data.policies[_].deny[z].reason",
)
BAD = (
    "package lib\nname(x, y) := [x, y]",
    "package lib\ntool := 1",
    "package other\nx := y\ny := x",
    'package other\nx := 1 + "a"',
    "package other\nx if { y > 1 }",
    "package other\nx := (",
    "package other\nx := 1 { true }",
    "package other\nx := data.lib.name(1, 2, 3)",
    "package app\nmain.conflict := 1",
    "package app\nmocked := data.policies.b.deny with input.list as [1, 2]\ndefault mocked := 5",
)
NAMES = ("a.rego", "b.rego", "c.rego", "d/e.rego", "d/f.rego", "z.rego")


@st.composite
def _histories(draw: st.DrawFn) -> list[dict[str, str]]:
    """Versions of a set of files, each a few changes away from the one before."""
    files = {"lib.rego": LIBRARIES[0], "a.rego": GOOD[0], "b.rego": GOOD[5]}
    versions: list[dict[str, str]] = []
    for _ in range(draw(st.integers(3, 8))):
        for _ in range(draw(st.integers(1, 2))):
            name = draw(st.sampled_from(NAMES))
            match draw(
                st.sampled_from(("put", "put", "put", "bad", "lib", "lines", "move", "remove"))
            ):
                case "put":
                    files[name] = draw(st.sampled_from(GOOD))
                case "bad":
                    files["bad.rego"] = draw(st.sampled_from(BAD))
                case "lib":
                    files["lib.rego"] = draw(st.sampled_from(LIBRARIES))
                case "lines" if name in files:
                    files[name] = "\n" + files[name]
                case "move" if name in files:
                    files[draw(st.sampled_from(NAMES))] = files.pop(name)
                case _:
                    files.pop(name, None)
        versions.append({"main.rego": MAIN, **files})
        files.pop("bad.rego", None)
    return versions


def _outcome(compiler: Compiler, modules: Mapping[str, str]) -> Artifact | tuple[Diagnostic, ...]:
    try:
        return compiler.compile(modules, {"lib": {"base": [1, 2]}}, ENTRYPOINTS)
    except CompileErrors as error:
        return error.diagnostics


@settings(max_examples=60, deadline=None)
@given(_histories())
def test_a_compile_after_edits_is_a_compile_from_nothing(versions: list[dict[str, str]]) -> None:
    compiler = Compiler()
    for modules in versions:
        assert _outcome(compiler, modules) == _outcome(Compiler(), modules)


@pytest.mark.parametrize("name", ["b.rego", "e.rego"])
@pytest.mark.parametrize("text", (*GOOD, *BAD))
def test_one_change_and_back(name: str, text: str) -> None:
    compiler = Compiler()
    before = {"main.rego": MAIN, "lib.rego": LIBRARIES[0]}
    before |= {"a.rego": GOOD[0], "b.rego": GOOD[3], "z.rego": GOOD[-2]}
    first = _outcome(compiler, before)
    after = {**before, name: text}
    assert _outcome(compiler, after) == _outcome(Compiler(), after)
    assert _outcome(compiler, before) == first
    assert isinstance(first, Artifact)


@pytest.mark.parametrize("text", GOOD)
def test_the_texts_that_are_meant_to_compile_do(text: str) -> None:
    modules = {"main.rego": MAIN, "lib.rego": LIBRARIES[0], "a.rego": text}
    assert isinstance(_outcome(Compiler(), modules), Artifact)


def test_other_entrypoints_and_data_are_seen() -> None:
    compiler = Compiler()
    modules = {"main.rego": MAIN, "a.rego": LIBRARIES[0], "b.rego": GOOD[0]}
    compiler.compile(modules, None, ENTRYPOINTS)
    assert compiler.compile(modules, {"k": {"v": [1]}}, ENTRYPOINTS[:1]) == compile_policy(
        modules, {"k": {"v": [1]}}, ENTRYPOINTS[:1]
    )
