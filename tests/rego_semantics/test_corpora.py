"""Texts from elsewhere that must check: the open conformance cases, which are never copied here."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.builtins.registry import UNSERVED
from cupcake.engine.builtins.types import ANY, Builtin
from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module, parse_query
from cupcake.engine.rego.verify_checked import verify

_ROOT = Path(__file__).parents[2]
_FOLDER = Path(os.environ.get("CUPCAKE_CONFORMANCE") or _ROOT.parent / "shared" / "conformance")

# Wrapped for another runner: a rule that reads all of `data`, itself included.
_RECURSIVE = "data.query.result is recursive"


def _cases(name: str) -> list[dict[str, Any]]:
    path = _FOLDER / name
    if not path.exists():
        pytest.skip(f"the conformance cases are not at {_FOLDER}; set CUPCAKE_CONFORMANCE")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _not_served(error: CompileErrors) -> bool:
    """Whether a case is refused only for builtins that this version does not serve."""
    names = {d.message.removeprefix("undefined function ") for d in error.diagnostics}
    return all(name in UNSERVED or name.startswith("test.") for name in names)


@pytest.mark.parametrize("name", ["open.jsonl.gz", "v0-open.jsonl.gz"])
def test_every_open_case_checks_and_keeps_the_promises(name: str) -> None:
    refused: list[str] = []
    checked = unserved = recursive = 0
    for case in _cases(name):
        version = case["rego_version"]
        modules = [
            parse_module(text, f"{i}.rego", rego_version=version)
            for i, text in enumerate(case["modules"])
        ]
        query = parse_query(case["query"], rego_version=version)
        try:
            verify(check(modules, query))
            checked += 1
        except CompileErrors as error:
            if _not_served(error):
                unserved += 1
            elif _RECURSIVE in str(error) and name.startswith("v0"):
                recursive += 1
            else:
                refused.append(f"{case['id']}: {error}")
    assert not refused, "\n".join(refused)
    assert recursive == (2 if name.startswith("v0") else 0)
    assert checked > 4 * unserved


def test_a_builtin_of_the_caller_is_known() -> None:
    module = parse_module("package a\np := test.sleep(1)", "a.rego")
    with pytest.raises(CompileErrors, match=r"undefined function test\.sleep"):
        check([module])
    extra = Builtin("test.sleep", (ANY,), ANY, "host")
    verify(check([module], extra_builtins=[extra]), {"test.sleep"})


def _original() -> dict[str, str]:
    """Rego files of the original Cupcake project by path, from the checkout that CUPCAKE_ORIGINAL names."""
    place = os.environ.get("CUPCAKE_ORIGINAL")
    if not place or not Path(place).is_dir():
        pytest.skip("set CUPCAKE_ORIGINAL to a git checkout of eqtylab/cupcake")
    listed = _git(place, "ls-tree", "-r", "--name-only", "HEAD").split("\n")
    return {path: _git(place, "show", f"HEAD:{path}") for path in listed if path.endswith(".rego")}


def _git(place: str, *words: str) -> str:
    run = subprocess.run(
        ["git", "-C", place, *words], capture_output=True, text=True, check=True, timeout=60
    )
    return run.stdout


def test_every_policy_of_the_original_project_checks() -> None:
    texts = _original()
    helpers = [parse_module(t, p) for p, t in texts.items() if p.endswith("system/commands.rego")]
    assert len(texts) > 40
    for path, text in texts.items():
        module = parse_module(text, path)
        others = [helper for helper in helpers if helper.file != path]
        verify(check([module, *others]))
