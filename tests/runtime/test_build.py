"""The committed module is what its sources build."""

from __future__ import annotations

import importlib.util
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


def test_module_holds_no_path_and_no_tool_record() -> None:
    data = (RUNTIME / "runtime.wasm").read_bytes()
    for forbidden in (b"/home", b"/root", b"/tmp", b"/work", b"producers", b"clang version"):
        assert forbidden not in data
