"""Whole programs and the document that their package makes, as OPA makes it.

`[case title]`, the `[module]` (or `[v0 module]`) of package `a`, then the `[document]` of `data.a` as JSON or the code of its
`[error]`. The input is that of `input.json`. Where the newest OPA is installed it must say the same.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cupcake.engine import query
from cupcake.engine.errors import CompileErrors, EvaluationError

_HERE = Path(__file__).parent
_INPUT = json.loads((_HERE / "input.json").read_text(encoding="utf-8"))
_CASE = re.compile(
    r"\[case (?P<title>.*)\]\n\[(?P<old>v0 )?module\]\n(?P<module>(?s:.*?))\n"
    r"\[(?P<kind>document|error)\]\n(?P<wanted>.*)\n"
)


@dataclass(frozen=True, slots=True)
class Case:
    """`wanted` is a document, or the code of an error if `fails`."""

    title: str
    is_v0: bool
    module: str
    fails: bool
    wanted: object


def _read() -> list[Case]:
    found = []
    for path in sorted((_HERE / "cases").glob("*.case")):
        text = path.read_text(encoding="utf-8")
        matches = list(_CASE.finditer(text))
        assert len(matches) == text.count("[case ")
        for m in matches:
            fails = m["kind"] == "error"
            wanted = m["wanted"] if fails else json.loads(m["wanted"])
            title = f"{path.stem}: {m['title']}"
            found.append(Case(title, bool(m["old"]), m["module"] + "\n", fails, wanted))
    return found


CASES = _read()


def test_there_are_cases_with_names_of_their_own() -> None:
    assert len({case.title for case in CASES}) == len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_the_package_makes_this_document(case: Case) -> None:
    try:
        ((found, *_),) = [
            list(solution.values())
            for solution in query(
                "x = data.a",
                {"a.rego": case.module},
                input=_INPUT,
                rego_version="v0" if case.is_v0 else "v1",
            )
        ]
    except CompileErrors as error:
        found, failed = error.diagnostics[0].code, True
    except EvaluationError as error:
        found, failed = error.code, True
    else:
        failed = False
    assert (failed, found) == (case.fails, case.wanted)


@pytest.fixture(scope="module")
def opa() -> str:
    found = shutil.which("opa")
    if found is None:
        pytest.skip("no opa executable on the path to compare with")
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
    if "Version: 1.22." not in version:
        pytest.skip(f"these answers are of OPA 1.22, not of {version.splitlines()[0]}")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_opa_makes_the_same(opa: str, tmp_path: Path, case: Case) -> None:
    path = tmp_path / "a.rego"
    path.write_text(case.module, encoding="utf-8")
    flags = ["--v0-compatible"] if case.is_v0 else []
    run = subprocess.run(
        [
            opa,
            "eval",
            "-f",
            "json",
            "-d",
            str(path),
            "-i",
            str(_HERE / "input.json"),
            *flags,
            "data.a",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    answer = json.loads(run.stdout)
    if case.fails:
        assert answer["errors"][0]["code"] == case.wanted
    else:
        assert answer["result"][0]["expressions"][0]["value"] == case.wanted


def test_version_two_needs_no_import() -> None:
    module = "package a\np if not (input.a and input.b)"
    assert query("x = data.a.p", {"a.rego": module}, input=_INPUT, rego_version="v2") == [
        {"x": True}
    ]
    with pytest.raises(CompileErrors):
        query("x = data.a.p", {"a.rego": module}, input=_INPUT)
