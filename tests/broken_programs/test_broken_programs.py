"""Every program of `programs.txt` is refused with the code and the row that stand there, and OPA agrees."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module

Error = tuple[int, str]
_LEAST = 220


@dataclass(frozen=True, slots=True)
class Broken:
    """`theirs`: OPA's errors as (row, code), sorted, each once; `ours`: what we say."""

    title: str
    theirs: tuple[Error, ...]
    ours: tuple[Error, ...]
    text: str


def read_programs() -> list[Broken]:
    text = (Path(__file__).parent / "programs.txt").read_text(encoding="utf-8")
    found = []
    for block in text.split("\n--- ")[1:]:
        title, rest = block.split("\n", 1)
        lines = rest.split("\n")
        marks = [line for line in lines if re.match(r"[=~]> \d", line)]
        theirs, ours = (
            tuple((int(m.split()[1]), m.split()[2]) for m in marks if m.startswith(sign))
            for sign in "=~"
        )
        body = "\n".join(lines[len(marks) :]).rstrip("\n") + "\n"
        found.append(Broken(title, theirs, ours or theirs, body))
    return found


PROGRAMS = read_programs()


def test_the_corpus_is_whole() -> None:
    assert len(PROGRAMS) >= _LEAST
    assert len({p.title for p in PROGRAMS}) == len(PROGRAMS)
    assert all(p.theirs for p in PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS, ids=[p.title for p in PROGRAMS])
def test_it_is_refused_with_the_code_and_the_row(program: Broken) -> None:
    with pytest.raises(CompileErrors) as caught:
        check([parse_module(program.text, "broken.rego")])
    said = {(d.row, d.code) for d in caught.value.diagnostics}
    assert tuple(sorted(said)) == program.ours
    assert all(d.message and d.col >= 1 for d in caught.value.diagnostics)


def test_opa_says_what_the_corpus_says_of_it(tmp_path: Path) -> None:
    opa = shutil.which("opa")
    if opa is None:
        pytest.skip("no opa executable on the path to compare with")
    version = subprocess.run([opa, "version"], capture_output=True, text=True, check=True).stdout
    if "Version: 1.7." not in version:
        pytest.skip(f"these answers are of OPA 1.7, not of {version.splitlines()[0]}")
    path = tmp_path / "broken.rego"
    wrong = {}
    for program in PROGRAMS:
        path.write_text(program.text, encoding="utf-8")
        answer = subprocess.run(
            [opa, "check", "--format", "json", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        errors = json.loads(answer.stdout or answer.stderr or "{}").get("errors", [])
        said = {((e.get("location") or {}).get("row", 0), e["code"]) for e in errors}
        if tuple(sorted(said)) != program.theirs:
            wrong[program.title] = sorted(said)
    assert not wrong
