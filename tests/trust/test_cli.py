"""`cupcake trust` as a person types it, in real folders."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cupcake.trust import cli, store
from cupcake.trust.errors import FileMissing, FileNotTrusted, ManifestMissing, TrustError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    policy = tmp_path / "p" / ".cupcake" / "policies" / "claude" / "a.rego"
    policy.parent.mkdir(parents=True)
    policy.write_text("package a\n")
    (tmp_path / "p" / ".cupcake" / "rulebook.yml").write_text("{}\n")
    return tmp_path / "p"


def trust(project: Path, *arguments: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "cupcake", "trust", *arguments, "--project-dir", project],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


def test_init_then_verify(project: Path) -> None:
    assert trust(project, "verify")[0] == 2
    assert trust(project, "init")[0] == 0
    code, text = trust(project, "verify")
    assert (code, "All 2 files" in text) == (0, True)
    assert trust(project, "init")[0] == 0


def test_the_key_is_random_and_private(project: Path) -> None:
    trust(project, "init")
    key = store.state_dir() / "trust.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    first = key.read_bytes()
    key.unlink()
    assert store.load_key(store.state_dir(), create=True) != first


def test_an_edit_is_shown_and_signed_only_on_request(project: Path) -> None:
    trust(project, "init")
    (project / ".cupcake/policies/claude/a.rego").write_text("package b\n")
    code, text = trust(project, "verify")
    assert (code, "a.rego is not the file that was signed" in text) == (1, True)
    code, text = trust(project, "update")
    assert code == 1
    assert "~ .cupcake/policies/claude/a.rego" in text
    assert trust(project, "verify")[0] == 1
    assert trust(project, "update", "--yes")[0] == 0
    assert trust(project, "verify")[0] == 0


def test_deleting_the_manifest_does_not_switch_trust_off(project: Path) -> None:
    trust(project, "init")
    (project / ".cupcake/.trust").unlink()
    assert trust(project, "verify")[0] == 1
    with pytest.raises(ManifestMissing):
        store.verify_sources(str(project), {}, store.state_dir(), now=0)


def test_putting_an_old_signed_state_back_is_a_rollback(project: Path) -> None:
    trust(project, "init")
    old = (project / ".cupcake/.trust").read_bytes()
    policy = project / ".cupcake/policies/claude/a.rego"
    policy.write_text("package b\n")
    trust(project, "update", "--yes")
    policy.write_text("package a\n")
    (project / ".cupcake/.trust").write_bytes(old)
    code, text = trust(project, "verify")
    assert (code, "an old state was put back" in text) == (1, True)


def test_the_builder_gets_no_and_the_reason_for_bytes_that_differ_from_disk(project: Path) -> None:
    trust(project, "init")
    files = store.read_project_files(str(project))
    assert store.verify_sources(str(project), files, store.state_dir(), now=0) == 1
    with pytest.raises(TrustError, match=r"a\.rego"):
        store.verify_sources(
            str(project),
            {**files, ".cupcake/policies/claude/a.rego": b"package evil"},
            store.state_dir(),
            now=0,
        )


def test_a_removed_policy_is_noticed_though_the_builder_no_longer_reads_it(project: Path) -> None:
    trust(project, "init")
    (project / ".cupcake/policies/claude/a.rego").unlink()
    with pytest.raises(FileMissing):
        store.verify_sources(
            str(project), {".cupcake/rulebook.yml": b"{}\n"}, store.state_dir(), now=0
        )


def test_symbolic_links_are_not_signed(project: Path) -> None:
    os.symlink("/etc/hostname", project / ".cupcake/policies/claude/b.rego")
    with pytest.raises(FileNotTrusted, match="symbolic link"):
        store.read_project_files(str(project))


def test_trust_is_off_where_it_was_never_switched_on(project: Path) -> None:
    assert store.verify_sources(str(project), {}, store.state_dir(), now=0) is None


@pytest.mark.parametrize("damage", ["readable", "short", "gone", "link"])
def test_a_key_that_others_may_know_is_refused(project: Path, damage: str) -> None:
    trust(project, "init")
    key = store.state_dir() / "trust.key"
    match damage:
        case "readable":
            key.chmod(0o644)
        case "short":
            key.write_bytes(b"x")
        case "gone":
            key.unlink()
        case "link":
            key.rename(key.with_name("moved"))
            key.symlink_to("moved")
    code, text = trust(project, "verify")
    assert (code, "trust key" in text) == (1, True)


def test_a_manifest_that_appears_by_itself_is_not_believed(project: Path) -> None:
    (project / ".cupcake/.trust").write_text('{"hmac":"00","manifest":{}}')
    code, _ = trust(project, "verify")
    assert code == 1


def test_a_fifo_below_the_project_holds_nothing_up(project: Path) -> None:
    fifo = project / ".cupcake/policies/pipe"
    os.mkfifo(fifo)
    code, text = trust(project, "init")
    assert (code, "pipe is not a regular file" in text) == (1, True)
    fifo.unlink()
    assert trust(project, "init")[0] == 0
    os.mkfifo(fifo)
    with pytest.raises(FileNotTrusted, match="not a regular file"):
        store.verify_sources(str(project), {}, store.state_dir(), now=2)


def test_a_fifo_in_the_place_of_the_manifest_holds_nothing_up(project: Path) -> None:
    trust(project, "init")
    (project / ".cupcake/.trust").unlink()
    os.mkfifo(project / ".cupcake/.trust")
    with pytest.raises(TrustError, match="not a regular file"):
        store.verify_sources(str(project), {}, store.state_dir(), now=2)


def test_a_file_that_is_too_large_to_be_read_whole_is_not_signed_in_part(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (project / ".cupcake/policies/big.rego").open("wb") as file:
        file.truncate(store.MAX_FILE + 1)
    code, text = trust(project, "init")
    assert (code, "big.rego is larger than" in text) == (1, True)


def test_a_folder_that_cannot_be_read_is_not_skipped(project: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every folder")
    (project / ".cupcake/policies/claude").chmod(0)
    try:
        assert trust(project, "init")[0] == 1
    finally:
        (project / ".cupcake/policies/claude").chmod(0o755)


def test_names_that_are_no_text_or_move_the_cursor_are_shown_escaped(project: Path) -> None:
    trust(project, "init")
    for name in (b"\xff.rego", b"\x1b[2K.rego", "überall.rego".encode()):
        Path(os.fsdecode(os.fsencode(project) + b"/.cupcake/policies/" + name)).write_text("x")
    code, text = trust(project, "update")
    assert code == 1
    assert r"+ .cupcake/policies/\udcff.rego" in text
    assert r"+ .cupcake/policies/\x1b[2K.rego" in text
    assert "+ .cupcake/policies/überall.rego" in text
    code, text = trust(project, "update", "--yes")
    assert code == 0
    assert trust(project, "verify")[0] == 0


def test_every_remedy_that_is_named_helps(project: Path) -> None:
    """A garbled history, a lost key, a manifest that was signed elsewhere: what the message says mends it."""
    trust(project, "init")
    [history] = (store.state_dir() / "trust").iterdir()
    for damage in (
        lambda: history.write_text("{"),
        (store.state_dir() / "trust.key").unlink,
        lambda: (store.state_dir() / "trust.key").write_bytes(b"short"),
        (project / ".cupcake/.trust").unlink,
        lambda: (project / ".cupcake/.trust").write_text("{}"),
    ):
        damage()
        code, text = trust(project, "verify")
        assert (code, "trust update" in text) == (1, True), text
        if "Remove it" in text:
            (store.state_dir() / "trust.key").unlink()
        assert trust(project, "update", "--yes")[0] == 0
        assert trust(project, "verify")[0] == 0


def test_what_is_signed_is_what_was_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trust(project, "init")
    policy = project / ".cupcake/policies/claude/a.rego"
    policy.write_text("package seen\n")

    def answer(_: str) -> str:
        policy.write_text("package swapped\n")
        return "y"

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    assert cli.main(["trust", "update", "--project-dir", str(project)]) == 0
    assert cli.main(["trust", "verify", "--project-dir", str(project)]) == 1
    assert "a.rego is not the file that was signed" in capsys.readouterr().err
