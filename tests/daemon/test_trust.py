"""With trust on, the builder compiles the very bytes that were signed, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from cupcake.daemon import builder
from cupcake.daemon.cli_init import init_project
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
