"""A project that is compiled again after an edit is the one that a compile from nothing gives."""

from __future__ import annotations

import pytest

from cupcake.engine.errors import BuildFailed
from cupcake.engine.evaluate import Compilers, compile_project
from cupcake.engine.library.scaffold import project_files
from cupcake.engine.policy.discovery import ProjectSources, SourceFile

POLICY = """# METADATA
# scope: package
# custom:
#   routing:
#     required_events: ["PreToolUse"]
package cupcake.policies.mine

import rego.v1

deny contains {{"reason": "{0}", "severity": "HIGH", "rule_id": "M"}} if input.tool_input.command == "{0}"
"""


def sources(**files: str) -> ProjectSources:
    every = {**project_files("claude"), **{k.replace("__", "/"): v for k, v in files.items()}}
    return ProjectSources(
        "/project",
        tuple(SourceFile(f".cupcake/{n}", t.encode()) for n, t in sorted(every.items())),
        policy_folders=(".cupcake/policies/claude",),
    )


def test_edits_come_out_as_from_nothing() -> None:
    compilers: Compilers = {}
    name = "policies__claude__mine.rego"
    for text in ("a", "b", "a"):
        version = sources(**{name: POLICY.format(text)})
        assert compile_project(version, compilers) == compile_project(version)
    assert compile_project(sources(), compilers) == compile_project(sources())


def test_a_build_that_failed_leaves_nothing_behind() -> None:
    compilers: Compilers = {}
    compile_project(sources(), compilers)
    broken = sources(**{"policies__claude__mine.rego": POLICY.format("a") + "\nx := y\n"})
    with pytest.raises(BuildFailed) as again:
        compile_project(broken, compilers)
    with pytest.raises(BuildFailed) as fresh:
        compile_project(broken)
    assert again.value.diagnostics == fresh.value.diagnostics
    assert compile_project(sources(), compilers) == compile_project(sources())
