"""Running signals: results, failures, limits, and nothing left behind."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.signals import MAX_OUTPUT_BYTES, Command, run_signals


def run(line: str, timeout: float = 10, event: bytes = b"{}", cwd: str = "/") -> Any:
    return run_signals({"s": Command(line, timeout)}, event, cwd)["s"]


RESULTS: list[tuple[str, Any]] = [
    ("echo main", "main"),
    ("echo '\"main\"'", "main"),
    ("echo '{\"a\": [1, 2.5, null]}'", {"a": [1, 2.5, None]}),
    ("echo 85", 85),
    ("printf '  text \\n\\n'", "text"),
    ("true", ""),
    ("echo 'not { json'", "not { json"),
    ("echo NaN", "NaN"),
    ("echo '\"\\ud800\"'", '"\\ud800"'),
    ("printf '\\377'", "\ufffd"),
    (
        "echo out; echo err >&2; exit 3",
        {"exit_code": 3, "output": "out", "error": "err", "success": False},
    ),
    ("exit 1", {"exit_code": 1, "output": "", "error": "", "success": False}),
    ("kill -9 $$", {"exit_code": -1, "output": "", "error": "", "success": False}),
    ("cat", {}),
]


@pytest.mark.parametrize(("line", "expected"), RESULTS)
def test_what_a_signal_says(line: str, expected: Any) -> None:
    assert run(line) == expected


def test_a_command_that_does_not_exist_is_visible() -> None:
    result = run("/no/such/program")
    assert (result["exit_code"], result["success"]) == (127, False)


def test_a_name_without_a_command_is_visible() -> None:
    assert run_signals({"x": None}, b"{}", "/")["x"] == {
        "error": "there is no such signal",
        "exit_code": -1,
        "output": "",
        "success": False,
    }


def test_a_folder_that_vanished_is_visible(tmp_path: Path) -> None:
    result = run("true", cwd=str(tmp_path / "gone"))
    assert result["success"] is False
    assert "cannot be started" in result["error"]


def test_commands_run_in_the_given_folder_with_the_event(tmp_path: Path) -> None:
    assert (
        run("pwd; cat", event=b'{"x":1}', cwd=str(tmp_path.resolve()))
        == f'{tmp_path.resolve()}\n{{"x":1}}'
    )


def test_a_large_event_meets_commands_that_read_it_and_that_do_not() -> None:
    event = b'"' + b"x" * 3_000_000 + b'"'
    results = run_signals(
        {
            "reads": Command("wc -c", 20),
            "ignores": Command("echo done", 20),
            "first writes much": Command("head -c 300000 /dev/zero | tr '\\0' 'a'; wc -c", 20),
        },
        event,
        "/",
    )
    assert (results["reads"], results["ignores"]) == (3_000_002, "done")
    assert results["first writes much"] == "a" * 300_000 + "3000002"


def test_a_time_out_is_visible_and_kills_the_whole_group(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = run(f"sleep 60 & echo $! >> {pids}; echo $$ >> {pids}; echo so far; wait", timeout=0.5)
    assert result == {"error": "timeout", "exit_code": -1, "output": "so far", "success": False}
    assert_gone(pids, 2)


def test_the_time_out_covers_an_event_that_nobody_reads() -> None:
    assert run("exec 1>&-; sleep 60", timeout=0.5, event=b"x" * 3_000_000)["error"] == "timeout"


def test_what_a_signal_leaves_behind_does_not_hold_it_up_and_ends(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    assert run(f"sleep 60 & echo $! >> {pids}; echo done", timeout=30) == "done"
    assert_gone(pids, 1)


def test_output_without_end_is_stopped() -> None:
    result = run("yes", timeout=30)
    assert result["error"] == f"printed more than {MAX_OUTPUT_BYTES} bytes"


def assert_gone(file: Path, count: int) -> None:
    pids = [int(line) for line in file.read_text().split()]
    assert len(pids) == count
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(alive(pid) for pid in pids):
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A child of ours that was given to init may stay a zombie where init does not reap.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
