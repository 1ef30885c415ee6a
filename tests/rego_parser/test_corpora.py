"""Texts from elsewhere that must parse: the open conformance cases, which are never copied here."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term
from cupcake.engine.rego.render import render

_ROOT = Path(__file__).parents[2]
_FOLDER = Path(os.environ.get("CUPCAKE_CONFORMANCE") or _ROOT.parent / "shared" / "conformance")


def _cases(name: str) -> list[dict[str, Any]]:
    path = _FOLDER / name
    if not path.exists():
        pytest.skip(f"the conformance cases are not at {_FOLDER}; set CUPCAKE_CONFORMANCE")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _without_notes(module: ast.Module) -> tuple[object, ...]:
    rules = [(rule.head, rule.body, rule.else_, rule.default) for rule in module.rules]
    return (module.package, module.imports, rules)


@pytest.mark.parametrize("name", ["open.jsonl.gz", "v0-open.jsonl.gz"])
def test_every_text_of_the_open_cases_parses(name: str) -> None:
    refused = []
    parsed = 0
    for case in _cases(name):
        version = case["rego_version"]
        try:
            parse_query(case["query"], rego_version=version)
            for text in case["modules"]:
                parse_module(text, "case.rego", rego_version=version)
            if case["input_term"]:
                parse_term(case["input_term"])
            parsed += 1
        except CompileErrors as error:
            refused.append(f"{case['id']}: {error}")
    assert not refused, "\n".join(refused)
    assert parsed > 1000


def test_rendered_modules_parse_to_equal_trees() -> None:
    different = []
    for case in _cases("open.jsonl.gz"):
        for text in case["modules"]:
            if "$`" in text or '$"' in text:
                continue  # a constant string in a template is rendered as text of the template
            module = parse_module(text, "case.rego")
            again = parse_module(render(module), "case.rego")
            if _without_notes(module) != _without_notes(again):
                different.append(case["id"])
    assert not different
