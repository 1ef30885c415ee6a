"""`cupcake init --harness claude` on real folders: nothing is lost, twice is harmless."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cupcake.daemon import cli_init


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
