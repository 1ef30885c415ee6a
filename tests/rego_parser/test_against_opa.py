"""The golden modules, read by OPA itself: it must accept and refuse the same ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego.parser import RegoVersion, parse_module

_CASES = Path(__file__).parent / "cases"

# Where we differ from OPA 1.7 and mean to.
_STRICTER = {
    "if after a value without its import",  # OPA reads a second rule, called `if`
}


def _modules() -> list[tuple[str, RegoVersion, str]]:
    found: list[tuple[str, RegoVersion, str]] = []
    for name in ("modules.case", "errors.case"):
        for block in (_CASES / name).read_text(encoding="utf-8").split("[case ")[1:]:
            title, rest = block.split("]\n", 1)
            kind, rest = rest.split("]\n", 1)
            text = rest.split("\n[ast]\n")[0].split("\n[errors]\n")[0]
            found.append((title, "v0" if kind == "[v0 source" else "v1", text))
    return found


def _first_row(text: str, version: RegoVersion) -> int | None:
    try:
        parse_module(text, "case.rego", rego_version=version)
    except CompileErrors as error:
        return error.diagnostics[0].row
    return None


@pytest.fixture(scope="module")
def opa() -> str:
    found = shutil.which("opa")
    if found is None:
        pytest.skip("no opa executable on the path to compare with")
    version = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
    if "Version: 1.7." not in version:
        pytest.skip(f"these answers are of OPA 1.7, not of {version.splitlines()[0]}")
    return found


@pytest.mark.parametrize(
    ("title", "version", "text"), _modules(), ids=[title for title, _, _ in _modules()]
)
def test_opa_accepts_and_refuses_the_same_modules(
    opa: str, tmp_path: Path, title: str, version: RegoVersion, text: str
) -> None:
    path = tmp_path / "case.rego"
    path.write_text(text, encoding="utf-8")
    command = [opa, "parse", str(path)]
    if version == "v0":
        command.append("--v0-compatible")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    row: int | None = None
    if done.returncode:
        row = json.loads(done.stderr)["errors"][0]["location"]["row"]
    if title in _STRICTER:
        assert row is None
        assert _first_row(text, version) is not None
    else:
        assert _first_row(text, version) == row
