"""The `cupcake` command itself: words, mistakes, exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest


def cupcake(*arguments: str) -> tuple[int, str, str]:
    result = subprocess.run(
        [sys.executable, "-m", "cupcake", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


def test_help_lists_every_command() -> None:
    code, out, _ = cupcake("--help")
    assert code == 0
    for word in ("eval", "init", "demo", "daemon", "status", "rego", "opa", "trust", "version"):
        assert word in out


def test_no_command_is_wrong_usage() -> None:
    assert cupcake()[0] == 2


def test_a_misspelt_command_gets_a_suggestion() -> None:
    code, _, err = cupcake("statsu")
    assert (code, "Did you mean `status`?" in err) == (2, True)


@pytest.mark.parametrize(
    "word", ["eval", "init", "demo", "daemon", "status", "rego", "opa", "trust"]
)
def test_each_command_explains_itself(word: str) -> None:
    code, out, err = cupcake(word, "--help")
    assert code == 0, err
    assert "usage: cupcake" in out


@pytest.mark.parametrize("arguments", [("status",), ("daemon", "stop"), ("daemon", "reload")])
def test_without_a_daemon_the_message_says_how_to_start_one(arguments: tuple[str, ...]) -> None:
    code, _, err = cupcake(*arguments, "--socket", "/nonexistent/d.sock")
    assert code == 1
    assert "cupcake daemon start" in err


def test_importing_the_facade_imports_nothing_else() -> None:
    code = "import sys, cupcake; print(sorted(n for n in sys.modules if n.startswith(('cupcake', 'zmq', 'wasmtime', 'json'))))"
    result = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    modules = [n for n in eval(result.stdout) if not n.startswith("cupcake_")]
    assert [n for n in modules if n != "cupcake"] in (
        [],
        ["__editable___cupcake_policy_0_1_0_finder"],
    )
