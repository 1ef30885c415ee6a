"""Whole decisions: files of a project and a Claude Code event in, Claude Code's answer out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_the_answer_is_the_one_of_the_case(case: Any, run_case: Callable[[Any], None]) -> None:
    run_case(case)
