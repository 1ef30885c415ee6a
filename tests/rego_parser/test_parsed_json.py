"""The JSON of parsed rules is OPA's: `rego.parse_module` and `parse --format json` show it.

A line of `parsed.txt` is a rule (`\\n` between its lines) and, after `  =>  `, the JSON of its heads or, where it has none
beside the constant one, of its body. Where the newest OPA is installed it must say the same.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.rego.ast_json import module_to_json
from cupcake.engine.rego.parser import parse_module

_LINES = Path(__file__).with_name("parsed.txt").read_text(encoding="utf-8").splitlines()
_CASES = [line.split("  =>  ") for line in _LINES if line and not line.startswith("# ")]


def _text(rule: str) -> str:
    return "package t\n" + rule.replace("\\n", "\n") + "\n"


def _shown(module: dict[str, Any]) -> Iterator[Any]:
    """The heads of each rule and of its `else` branches, without their names as refs, or its body."""
    for rule in module["rules"]:
        link = rule
        while link is not None:
            head = {k: v for k, v in link["head"].items() if k != "ref"}
            generated = link["body"][0].get("generated", False)
            yield head if generated or head.get("name") != "p" or "else" in rule else link["body"]
            link = link.get("else")


@pytest.mark.parametrize(("rule", "wanted"), _CASES, ids=[rule for rule, _ in _CASES])
def test_a_rule_is_shown_so(rule: str, wanted: str) -> None:
    text = _text(rule)
    shown = json.loads(json.dumps(module_to_json(parse_module(text, "a.rego"), text)))
    assert list(_shown(shown)) == json.loads(wanted)


def test_opa_shows_the_same(tmp_path: Path) -> None:
    opa = shutil.which("opa")
    if opa is None:
        pytest.skip("no opa executable on the path to compare with")
    version = subprocess.run([opa, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Version: 1\.(\d+)", version)
    if found is None or int(found[1]) < 22:
        pytest.skip("these answers are of OPA 1.22")
    path = tmp_path / "a.rego"
    for rule, wanted in _CASES:
        path.write_text(_text(rule), encoding="utf-8")
        command = [opa, "parse", "--format", "json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert list(_shown(json.loads(done.stdout))) == json.loads(wanted), rule
