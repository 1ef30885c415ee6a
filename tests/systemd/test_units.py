"""The unit files, as systemd itself judges them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

ANALYZE = shutil.which("systemd-analyze")
UNITS = ("cupcake.service", "cupcake-user.service")


def unit(name: str) -> str:
    return resources.files("cupcake.systemd").joinpath(name).read_text(encoding="utf-8")


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in unit(name).splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_no_fault(tmp_path: Path, name: str) -> None:
    assert ANALYZE is not None
    copy = tmp_path / name
    copy.write_text(unit(name))
    scope = "--user" if "user" in name else "--system"
    done = subprocess.run(
        [ANALYZE, scope, "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert name not in done.stderr, done.stderr


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_the_system_service_is_well_walled_in(tmp_path: Path) -> None:
    assert ANALYZE is not None
    copy = tmp_path / "cupcake.service"
    copy.write_text(unit("cupcake.service"))
    done = subprocess.run(
        [ANALYZE, "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot judge a unit offline")
    level = re.search(r"exposure level for cupcake\.service: ([0-9.]+)", done.stdout)
    assert level is not None, done.stdout + done.stderr
    assert float(level[1]) <= 1.0


@pytest.mark.parametrize("name", UNITS)
def test_units_speak_notify_watch_and_drain(name: str) -> None:
    found = settings(name)
    assert found["Type"] == ["notify"]
    assert int(found["WatchdogSec"][0]) > 0
    assert found["KillMode"] == ["mixed"]
    assert "HUP" in found["ExecReload"][0]


@pytest.mark.parametrize("name", UNITS)
def test_nothing_forbids_the_executable_memory_that_the_vm_needs(name: str) -> None:
    assert "MemoryDenyWriteExecute" not in settings(name)


def test_only_the_service_and_its_group_reach_the_system_socket() -> None:
    assert settings("cupcake.service")["RuntimeDirectoryMode"] == ["0750"]
    assert settings("cupcake-user.service")["RuntimeDirectoryMode"] == ["0700"]
