"""Golden cases: each `[case]` of cases/*.case holds a text and what it becomes.

[case the name, a sentence]
[source]            or [v0 source], [query], [v0 query], [term]
package p
[ast]               the dump of the tree; or:
[errors]            one `row:col message` a line, ` | hint` where the hint is part of the fact
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term
from cupcake.engine.rego.render import dump

_FOLDER = Path(__file__).parent / "cases"
_HEADER = re.compile(r"\[(case .*|(?:v0 )?(?:source|query)|term|ast|errors)\]")


@dataclass
class Case:
    name: str
    kind: str = ""
    sections: dict[str, list[str]] = field(default_factory=dict)


def _read(path: Path) -> list[Case]:
    cases: list[Case] = []
    section = ""
    for line in path.read_text(encoding="utf-8").split("\n"):
        header = _HEADER.fullmatch(line)
        if header and header[1].startswith("case "):
            cases.append(Case(f"{path.stem}: {header[1][5:]}"))
            section = ""
        elif header and cases:
            section = header[1]
            if section not in ("ast", "errors"):
                cases[-1].kind = section
            cases[-1].sections[section] = []
        elif section:
            cases[-1].sections[section].append(line)
        else:
            assert not line.strip() or line.startswith("#"), f"{path.name}: stray line {line!r}"
    return cases


_CASES = [case for path in sorted(_FOLDER.glob("*.case")) for case in _read(path)]


def _parse(kind: str, text: str) -> str:
    version = "v0" if kind.startswith("v0 ") else "v1"
    if kind == "term":
        return dump(parse_term(text))
    if kind.endswith("query"):
        return dump(parse_query(text, rego_version=version))
    return dump(parse_module(text, "case.rego", rego_version=version))


def outcome(kind: str, text: str, *, hints: bool) -> tuple[str, str]:
    """(`ast` or `errors`, the text of that section) for a source."""
    try:
        return "ast", _parse(kind, text)
    except CompileErrors as error:
        lines = []
        for found in error.diagnostics:
            hint = f" | {found.hint}" if hints and found.hint else ""
            lines.append(f"{found.row}:{found.col} {found.message}{hint}")
        return "errors", "\n".join(lines)


def test_there_are_cases() -> None:
    assert len(_CASES) > 100
    assert len({case.name for case in _CASES}) == len(_CASES)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    (wanted,) = (name for name in case.sections if name in ("ast", "errors"))
    expected = "\n".join(case.sections[wanted]).strip("\n")
    source = "\n".join(case.sections[case.kind]).strip("\n")
    found, text = outcome(case.kind, source, hints=" | " in expected)
    assert found == wanted, text
    assert text == expected
