"""Deciding in process judges by the project that was named, or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cupcake.client import messages as m
from cupcake.daemon.cli_init import init_project
from cupcake.daemon.embedded import EmbeddedAnswers
from cupcake.engine.errors import ProjectError

EVENT = b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls"}}'


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose .cupcake is gone, within a folder that has one which allows."""
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    init_project(tmp_path, "claude")
    project = tmp_path / "project"
    (project / "policies").mkdir(parents=True)
    return project


def test_the_policies_of_a_folder_above_are_not_taken(bare: Path) -> None:
    with pytest.raises(ProjectError, match="no Cupcake project here"):
        EmbeddedAnswers()(m.Evaluate(str(bare), "claude", EVENT))


@pytest.mark.parametrize("spelling", [".cupcake", "policies"])
def test_eval_without_a_daemon_does_not_climb(bare: Path, spelling: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cupcake", "eval", "--harness=claude", "--no-daemon",
         f"--policy-dir={bare / spelling}"],
        input=EVENT, capture_output=True, timeout=60, check=False, env=dict(os.environ),
    )  # fmt: skip
    answer = json.loads(done.stdout)["hookSpecificOutput"]
    assert answer["permissionDecision"] == "deny"
    assert "no Cupcake project here" in answer["permissionDecisionReason"]
