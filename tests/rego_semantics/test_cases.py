"""Golden cases: each `[case]` of cases/*.case holds modules and what checking makes of them.

[case the name, a sentence]
[source]            or [source name.rego], [v0 source]; several make several modules
package p
[query]             optional
[strict]            optional and empty: strict mode
[data]              optional: the base document as JSON
[checked]           groups with their rules, and the query; or:
[errors]            one `row:col code message` a line (`file:` before it if there are several
                    modules), ` | hint` where the hint is part of the fact; a line break is `\\n`

Where the real OPA is installed it must judge the cases alike: accept what we accept, and refuse at the same
rows in the same words. It stops at the first stage that finds errors and we do not, so that we may
report more. What differs on purpose is listed in `_OURS`, and a stale entry fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.checked import Checked
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module, parse_query
from cupcake.engine.rego.render import render, render_body
from cupcake.engine.rego.verify_checked import verify

_FOLDER = Path(__file__).parent / "cases"
_HEADER = re.compile(r"\[(case .*|(?:v0 )?source(?: [a-z.]+)?|query|strict|data|checked|errors)\]")


@dataclass
class Case:
    name: str
    sections: list[tuple[str, list[str]]] = field(default_factory=list)

    def text(self, kind: str) -> str | None:
        found = [lines for name, lines in self.sections if name == kind]
        return "\n".join(found[0]).strip("\n") if found else None

    def sources(self) -> list[tuple[str, str, str]]:
        """Version, file name and text of each module."""
        found: list[tuple[str, str, str]] = []
        for name, lines in self.sections:
            words = name.split()
            if "source" in words:
                file = words[-1] if words[-1] != "source" else "a.rego"
                version = "v0" if words[0] == "v0" else "v1"
                found.append((version, file, "\n".join(lines)))
        return found


def _read(path: Path) -> list[Case]:
    cases: list[Case] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        header = _HEADER.fullmatch(line)
        if header and header[1].startswith("case "):
            cases.append(Case(f"{path.stem}: {header[1][5:]}"))
        elif header:
            cases[-1].sections.append((header[1], []))
        elif cases and cases[-1].sections:
            cases[-1].sections[-1][1].append(line)
        else:
            assert not line.strip() or line.startswith("#"), f"{path.name}: stray line {line!r}"
    return cases


CASES = [case for path in sorted(_FOLDER.glob("*.case")) for case in _read(path)]


def check_case(case: Case) -> Checked:
    query = case.text("query")
    data = case.text("data")
    return check(
        [parse_module(text, file, rego_version=v) for v, file, text in case.sources()],
        None if query is None else parse_query(query),
        strict=case.text("strict") is not None,
        data_paths=None if data is None else json.loads(data),
    )


def _short(text: str) -> str:
    return text.replace("__local", "_").replace("__", "")


def show(checked: Checked) -> str:
    """The checked form as the cases write it: `__local7__` is `_7`."""
    lines: list[str] = []
    for path, group in checked.rules.items():
        arity = "" if group.arity is None else f"/{group.arity}"
        where = ".".join(p if isinstance(p, str) else render(p) for p in path)
        lines.append(f"# {where} {group.kind}{arity}")
        if group.default is not None:
            lines.append(render(group.default))
        lines += [render(rule) for rule in group.rules]
    if checked.query is not None:
        names = ", ".join(f"{name}={var.name}" for name, var in checked.query.vars)
        lines.append(f"# query {names}".rstrip())
        lines.append(render_body(checked.query.body))
    return _short("\n".join(lines))


def _errors(error: CompileErrors, many: bool) -> list[str]:
    lines: list[str] = []
    for d in error.diagnostics:
        place = f"{d.file}:" if many else ""
        hint = f" | {d.hint}" if d.hint else ""
        message = d.message.replace("\n", "\\n").replace("\t", " ")
        lines.append(f"{place}{d.row}:{d.col} {d.code} {message}{hint}")
    return lines


def outcome(case: Case) -> str:
    """What checking the case gives, in the form of its last section."""
    try:
        checked = check_case(case)
    except CompileErrors as error:
        many = len(case.sources()) > 1
        return "[errors]\n" + "\n".join(_errors(error, many))
    verify(checked)
    return "[checked]\n" + show(checked)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_checking_gives_what_the_case_says(case: Case) -> None:
    kind = case.sections[-1][0]
    assert outcome(case) == f"[{kind}]\n{case.text(kind)}"


def test_no_two_cases_have_the_same_name() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 70


# -- the real OPA -----------------------------------------------------------------------------

Error: TypeAlias = tuple[str, int, str, str]

# Cases that OPA 1.7 judges otherwise, or whose errors it places or words otherwise.
_OURS = {
    "checked: an argument that must be computed is compared in the body": "no template strings",
    "checked: a template string is a call over sets": "no template strings",
    "errors: two defaults": "OPA points at the package, we at the second default",
    "errors: both sides unknown": "OPA 1.7 names what is assigned too, newer ones do not",
    "errors: refs that can never be defined": "newer OPAs say that a function is no value",
    "errors: a function is a value for functions only": "newer OPAs say that a function is no value",
    "errors: a rule and a package of its name": "OPA points into the other file",
}


def _opa() -> str:
    found = os.environ.get("OPA") or shutil.which("opa")
    if found is None:
        home = Path.home() / "go" / "bin" / "opa"
        if not home.exists():
            pytest.skip("no `opa` on the path; set OPA to its place")
        found = str(home)
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
    if "Version: 1.7." not in version:
        pytest.skip(f"these answers are of OPA 1.7, not of {version.splitlines()[0]}")
    return found


def _ask_opa(case: Case, folder: Path) -> set[Error]:
    flags = ["--strict"] if case.text("strict") is not None else []
    files: list[str] = []
    for version, file, text in case.sources():
        (folder / file).write_text(text, encoding="utf-8")
        files.append(file)
        if version == "v0":
            flags.append("--v0-compatible")
    run = subprocess.run(
        [_opa(), "check", "--max-errors=1000", "--format=json", *flags, *files],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answer = (run.stdout + run.stderr).strip()
    found: set[Error] = set()
    for error in json.loads(answer)["errors"] if answer else []:
        place = error.get("location", {})
        first = error["message"].split("\n")[0]
        found.add((place.get("file", ""), place.get("row", 0), error["code"], first))
    return found


def _ask_us(case: Case) -> set[Error]:
    try:
        check_case(case)
    except CompileErrors as error:
        return {(d.file, d.row, d.code, d.message.split("\n")[0]) for d in error.diagnostics}
    return set()


def _comparable(case: Case) -> bool:
    return case.text("query") is None and case.text("data") is None


@pytest.mark.parametrize("case", [c for c in CASES if _comparable(c)], ids=lambda case: case.name)
def test_opa_judges_alike(case: Case, tmp_path: Path) -> None:
    theirs = _ask_opa(case, tmp_path)
    ours = _ask_us(case)
    alike = theirs <= ours and bool(theirs) == bool(ours)
    assert alike == (case.name not in _OURS), f"only OPA: {theirs - ours}; only we: {ours - theirs}"
