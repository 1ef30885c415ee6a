"""`cupcake rego fmt`: what it prints, writes and answers. The layout itself is the matter of tests/rego_format."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

_LOOSE = "package a\np   if x\n"
_TIDY = "package a\n\np if x\n"
_BROKEN = "package a\np if {\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two loose policies, a tidy one, and a file that is no policy."""
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "loose.rego").write_text(_LOOSE)
    (tmp_path / "tidy.rego").write_text(_TIDY)
    (below / "loose.rego").write_text(_LOOSE)
    (below / "notes.txt").write_text(_LOOSE)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_stdin_is_printed_whatever_the_flags(rego: Run) -> None:
    for flags in ("", "-l", "-d", "-w", "--fail"):
        assert rego(f"fmt {flags}", _LOOSE) == (0, _TIDY, "")


def test_results_are_printed_in_the_order_of_names(rego: Run, folder: Path) -> None:
    code, out, err = rego(f"fmt {folder}")
    assert (code, out, err) == (0, _TIDY * 3, "")
    assert contents(folder)["loose.rego"] == _LOOSE


def test_a_file_that_is_no_policy_is_left_alone(rego: Run, folder: Path) -> None:
    assert rego(f"fmt {folder / 'below' / 'notes.txt'}") == (0, "", "")


def test_list_names_what_would_change(rego: Run, folder: Path) -> None:
    code, out, _ = rego(f"fmt -l {folder}")
    assert code == 0
    assert out.split() == [str(folder / "below/loose.rego"), str(folder / "loose.rego")]
    assert contents(folder)["loose.rego"] == _LOOSE


def test_diff_is_one_that_patch_takes(rego: Run, folder: Path) -> None:
    name = folder / "loose.rego"
    code, out, _ = rego(f"fmt --diff {folder / 'tidy.rego'} {name}")
    assert code == 0
    assert out == f"--- {name}\n+++ {name}\n@@ -1,2 +1,3 @@\n package a\n-p   if x\n+\n+p if x\n"


def test_diff_of_a_file_without_a_line_end(rego: Run, tmp_path: Path) -> None:
    name = tmp_path / "a.rego"
    name.write_text("package a")
    _, out, _ = rego(f"fmt -d {name}")
    assert out.endswith("-package a\n\\ No newline at end of file\n+package a\n")


@pytest.mark.parametrize("flags", ["--fail", "--fail -w", "--fail -l", "--fail -d"])
def test_fail_is_2_and_writes_nothing(rego: Run, folder: Path, flags: str) -> None:
    before = contents(folder)
    assert rego(f"fmt {flags} {folder}")[0] == 2
    assert rego(f"fmt {flags} {folder / 'tidy.rego'}")[0] == 0
    assert contents(folder) == before


def test_write_puts_results_in_place_and_prints_nothing(rego: Run, folder: Path) -> None:
    assert rego(f"fmt -w {folder}") == (0, "", "")
    assert contents(folder) == {
        "loose.rego": _TIDY,
        "tidy.rego": _TIDY,
        "below/loose.rego": _TIDY,
        "below/notes.txt": _LOOSE,
    }


def test_write_keeps_mode_and_link(rego: Run, folder: Path) -> None:
    name = folder / "loose.rego"
    name.chmod(0o640)
    link = folder / "link.rego"
    link.symlink_to(name.name)
    assert rego(f"fmt -w {link}")[0] == 0
    assert link.is_symlink()
    assert name.read_text() == _TIDY
    assert name.stat().st_mode & 0o777 == 0o640


def test_a_tidy_file_is_not_touched(rego: Run, folder: Path) -> None:
    before = (folder / "tidy.rego").stat()
    rego(f"fmt -w {folder}")
    after = (folder / "tidy.rego").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are POSIX")
def test_a_write_that_fails_leaves_the_file(folder: Path) -> None:
    script = (
        "import resource, sys; from cupcake.engine.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5, 5));"
        "sys.exit(main(['rego', 'fmt', '-w', sys.argv[1]]))"
    )
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, str(folder / "loose.rego")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert contents(folder) == before


def test_parse_errors_are_those_of_check_and_the_rest_is_done(rego: Run, folder: Path) -> None:
    (folder / "broken.rego").write_text(_BROKEN)
    code, out, err = rego(f"fmt -w {folder}")
    assert (code, out) == (2, "")
    assert contents(folder)["loose.rego"] == _TIDY
    assert contents(folder)["broken.rego"] == _BROKEN
    assert err == rego(f"check {folder / 'broken.rego'}")[2]


def test_what_v1_forbids_is_not_laid_out(rego: Run) -> None:
    code, out, err = rego("fmt", "package a\np if any([input.x])\n")
    assert (code, out) == (2, "")
    assert "stdin:2:6: rego_type_error: deprecated built-in function calls" in err


def test_a_path_that_is_missing_is_1(rego: Run) -> None:
    assert rego("fmt nowhere")[0] == 1


def test_versions(rego: Run) -> None:
    old = "package a\np { x }\n"
    assert rego("fmt", old)[0] == 2
    assert rego("fmt --v0-compatible", old)[1] == "package a\n\np {\n\tx\n}\n"
    both = "package a\n\nimport rego.v1\n\np if x\n"
    assert rego("fmt --v0-v1", old)[1] == both
    assert rego("fmt --rego-v1", old)[1] == both
    assert rego("fmt --v0-v1 --v1-compatible", _LOOSE)[1] == both
    assert rego("fmt --drop-v0-imports", both)[1] == _TIDY


def test_a_result_can_go_unchecked(rego: Run, folder: Path) -> None:
    assert rego(f"fmt --check-result {folder / 'tidy.rego'}") == (0, _TIDY, "")
    assert rego("fmt --check-result=false", _LOOSE)[1] == _TIDY
    assert rego("fmt --check-result", _LOOSE)[1] == _TIDY


def test_capabilities_must_exist(rego: Run) -> None:
    assert rego("fmt --capabilities nofile", _LOOSE)[0] == 1


@pytest.mark.parametrize("line", ["", "-l", "--fail -l", "-w", "--fail", "nowhere"])
def test_opa_gives_the_same_exit_code_and_files(
    rego: Run, opa: Run, folder: Path, tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    other = tmp_path_factory.mktemp("other")
    for name, text in contents(folder).items():
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text(text)
    place = "" if line == "nowhere" else folder
    its_place = "" if line == "nowhere" else other
    assert rego(f"fmt {line} {place}")[0] == opa(f"fmt {line} {its_place}")[0]
    assert contents(folder) == contents(other)
