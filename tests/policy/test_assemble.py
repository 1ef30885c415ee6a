"""What takes part in a build, and what is warned of."""

from __future__ import annotations

import pytest

from cupcake.engine.policy.assemble import LayerPlan, assemble
from cupcake.engine.policy.discovery import ProjectSources, SourceFile
from cupcake.engine.policy.rulebook import Findings

P = ".cupcake/policies/claude/"


def head(package: str, routing: str = '{required_events: ["PreToolUse"]}') -> str:
    return f"# METADATA\n# custom: {{routing: {routing}}}\npackage {package}\n"


def build(files: dict[str, str]) -> tuple[dict[tuple[str, str], LayerPlan], Findings]:
    sources = ProjectSources(
        root="/p",
        files=tuple(
            SourceFile(path, text.encode(), "global" if path.startswith("global:") else "project")
            for path, text in sorted(files.items())
        ),
        global_root="/g" if any(path.startswith("global:") for path in files) else None,
        policy_folders=tuple(sorted({path.rpartition("/")[0] for path in files})),
    )
    plans, findings = assemble(sources)
    return {(plan.layer, plan.harness): plan for plan in plans}, findings


WARNED = [
    (
        P + "a.rego",
        "package cupcake.policies.a\n",
        1,
        "not compiled: the policy has no METADATA block",
    ),
    (
        P + "a.rego",
        "# METADATA\n# title: x\npackage cupcake.policies.a\n",
        3,
        "has no custom.routing",
    ),
    (
        P + "a.rego",
        head("cupcake.policies.a", '{required_events: ["PreTollUse"]}'),
        2,
        "`PreTollUse`",
    ),
    (P + "a.rego", head("cupcake.policies.a", "{}"), 2, "routed for no event"),
    (P + "a.rego", head("other.a"), 2, "outside of cupcake.policies"),
    (P + "a.rego", head("cupcake.policiesx.a"), 2, "outside of cupcake.policies"),
    (
        P + "a.rego",
        "package cupcake.system\nevaluate := {}\n",
        1,
        "defines `evaluate` of the system",
    ),
    (
        P + "a.rego",
        head(
            "cupcake.policies.a",
            '{required_events: ["PreToolUse"], required_tools: ["Bash|Write"]}',
        ),
        2,
        "`Bash|Write` is no tool's name",
    ),
    (
        P + "a.rego",
        head("cupcake.policies.a", '{required_events: ["Stop"], required_signals: ["gone"]}'),
        2,
        "the required signal `gone` does not exist",
    ),
    (
        ".cupcake/policies/lost.rego",
        head("cupcake.policies.lost"),
        0,
        "outside of the harness folders",
    ),
    (
        ".cupcake/policies/claud/lost.rego",
        head("cupcake.policies.lost"),
        0,
        "outside of the harness folders",
    ),
    (
        ".cupcake/rulebook.yml",
        "builtins:\n  git_block_no_verify: {enabled: true}\n",
        0,
        "its policy file is absent",
    ),
]


@pytest.mark.parametrize(("path", "text", "row", "warning"), WARNED, ids=[w[3] for w in WARNED])
def test_what_decides_nothing_is_warned_of(path: str, text: str, row: int, warning: str) -> None:
    _, findings = build({P + "good.rego": head("cupcake.policies.good"), path: text})
    assert findings.errors == []
    assert [(told.row, warning in told.message) for told in findings.warnings] == [(row, True)]


def test_a_layer_without_policies_is_warned_of_and_compiles_nothing() -> None:
    plans, findings = build({P + "system.rego": "package cupcake.system.x\n"})
    assert plans["project", "claude"].modules == {}
    assert ["allows everything" in told.message for told in findings.warnings] == [True]


