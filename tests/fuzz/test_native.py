"""The C runtime's fuzzers under ASan and UBSan: the committed inputs and some thousand random ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import native

RUNS = {"native-json": 3000, "native-values": 300, "native-numbers": 3000, "native-builtins": 1500}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("fuzzers")

    def make(name: str) -> Path:
        try:
            return native.build(name, folder, guided=False)
        except native.NoCompiler as reason:
            pytest.skip(str(reason))

    return make


@pytest.mark.parametrize("name", native.NAMES)
def test_the_sanitizers_find_nothing(name: str, built: Callable[[str], Path]) -> None:
    inputs = sorted(str(p) for p in (native.CORPUS / name).glob("*"))
    done = native.run(
        built(name), [*inputs, f"-runs={RUNS[name]}", "-seed=5"], capture_output=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-4000:]
