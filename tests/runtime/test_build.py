"""The committed module is what its sources build."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path

import pytest

from cupcake.engine.runtime import build

RUNTIME = Path(__file__).resolve().parents[2] / "engine" / "runtime"

needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None,
    reason="ziglang (the pinned clang) is not installed",
)


@needs_zig
def test_committed_module_equals_a_build_of_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "HERE", RUNTIME)
    assert build.build() == (RUNTIME / "runtime.wasm").read_bytes(), (
        "engine/runtime/runtime.wasm is stale: python -m cupcake.engine.runtime.build, and commit it"
    )


def test_the_linkers_index_belongs_to_the_committed_module() -> None:
    index = json.loads((RUNTIME / "runtime.index.json").read_text())
    digest = hashlib.sha256((RUNTIME / "runtime.wasm").read_bytes()).hexdigest()
    assert index["runtime"] == digest, "python -m cupcake.engine.wasm.image, and commit the index"


def test_module_holds_no_path_and_no_tool_record() -> None:
    data = (RUNTIME / "runtime.wasm").read_bytes()
    for forbidden in (b"/home", b"/root", b"/tmp", b"/work", b"producers", b"clang version"):
        assert forbidden not in data
