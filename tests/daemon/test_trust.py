"""With trust on, the builder compiles the very bytes that were signed, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cupcake.daemon import builder, evaluation
from cupcake.daemon.cli_init import init_project
from cupcake.daemon.embedded import load_evaluator
from cupcake.engine.policy.discovery import ProjectSources, SourceFile, read_sources
from cupcake.trust import store


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "p"
    root.mkdir()
    init_project(root, "claude")
    return root


def test_a_project_that_was_never_signed_may_be_built(project: Path) -> None:
    builder.verify_trust(read_sources(project), store.state_dir())


def test_a_signed_project_may_be_built_until_a_byte_differs(project: Path) -> None:
    store.sign(str(project), store.state_dir(), now=1)
    builder.verify_trust(read_sources(project), store.state_dir())
    with (project / ".cupcake/policies/claude/shell.rego").open("a") as file:
        file.write("\n")
    with pytest.raises(builder.Untrusted, match=r"shell\.rego is not the file that was signed"):
        builder.verify_trust(read_sources(project), store.state_dir())


def test_bytes_that_were_read_before_the_disk_was_mended_do_not_pass(project: Path) -> None:
    """What counts is what will be compiled, not what lies on the disk at the moment of the check."""
    store.sign(str(project), store.state_dir(), now=1)
    sources = read_sources(project)
    swapped = tuple(
        SourceFile(f.path, b"package evil\n", f.layer) if f.path.endswith("shell.rego") else f
        for f in sources.files
    )
    with pytest.raises(builder.Untrusted, match=r"shell\.rego"):
        builder.verify_trust(
            ProjectSources(sources.root, swapped, sources.global_root, sources.policy_folders),
            store.state_dir(),
        )


def test_a_new_policy_is_not_trusted_and_a_deleted_manifest_is_no_way_out(project: Path) -> None:
    store.sign(str(project), store.state_dir(), now=1)
    (project / ".cupcake/policies/claude/new.rego").write_text("package cupcake.policies.new\n")
    with pytest.raises(builder.Untrusted, match=r"new\.rego"):
        builder.verify_trust(read_sources(project), store.state_dir())
    (project / ".cupcake/.trust").unlink()
    with pytest.raises(builder.Untrusted, match=r"\.trust is gone"):
        builder.verify_trust(read_sources(project), store.state_dir())


SHOW = """# METADATA
# custom:
#   routing:
#     required_events: [PreToolUse]
#     required_signals: [who]
package cupcake.policies.show

import rego.v1

deny contains {"rule_id": "SHOW", "severity": "HIGH", "reason": input.signals.who}
"""
EVENT = b'{"hook_event_name":"PreToolUse","tool_name":"Read","tool_input":{}}'


@pytest.fixture
def with_script(project: Path) -> Path:
    """The script of a signal in `project`."""
    (project / ".cupcake/policies/claude/show.rego").write_text(SHOW)
    script = project / ".cupcake/signals/who.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho as signed\n")
    script.chmod(0o755)
    return script


def job(project: Path, **more: object) -> dict[str, object]:
    folder = project.parent
    return {
        "root": str(project),
        "state_dir": str(store.state_dir()),
        "cache_dir": str(folder / "cache"),
        "places": [str(folder / "generations")],
        "keep": [],
        "number": 1,
        **more,
    }


def test_a_signed_script_is_part_of_the_generation(project: Path, with_script: Path) -> None:
    """From the builder's job to the answer of an engine: an edit after the build changes nothing."""
    free = builder.build(evaluation, job(project))
    store.sign(str(project), store.state_dir(), now=1)
    signed = builder.build(evaluation, job(project, current_digest=free["digest"], number=2))
    assert signed["ok"], signed
    assert not signed.get("unchanged"), "switching trust on must build anew"
    with_script.write_text("#!/bin/sh\necho edited\n")
    refused = builder.build(evaluation, job(project, current_digest=signed["digest"], number=3))
    assert not refused["ok"]
    assert "signals/who.sh is not the file that was signed" in refused["diagnostics"][0]["message"]
    engine = evaluation.Evaluator(evaluation.load_compiled(Path(signed["directory"])))
    assert b"as signed" in engine.answer("claude", EVENT).response


def test_without_trust_the_script_on_the_disk_runs(project: Path, with_script: Path) -> None:
    built = builder.build(evaluation, job(project))
    with_script.write_text("#!/bin/sh\necho edited\n")
    engine = evaluation.Evaluator(evaluation.load_compiled(Path(built["directory"])))
    assert b"edited" in engine.answer("claude", EVENT).response


def test_in_process_the_signed_script_runs_too(
    project: Path, with_script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(project.parent / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(project.parent / "config"))
    store.sign(str(project), store.state_dir(), now=1)
    engine = load_evaluator(project)
    with_script.write_text("#!/bin/sh\necho edited\n")
    assert b"as signed" in engine.answer("claude", EVENT).response
    with pytest.raises(builder.Untrusted, match=r"who\.sh"):
        load_evaluator(project)
