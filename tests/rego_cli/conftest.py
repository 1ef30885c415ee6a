"""Runs `cupcake rego` in process, beside the real `opa` where there is one."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from cupcake.engine.cli import main

FILES = Path(__file__).parent / "files"

#: (exit code, stdout, stderr) of a command line below `cupcake rego` or `opa`.
Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def rego(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(FILES)

    def run(line: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        try:
            code = main(["rego", *shlex.split(line)])
        except SystemExit as done:
            code = int(done.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def opa() -> Run:
    executable = shutil.which("opa")
    if executable is None:
        pytest.skip("there is no `opa` on PATH to compare with")

    def run(line: str, stdin: str = "") -> tuple[int, str, str]:
        result = subprocess.run(
            [executable, *shlex.split(line)],
            cwd=FILES,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.returncode, result.stdout, result.stderr

    return run
