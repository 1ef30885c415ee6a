"""`cupcake rego test --watch` in a process of its own, while files are saved as editors save them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60
PASSES = "package p\n\ntest_a := true\n"
FAILS = "package p\n\ntest_a := false\n"
BROKEN = "package p\n\ntest_a if {\n"


class Watching:
    """The running command; `until` reads its output up to a word."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "cupcake", "rego", "test", "--watch", *arguments]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._end = threading.Timer(SECONDS, self.process.kill)
        self._end.start()

    def until(self, word: str) -> str:
        """What was printed, up to and with the line that holds the word and the line that says that it waits."""
        assert self.process.stdout is not None
        found = ""
        for line in self.process.stdout:
            found += line
            if word in found and line.startswith("Watching"):
                return found
        raise AssertionError(f"{word!r} was not printed, but:\n{found}")

    def close(self) -> None:
        self._end.cancel()
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a_test.rego").write_text(FAILS, encoding="utf-8")
    return tmp_path


@pytest.fixture(params=["folder", "file"])
def watching(folder: Path, request: pytest.FixtureRequest) -> Iterator[Watching]:
    given = folder if request.param == "folder" else folder / "a_test.rego"
    started = Watching(str(given))
    try:
        yield started
    finally:
        started.close()


def in_place(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def renamed_over(path: Path, text: str) -> None:
    new = path.with_name("a_test.rego.tmp")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def with_a_backup(path: Path, text: str) -> None:
    path.rename(path.with_name("a_test.rego~"))
    path.write_text(text, encoding="utf-8")


def deleted_and_made_anew(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text, encoding="utf-8")


def test_it_runs_again_however_an_editor_saves(watching: Watching, folder: Path) -> None:
    policy = folder / "a_test.rego"
    watching.until("FAIL: 1/1")
    for save in (in_place, renamed_over, with_a_backup, deleted_and_made_anew):
        save(policy, PASSES)
        watching.until("PASS: 1/1")
        save(policy, FAILS)
        watching.until("FAIL: 1/1")
    in_place(policy, BROKEN)
    watching.until("rego_parse_error")
    in_place(policy, PASSES)
    watching.until("PASS: 1/1")


def test_new_files_are_seen_and_ctrl_c_ends_it(folder: Path) -> None:
    watching = Watching(str(folder))
    try:
        watching.until("FAIL: 1/1")
        in_place(folder / "b_test.rego", "package q\n\ntest_b := true\n")
        watching.until("PASS: 1/2")
        os.kill(watching.process.pid, signal.SIGINT)
        assert watching.process.wait(SECONDS) == 0
    finally:
        watching.close()
