"""A real daemon with two engines for the whole folder; each test brings a project of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cupcake.client.errors import ClientError
from cupcake.client.sync import Client
from cupcake.daemon.demo import Stage, wait_for

POLICY = (Path(__file__).parent / "guard.rego").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    # Short, because a Unix socket's path may have 107 bytes at most.
    folder = Path(f"/tmp/ck-e2e-{os.getpid()}")
    folder.mkdir(mode=0o700)
    stage = Stage(folder)
    try:
        stage.start_daemon(2)

        def ready() -> bool:
            try:
                with Client(
                    folder, socket=stage.socket, on_unavailable="raise", timeout=1
                ) as client:
                    return all(e["state"] == "ready" for e in client.status()["engines"])
            except ClientError:
                return False

        assert wait_for(ready, 30, 0.05) is not None, stage.log.read_text()
        yield stage
        assert stage.stop_daemon() == 0, stage.log.read_text()
    finally:
        stage.stop_daemon()
        shutil.rmtree(folder)


MakeProject = Callable[..., Path]


@pytest.fixture
def make_project(tmp_path: Path) -> MakeProject:
    """A project with the given files below `.cupcake`; without any, one policy that forbids "forbidden"."""

    def make(**files: str) -> Path:
        root = tmp_path / "project"
        for name, text in (files or {"policies/claude/guard.rego": POLICY}).items():
            path = root / ".cupcake" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return make
