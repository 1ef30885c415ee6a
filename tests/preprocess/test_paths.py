"""Canonical paths and the folders that a command touches, over real links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cupcake.engine.errors import BadEvent
from cupcake.engine.preprocess.event import enrich_event
from cupcake.engine.preprocess.paths import affected_folders, canonical, is_link, split_words


@pytest.fixture
def place(tmp_path: Path) -> Path:
    root = tmp_path.resolve()
    (root / "real" / "deep").mkdir(parents=True)
    (root / "real" / "file").write_text("x")
    (root / "link").symlink_to("real")
    (root / "dangling").symlink_to("gone/../nowhere")
    (root / "loop").symlink_to("loop")
    return root


TABLE = [
    ("real/file", "real/file", False),
    ("./real/../real/file", "real/file", False),
    ("link", "real", True),
    ("link/file", "real/file", False),
    ("link/new", "real/new", False),
    ("link/not/yet/there", "real/not/yet/there", False),
    ("dangling", "nowhere", True),
    ("missing/../real", "real", False),
    ("loop", "loop", True),
    ("", "", False),
]


@pytest.mark.parametrize(("path", "expected", "link"), TABLE)
def test_a_path_leads_where_the_file_system_says(
    place: Path, path: str, expected: str, link: bool
) -> None:
    assert canonical(path, str(place)) == str(place / expected)
    assert is_link(path, str(place)) is link
    assert canonical(str(place / path), "/elsewhere") == str(place / expected)


def test_a_path_that_cannot_be_looked_at_comes_back_absolute() -> None:
    assert canonical("a\0b", "/base") == "/base/a\0b"
    assert is_link("a\0b", "/base") is False
    assert canonical("x" * 5000, "/base") == "/base/" + "x" * 5000


WORDS = [
    ("rm -rf /x", ["rm", "-rf", "/x"]),
    ("rm 'a b' c", ["rm", "a b", "c"]),
    ('rm "a \\" b"', ["rm", 'a " b']),
    ('echo "a\\nb"', ["echo", "a\\nb"]),
    ("rm a\\ b", ["rm", "a b"]),
    ("rm a'b c'd\"e f\"", ["rm", "ab cde f"]),
    ("rm '' x", ["rm", "", "x"]),
    ("rm 'open end", ["rm", "'open", "end"]),
    ("", []),
]


@pytest.mark.parametrize(("command", "expected"), WORDS)
def test_words_are_split_as_a_shell_quotes_them(command: str, expected: list[str]) -> None:
    assert split_words(command) == expected


FOLDERS = [
    ("", []),
    ("ls", []),
    ("rm -rf real/*", ["real"]),
    ("rm -rf *", [""]),
    ("rm -rf link/deep", ["real/deep"]),
    ("rm ./a real/file", ["a", "real/file"]),
    ("chmod 755 ./x", ["x"]),
    ("mv ./a ./b", ["a", "b"]),
    ("rm [ab]*", [""]),
    ("rm real/**/x", ["real"]),
    ("rm 'real/deep'", ["real/deep"]),
    ("cat $HOME", ["$HOME"]),
    ("rm ~/x", ["~/x"]),
    ("/bin/rm x", []),  # the first word is the program
    ("echo plain words", []),
    ("tail -n 5 /etc", ["/etc"]),
]


@pytest.mark.parametrize(("command", "expected"), FOLDERS)
def test_folders_that_a_command_touches(place: Path, command: str, expected: list[str]) -> None:
    found = affected_folders(command, str(place))
    assert found == [path if path.startswith("/") else str(place / path) for path in expected]


def test_a_command_with_too_many_paths_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cupcake.engine.preprocess.paths.MAX_PATHS", 3)
    assert len(affected_folders("rm " + "/a " * 9, "/")) == 9  # looked at once
    assert len(affected_folders("rm /a /b /c", "/")) == 3
    with pytest.raises(BadEvent, match="more than 3 paths"):
        affected_folders("rm /a /b /c /d", "/")


def test_what_a_hostile_command_can_cost_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the disk is counted; there is none for a path that no system call takes."""
    looks = 0
    real = os.lstat

    def lstat(path: object) -> os.stat_result:
        nonlocal looks
        looks += 1
        return real(path)  # type: ignore[arg-type]

    monkeypatch.setattr("posixpath.os.lstat", lstat)
    assert canonical("a/" * 3000 + "../b", str(tmp_path)) == f"{tmp_path}/{'a/' * 2999}b"
    assert looks == 0
    for command in (
        "rm " + " ".join(f"/{n}" + "/a" * 1900 for n in range(2000)),
        "rm" + " /x" * 500_000,
        "rm" + " \\\\" * 500_000,
    ):
        with pytest.raises(BadEvent, match="more than 65536 steps"):
            affected_folders(command, str(tmp_path))
    edits = [{"file_path": f"/{n}" + "/a" * 1900} for n in range(2000)]
    with pytest.raises(BadEvent, match="more than 65536 steps"):
        enrich_event("claude", {"tool_name": "MultiEdit", "tool_input": {"edits": edits}}, "/")
    assert looks < 70_000
    assert affected_folders("rm" + " /x" * 5000, "/") == ["/x"] * 5000
