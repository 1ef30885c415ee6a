"""Replays the committed inputs of every fuzzer and runs each for a moment. Long runs: `python tests/fuzz/run.py NAME`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from driver import explore, replay
from targets import TARGETS

SECONDS = 0.7


@pytest.mark.parametrize("name", TARGETS)
def test_every_committed_input_is_handled(name: str) -> None:
    replay(TARGETS[name])


@pytest.mark.parametrize("name", TARGETS)
def test_a_moment_of_fuzzing_finds_nothing(name: str) -> None:
    outcome = explore(TARGETS[name], SECONDS, seed=7, stop_at_first=True)
    assert outcome.runs
    assert not outcome.findings, outcome.findings
