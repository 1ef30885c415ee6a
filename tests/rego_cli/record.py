"""Writes down what `opa eval` answers to the lines of eval_lines.txt: `python record.py > eval_answers.json`."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def lines(name: str) -> list[tuple[str, str]]:
    """(command line, stdin) of a file of lines."""
    found: list[tuple[str, str]] = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            command, _, stdin = line.partition(" < ")
            if "-I" in command.split() or "--stdin" in command.split():
                found.append((command.strip(), stdin))
            else:
                found.append((line, ""))
    return found


def answer(opa: str, word: str, command: str, stdin: str) -> tuple[int, str]:
    """The exit code and stdout of `opa`."""
    result = subprocess.run(
        [opa, word, *shlex.split(command)],
        cwd=HERE / "files",
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, result.stdout


if __name__ == "__main__":
    answers = {
        command: answer("opa", "eval", command, stdin)
        for name in ("eval_lines.txt", "eval_errors.txt")
        for command, stdin in lines(name)
    }
    print(json.dumps(answers, indent=1, ensure_ascii=False))
