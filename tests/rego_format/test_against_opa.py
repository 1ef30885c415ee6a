"""The real `opa fmt` beside ours: on the project's own policies, random programs, and other layouts of all of them.

More texts, where they are: CUPCAKE_CONFORMANCE (a folder with open.jsonl.gz), CUPCAKE_POLICIES (folders of policies, as
PATH has them).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from fmt_comparison import FINE, compare, policies
from fmt_layouts import disturbed
from random_programs import program

_ROOT = Path(__file__).parents[2]
_SEEDS = range(60)


def differences(opa: str, texts: Iterable[tuple[str, str, str]]) -> list[str]:
    """Of (name, text, mode): the diffs that are ours."""
    found = (compare(opa, name, text, mode) for name, text, mode in texts)
    return [
        f"{one.name}: {one.verdict}\n{one.difference}" for one in found if one.verdict not in FINE
    ]


def test_the_projects_own_policies(opa: str) -> None:
    folders = [str(_ROOT / name) for name in ("engine", "examples", "tests")]
    texts = [(str(path), path.read_text("utf-8", "replace")) for path in policies(folders)]
    assert texts
    for mode in ("v1", "v0"):
        assert differences(opa, [(*text, mode) for text in texts]) == []


def test_random_programs(opa: str) -> None:
    made = [(seed, program(seed, templates=True)) for seed in _SEEDS]
    texts = [
        (f"{seed}/{name}", text, "v0" if one.v0 else "v1")
        for seed, one in made
        for name, text in one.texts().items()
    ]
    assert differences(opa, texts) == []


def test_random_layouts(opa: str) -> None:
    texts = [
        (f"{seed}/{name}", disturbed(text, seed, often=0.05, comments=False), "v1")
        for seed in _SEEDS
        for name, text in program(seed).texts().items()
    ]
    assert differences(opa, texts) == []


def test_conformance_cases(opa: str) -> None:
    folder = Path(os.environ.get("CUPCAKE_CONFORMANCE") or _ROOT.parent / "shared" / "conformance")
    if not (folder / "open.jsonl.gz").exists():
        pytest.skip("no conformance cases: set CUPCAKE_CONFORMANCE to their folder")
    texts = []
    for name, mode in (("open", "v1"), ("v0-open", "v0")):
        with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines]
        texts += [(case["id"], text, mode) for case in found for text in case["modules"]]
    assert differences(opa, texts[::20]) == []


def test_other_peoples_policies(opa: str) -> None:
    folders = os.environ.get("CUPCAKE_POLICIES", "")
    if not folders:
        pytest.skip("no policies of others: set CUPCAKE_POLICIES to folders of them")
    found = policies(folders.split(os.pathsep))
    texts = [(str(path), path.read_text("utf-8", "replace"), "v1") for path in found]
    assert differences(opa, texts) == []
