"""Every program of `programs/` is refused with the codes and the places that stand there, and OPA agrees.

A file is a family. `--- title` begins a program, `[v0]`, `[strict]` under it are the flags of `opa check`; then, a line for
each error, `=> row:col code` is what the newest OPA says (`=> accepted`: nothing), `1.7> ...` what OPA 1.7 says
where that is something else, and `~> ...  # why` what we say where we mean to differ. The module follows; several ones
have their names before them (`-- a.rego`) and in the places (`a.rego:2:1`).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import RegoVersion, parse_module

Error = tuple[str, int, int, str]

_FILE = "broken.rego"
_LEAST = 900
_MARK = re.compile(r"(=>|1\.7>|~>) (?:accepted|(?:(\w+\.rego):)?(\d+):(\d+) (\w+))(?:  # (.+))?")


@dataclass(frozen=True, slots=True)
class Broken:
    """`newest`, `older`: the errors of two versions of OPA, sorted; `ours`: what we say, `why` if that differs."""

    title: str
    flags: frozenset[str]
    newest: tuple[Error, ...]
    older: tuple[Error, ...]
    ours: tuple[Error, ...]
    why: str
    texts: tuple[tuple[str, str], ...]


def _program(block: str, family: str) -> Broken:
    title, *lines = block.split("\n")
    flags = frozenset(lines.pop(0)[1:-1].split()) if lines[0].startswith("[") else frozenset()
    found: dict[str, list[Error]] = {}
    why = ""
    while match := _MARK.fullmatch(lines[0]):
        sign, file, row, col, code, reason = match.groups()
        errors = found.setdefault(sign, [])
        if code:
            errors.append((file or _FILE, int(row), int(col), code))
        why = reason or why
        lines.pop(0)
    newest = tuple(found["=>"])
    return Broken(
        f"{family}: {title}",
        flags,
        newest,
        tuple(found.get("1.7>", newest)),
        tuple(found.get("~>", newest)),
        why if "~>" in found else "",
        tuple(_texts(lines)),
    )


def _texts(lines: list[str]) -> Iterator[tuple[str, str]]:
    parts = re.split(r"(?m)^-- (\w+\.rego)\n", "\n".join(lines).rstrip("\n") + "\n")
    if len(parts) == 1:
        yield _FILE, parts[0]
    yield from zip(parts[1::2], parts[2::2], strict=True)


def read_programs() -> list[Broken]:
    found = []
    for path in sorted((Path(__file__).parent / "programs").glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        found += [_program(block, path.stem) for block in ("\n" + text).split("\n--- ")[1:]]
    return found


PROGRAMS = read_programs()


def test_the_corpus_is_whole() -> None:
    assert len(PROGRAMS) >= _LEAST
    assert len({p.title for p in PROGRAMS}) == len(PROGRAMS)
    assert all(p.newest or p.ours for p in PROGRAMS)


def test_each_difference_has_its_reason() -> None:
    assert [p.title for p in PROGRAMS if (p.ours != p.newest) != bool(p.why)] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=[p.title for p in PROGRAMS])
def test_it_is_judged_with_the_codes_and_the_places(program: Broken) -> None:
    version: RegoVersion = "v0" if "v0" in program.flags else "v1"
    found: list[Diagnostic] = []
    modules = []
    for name, text in program.texts:
        try:
            modules.append(parse_module(text, name, rego_version=version))
        except CompileErrors as error:
            found += error.diagnostics
    if not found:
        try:
            check(modules, strict="strict" in program.flags)
        except CompileErrors as error:
            found += error.diagnostics
    assert all(d.message for d in found)
    assert tuple(sorted({(d.file, d.row, d.col, d.code) for d in found})) == program.ours


def _ask(opa: str, program: Broken, folder: Path) -> tuple[Error, ...]:
    files = [name for name, _ in program.texts]
    for name, text in program.texts:
        (folder / name).write_text(text, encoding="utf-8")
    names = {"v0": "--v0-compatible", "strict": "--strict"}
    flags = ["--format=json", "--max-errors=0", *(names[flag] for flag in program.flags)]
    answer = subprocess.run(
        [opa, "check", *flags, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    errors = json.loads(answer.stdout or answer.stderr or "{}").get("errors", [])
    places = [(e.get("location") or {}, e["code"]) for e in errors]
    return tuple(
        sorted({(p.get("file", ""), p.get("row", 0), p.get("col", 0), c) for p, c in places})
    )


def test_opa_says_what_the_corpus_says_of_it(tmp_path: Path) -> None:
    opa = shutil.which("opa")
    if opa is None:
        pytest.skip("no opa executable on the path to compare with")
    version = subprocess.run([opa, "version"], capture_output=True, text=True, check=True).stdout
    is_old = "Version: 1.7." in version
    if not is_old and "Version: 1.22." not in version:
        pytest.skip(f"these answers are of OPA 1.7 and 1.22, not of {version.splitlines()[0]}")
    wrong = {}
    for program in PROGRAMS:
        said = _ask(opa, program, tmp_path)
        if said != (program.older if is_old else program.newest):
            wrong[program.title] = said
    assert not wrong
