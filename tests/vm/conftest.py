"""Policies that several files of this folder evaluate, compiled once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cupcake.engine.api import compile_policy
from cupcake.engine.artifact import Artifact

Compile = Callable[..., Artifact]


@pytest.fixture(scope="session")
def compiled() -> Compile:
    """compiled(rules, *entrypoints) -> Artifact of `package a` with these rules; compiled once for equal arguments."""
    known: dict[tuple[str, ...], Artifact] = {}

    def make(rules: str, *entrypoints: str) -> Artifact:
        key = (rules, *entrypoints)
        if key not in known:
            known[key] = compile_policy(
                {"a.rego": "package a\n" + rules}, None, entrypoints or ("a/p",)
            )
        return known[key]

    return make
