"""Every example of docs/rego.md is run, in its order, and gives what the page says."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.cli import COMMANDS, main

PAGE = Path(__file__).parents[2] / "docs" / "rego.md"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """`kind` is the language, `name` that of the file that the block is."""

    kind: str
    name: str
    text: str
    row: int


def blocks() -> Iterator[Block]:
    text = PAGE.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        row = text.count("\n", 0, match.start()) + 1
        yield Block(match[1], match[2] or "", match[3], row)


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what is shown; `...` stands for anything in a line."""
    pattern = "[^\n]*".join(re.escape(part) for part in shown.strip().split("..."))
    return re.fullmatch(pattern, printed.strip()) is not None


def command(line: str) -> str:
    """What `[echo TEXT |] cupcake rego ...` prints, on either stream."""
    before, _, rego = line.rpartition("cupcake rego ")
    words = ["rego", *shlex.split(rego)]
    stdin = io.StringIO(" ".join(shlex.split(before.rstrip("| "))[1:]))
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setattr("sys.stdin", stdin)
        with contextlib.redirect_stderr(out):
            main(words)
    return out.getvalue()


def python(block: Block, names: dict[str, Any]) -> None:
    """Runs the statements; a comment after one is the value of its last expression."""
    lines = block.text.split("\n")
    done = 0
    for number, line in enumerate(lines):
        if line.startswith("# "):
            source = "\n" * (block.row + done) + "\n".join(lines[done:number])
            assert repr(run(source, names)) == line.removeprefix("# "), f"row {block.row + number}"
            done = number + 1
    run("\n".join(lines[done:]), names)


def run(source: str, names: dict[str, Any]) -> Any:
    """The value of the last expression, also at the end of an `except` or of a `try`."""
    tree = ast.parse(source, str(PAGE))
    for node in ast.walk(tree):
        for body in (getattr(node, "body", None), getattr(node, "handlers", None)):
            if isinstance(body, list) and body and isinstance(body[-1], ast.Expr):
                shown = ast.Assign([ast.Name("_shown", ast.Store())], body[-1].value)
                body[-1] = ast.copy_location(shown, body[-1])
    names.pop("_shown", None)
    exec(compile(ast.fix_missing_locations(tree), str(PAGE), "exec"), names)
    return names.get("_shown")


def test_every_example_gives_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    kinds: list[str] = []
    for block in blocks():
        kinds.append("file" if block.name else block.kind)
        if block.name:
            Path(block.name).write_text(block.text, encoding="utf-8")
        elif block.kind == "python":
            python(block, names)
        else:
            assert block.kind == "console"
            for example in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, shown = example.partition("\n")
                printed = command(line)
                assert matches(shown, printed), f"row {block.row}: {line}\n{printed}"
    assert (kinds.count("file"), kinds.count("console"), kinds.count("python")) == (6, 6, 9)


def test_every_command_is_in_the_table() -> None:
    rows = [row for row in PAGE.read_text(encoding="utf-8").splitlines() if row.startswith("| `")]
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row.split("|")[1])} == set(
        COMMANDS
    )
