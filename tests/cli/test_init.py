"""`cupcake init --harness claude` on real folders: nothing is lost, twice is harmless."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cupcake.daemon import cli_init
from cupcake.daemon.cli_init import InitError, hook_command, init_project


def init(folder: Path) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "cupcake", "init", "--harness", "claude"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def settings(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / ".claude/settings.json").read_text()))


def test_a_fresh_project_gets_its_files_and_hooks(tmp_path: Path) -> None:
    code, text = init(tmp_path)
    assert code == 0, text
    assert set(snapshot(tmp_path)) == {
        ".claude/settings.json",
        ".cupcake/policies/claude/context.rego",
        ".cupcake/policies/claude/files.rego",
        ".cupcake/policies/claude/shell.rego",
        ".cupcake/rulebook.yml",
        ".cupcake/system/commands.rego",
        ".cupcake/system/evaluate.rego",
    }
    assert (tmp_path / ".cupcake").stat().st_mode & 0o777 == 0o700
    assert set(settings(tmp_path)["hooks"]) == set(cli_init.CLAUDE_EVENTS)


def test_every_hook_blocks_when_it_fails_and_has_a_timeout(tmp_path: Path) -> None:
    init(tmp_path)
    for groups in settings(tmp_path)["hooks"].values():
        (hook,) = groups[0]["hooks"]
        assert hook["onFailure"] == "block"
        assert hook["timeout"] > 0
        assert '"$CLAUDE_PROJECT_DIR"/.cupcake' in hook["command"]


def test_twice_is_harmless(tmp_path: Path) -> None:
    init(tmp_path)
    before = snapshot(tmp_path)
    code, text = init(tmp_path)
    assert (code, "Nothing to do" in text) == (0, True)
    assert snapshot(tmp_path) == before


def test_existing_settings_are_kept(tmp_path: Path) -> None:
    mine = {
        "permissions": {"allow": ["Bash(ls)"]},
        "hooks": {
            "PreToolUse": [
                {"matcher": "Bash", "hooks": [{"type": "command", "command": "./mine.sh"}]}
            ]
        },
        "ü": "ß",
    }
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text(json.dumps(mine))
    init(tmp_path)
    merged = settings(tmp_path)
    assert merged["permissions"] == mine["permissions"]
    assert merged["ü"] == "ß"
    assert merged["hooks"]["PreToolUse"][0] == mine["hooks"]["PreToolUse"][0]
    assert len(merged["hooks"]["PreToolUse"]) == 2


def test_a_hook_that_cupcake_in_rust_wrote_is_recognised(tmp_path: Path) -> None:
    command = "cupcake eval --harness claude --policy-dir $CLAUDE_PROJECT_DIR/.cupcake"
    old = {
        "hooks": {
            "PreToolUse": [{"matcher": "*", "hooks": [{"type": "command", "command": command}]}]
        }
    }
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text(json.dumps(old))
    init(tmp_path)
    assert settings(tmp_path)["hooks"]["PreToolUse"] == old["hooks"]["PreToolUse"]


def test_policies_that_are_there_are_left_alone(tmp_path: Path) -> None:
    own = tmp_path / ".cupcake/policies/claude/mine.rego"
    own.parent.mkdir(parents=True)
    own.write_text("package cupcake.policies.mine\n")
    code, _ = init(tmp_path)
    assert code == 0
    assert [p.name for p in own.parent.iterdir()] == ["mine.rego"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"hooks": []}', '{"hooks": {"PreToolUse": 1}}', "\ufeff{}x"]
)
def test_settings_that_cannot_be_understood_stop_it_before_anything_is_written(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text(text)
    before = snapshot(tmp_path)
    code, message = init(tmp_path)
    assert code == 1
    assert "settings.json" in message
    assert "Traceback" not in message
    assert snapshot(tmp_path) == before


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / ".cupcake").write_text("")
    code, message = init(tmp_path)
    assert (code, "Move it away" in message) == (1, True)


def test_an_unknown_harness_is_wrong_usage(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "cupcake", "init", "--harness", "x"],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 2


def settings_of(root: Path) -> Path:
    (root / ".claude").mkdir()
    return root / ".claude" / "settings.json"


def test_a_link_to_the_settings_stays_a_link(tmp_path: Path) -> None:
    root = tmp_path / "p"
    root.mkdir()
    real = tmp_path / "dotfiles.json"
    real.write_text('{"model": "x"}')
    settings_of(root).symlink_to(real)
    init_project(root, "claude")
    assert (root / ".claude/settings.json").is_symlink()
    assert json.loads(real.read_text())["model"] == "x"
    assert "PreToolUse" in json.loads(real.read_text())["hooks"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"hooks": {}, "hooks": {"Stop": []}}', "stands twice"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
    ],
)
def test_settings_that_would_be_lost_stop_everything(tmp_path: Path, text: str, fault: str) -> None:
    path = settings_of(tmp_path)
    path.write_text(text)
    with pytest.raises(InitError, match=fault):
        init_project(tmp_path, "claude")
    assert path.read_text() == text
    assert not (tmp_path / ".cupcake").exists()


def test_a_fifo_for_settings_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(settings_of(tmp_path))
    with pytest.raises(InitError, match="not a regular file"):
        init_project(tmp_path, "claude")


def test_hooks_that_are_switched_off_are_told_of(tmp_path: Path) -> None:
    settings_of(tmp_path).write_text('{"disableAllHooks": true}')
    assert any("disableAllHooks" in note for note in init_project(tmp_path, "claude"))
    assert any("disableAllHooks" in note for note in init_project(tmp_path, "claude"))


def test_a_hook_whose_program_is_gone_is_connected_anew(tmp_path: Path) -> None:
    """Agents take "command not found" for "go on"."""
    gone = "/no/such/venv/bin/cupcake eval --harness claude"
    kept = "cupcake eval --harness claude --strict"
    path = settings_of(tmp_path)
    path.write_text(
        json.dumps(
            {
                "hooks": {
                    "PreToolUse": [
                        {"matcher": "*", "hooks": [{"type": "command", "command": gone}]}
                    ],
                    "Stop": [{"hooks": [{"type": "command", "command": kept}]}],
                }
            }
        )
    )
    init_project(tmp_path, "claude")
    hooks = json.loads(path.read_text())["hooks"]
    assert [g["hooks"][0]["command"] for g in hooks["PreToolUse"]] == [hook_command()]
    assert [g["hooks"][0]["command"] for g in hooks["Stop"]] == [kept]
    assert "Nothing to do" in init_project(tmp_path, "claude")[0]