def test_each_harness_gets_its_own_policies_and_the_common_files() -> None:
    plans, _ = build(
        {
            P + "a.rego": head("cupcake.policies.a"),
            ".cupcake/policies/cursor/b.rego": head("cupcake.policies.b"),
            ".cupcake/system/evaluate.rego": "package cupcake.system\n\nevaluate := {}\n",
            ".cupcake/helpers/h.rego": "package cupcake.helpers.h\n",
            ".cupcake/policies/helpers/unused.rego": "package cupcake.helpers.unused\n",
        }
    )
    common = {".cupcake/helpers/h.rego", ".cupcake/system/evaluate.rego"}
    assert set(plans["project", "claude"].modules) == {P + "a.rego", *common}
    assert set(plans["project", "cursor"].modules) == {".cupcake/policies/cursor/b.rego", *common}


def test_the_library_stands_in_for_what_is_missing_only() -> None:
    imports = "import data.cupcake.system.commands\n"
    plans, _ = build({P + "a.rego": head("cupcake.policies.a")})
    assert set(plans["project", "claude"].modules) == {
        P + "a.rego",
        "cupcake:library/evaluate.rego",
    }
    plans, _ = build({P + "a.rego": head("cupcake.policies.a") + imports})
    assert "cupcake:library/commands.rego" in plans["project", "claude"].modules
    own = {".cupcake/system/commands.rego": "package cupcake.system.commands\n"}
    plans, _ = build({P + "a.rego": head("cupcake.policies.a") + imports, **own})
    assert "cupcake:library/commands.rego" not in plans["project", "claude"].modules


def test_global_policies_move_into_their_namespace_with_their_rows() -> None:
    text = head("cupcake.policies.g") + "\nx := data.cupcake.policies.other\n"
    plans, _ = build(
        {
            P + "a.rego": head("cupcake.policies.a"),
            "global:policies/claude/g.rego": text,
            "global:policies/claude/named.rego": head("cupcake.global.policies.named"),
            "global:policies/claude/system/evaluate.rego": (
                "package cupcake.system\n\nevaluate := [v | walk(data.cupcake.policies, [_, v])]\n"
            ),
            "global:policies/claude/system/commands.rego": "package cupcake.system.commands\n",
        }
    )
    plan = plans["global", "claude"]
    assert plan.entrypoint == "cupcake/global/system/evaluate"
    assert [policy.package for policy in plan.policies] == [
        "cupcake.global.policies.g",
        "cupcake.global.policies.named",
    ]
    assert plan.modules["global:policies/claude/g.rego"] == text.replace(
        "package cupcake.policies.g", "package cupcake.global.policies.g"
    )
    assert plan.modules["global:policies/claude/named.rego"] == head(
        "cupcake.global.policies.named"
    )
    assert plan.modules["global:policies/claude/system/evaluate.rego"] == (
        "package cupcake.global.system\n\nevaluate := [v | walk(data.cupcake.global.policies, [_, v])]\n"
    )
    assert (
        plan.modules["global:policies/claude/system/commands.rego"]
        == "package cupcake.system.commands\n"
    )


def test_a_fault_in_a_common_file_is_told_once() -> None:
    _, findings = build(
        {
            P + "a.rego": head("cupcake.policies.a"),
            ".cupcake/policies/cursor/b.rego": head("cupcake.policies.b"),
            ".cupcake/system/evaluate.rego": "no package\n",
        }
    )
    assert [(error.file, error.row) for error in findings.errors] == [
        (".cupcake/system/evaluate.rego", 1)
    ]


def test_a_policy_that_is_not_utf8_is_a_fault_with_its_row() -> None:
    sources = ProjectSources(
        root="/p",
        files=(SourceFile(P + "a.rego", b"# METADATA\n# \xff\n"),),
        policy_folders=(P.rstrip("/"),),
    )
    _, findings = assemble(sources)
    assert [(error.row, error.message) for error in findings.errors] == [(2, "not UTF-8 text")]


@pytest.mark.parametrize("files", [{}, {".cupcake/policies/README.md": "x"}])
def test_no_policies_at_all_is_a_fault_with_the_remedy(files: dict[str, str]) -> None:
    _, findings = build({name: text for name, text in files.items() if name.endswith(".rego")})
    assert [error.file for error in findings.errors] == [".cupcake/policies"]
    assert "cupcake init" in findings.errors[0].hint
