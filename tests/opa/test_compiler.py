"""OPA as the compiler: the same answers, OPA's errors in the user's files, and clear words when there is no OPA."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cupcake.engine.api import compile_policy, load
from cupcake.engine.errors import BuildFailed, CompileErrors, OpaError
from cupcake.engine.evaluate import Evaluator, compile_project, load_compiled
from cupcake.engine.opa import PATH_VARIABLE
from cupcake.engine.policy.discovery import read_sources

POLICY = {
    "my rules/p.rego": 'package a\n\np := sprintf("%d %s", [input.x, data.y])\n\nq contains x if some x in [2, 1]\n'
}
PROJECT = """\
# METADATA
# custom: {routing: {required_events: ["PreToolUse"], required_tools: ["Bash"]}}
package cupcake.policies.p

import rego.v1

deny contains {"reason": sprintf("no %s", ["rm"]), "severity": "HIGH", "rule_id": "NO"} if {
	contains(input.tool_input.command, "rm")
}
"""


@pytest.fixture
def opa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's OPA, and no other."""
    found = shutil.which("opa")
    if found is None:
        pytest.skip("there is no `opa` on PATH to compile with")
    monkeypatch.setenv(PATH_VARIABLE, found)


@pytest.fixture
def no_opa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("opa")
@pytest.mark.parametrize("compiler", ["builtin", "opa"])
def test_both_compilers_give_the_same_answers(compiler: str) -> None:
    artifact = compile_policy(POLICY, {"y": "z"}, ["a/p", "data.a.q"], compiler=compiler)
    policy = load(artifact)
    assert set(policy.entrypoints) == {"a/p", "a/q"}
    assert policy.evaluate("a/p", {"x": 1}) == "1 z"
    assert policy.evaluate("a/q") == [1, 2]


@pytest.mark.usefixtures("opa")
def test_opas_errors_are_shown_in_the_users_files() -> None:
    with pytest.raises(CompileErrors) as caught:
        compile_policy(
            {"a.rego": "package a\n", "b.rego": "package b\n\np := x\n"},
            {},
            ["b/p"],
            compiler="opa",
        )
    (found,) = caught.value.diagnostics
    assert (found.file, found.row, found.code) == ("b.rego", 3, "rego_unsafe_var_error")
    assert found.source_line == "p := x"


@pytest.mark.usefixtures("opa")
def test_an_unknown_entrypoint_is_opas_error() -> None:
    with pytest.raises(CompileErrors, match="a/nope"):
        compile_policy(POLICY, {"y": 1}, ["a/nope"], compiler="opa")


@pytest.mark.usefixtures("opa")
def test_v0_text_compiles_as_v0() -> None:
    artifact = compile_policy(
        {"p.rego": "package a\n\np[x] { x := 1 }\n"}, {}, ["a/p"], "v0", compiler="opa"
    )
    assert load(artifact).evaluate("a/p") == [1]


@pytest.mark.usefixtures("no_opa")
def test_without_opa_the_command_that_gets_it_is_named() -> None:
    with pytest.raises(OpaError, match="run `cupcake opa install`"):
        compile_policy(POLICY, {}, ["a/p"], compiler="opa")


def test_an_executable_that_is_not_opa_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "opa"
    fake.write_text("#!/bin/sh\necho who are you >&2\nexit 3\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv(PATH_VARIABLE, str(fake))
    with pytest.raises(CompileErrors, match="who are you"):
        compile_policy(POLICY, {}, ["a/p"], compiler="opa")


# -- in a project --------------------------------------------------------------------------------


def project(root: Path, rulebook: str) -> Path:
    policies = root / ".cupcake" / "policies" / "claude"
    policies.mkdir(parents=True)
    (policies / "p.rego").write_text(PROJECT, encoding="utf-8")
    (root / ".cupcake" / "rulebook.yml").write_text(rulebook, encoding="utf-8")
    return root


def verdicts(evaluator: Evaluator) -> list[tuple[str, str]]:
    events = [
        {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": c}}
        for c in ("rm x", "ls")
    ]
    answers = [evaluator.answer("claude", json.dumps(e).encode()) for e in events]
    return [(a.verdict, json.dumps(a.decision)) for a in answers]


@pytest.mark.usefixtures("opa")
def test_a_rulebook_can_choose_opa(tmp_path: Path) -> None:
    found = []
    for name in ("builtin", "opa"):
        root = project(tmp_path / name, f"compiler: {name}\n")
        compiled = compile_project(read_sources(root))
        compiled.save(tmp_path / f"saved-{name}")
        evaluator = Evaluator(load_compiled(tmp_path / f"saved-{name}"))
        found.append(verdicts(evaluator))
    assert found[0][0][0] == "deny"
    assert found[0] == found[1]


@pytest.mark.usefixtures("no_opa")
def test_a_project_that_wants_opa_does_not_build_without(tmp_path: Path) -> None:
    root = project(tmp_path / "p", "compiler: opa\n")
    with pytest.raises(BuildFailed, match=r"opa_error.*cupcake opa install"):
        compile_project(read_sources(root))


def test_any_other_compiler_is_an_error_with_its_row(tmp_path: Path) -> None:
    root = project(tmp_path, "version: 1\ncompiler: gcc\n")
    with pytest.raises(BuildFailed, match=r"rulebook.yml:2.*`builtin` \(the default\) or `opa`"):
        compile_project(read_sources(root))
