"""Code that runs fast takes the place of code that was compiled fast, without anybody waiting for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.compiler import compile_policy
from cupcake.engine.errors import LoadError
from cupcake.engine.vm import load, native, precompile
from cupcake.engine.vm.upgrade import Upgrade

DEADLINE = 30.0
ARTIFACT = compile_policy(
    {"p.rego": "package p\nallow if input.n > 3\nnames := [upper(x) | some x in input.names]"},
    entrypoints=["p"],
)
INPUT = {"n": 4, "names": ["a", "b"]}


def until(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    return folder


def better() -> native.Program:
    policy = load(ARTIFACT)
    assert isinstance(policy._program, native.Program)
    return policy._program


def test_what_is_ready_is_taken(cache: Path) -> None:
    ready = threading.Event()
    program = better()
    upgrade = Upgrade(ready.is_set, lambda: program, patience=DEADLINE)
    time.sleep(0.3)
    assert upgrade.look() is None
    ready.set()
    assert until(upgrade.look) is program


def test_what_nobody_makes_is_made_here_on_another_thread() -> None:
    program = better()
    makers: list[int] = []

    def make() -> native.Program:
        makers.append(threading.get_ident())
        return program

    upgrade = Upgrade(lambda: False, make, patience=0.0)
    assert until(upgrade.look) is program
    assert len(makers) == 1
    assert makers[0] != threading.get_ident()


@pytest.mark.parametrize("ready", [True, False])
def test_code_that_cannot_be_had_leaves_the_policy_as_it_is(ready: bool) -> None:
    tried = threading.Event()

    def make() -> native.Program:
        tried.set()
        raise LoadError("no")

    upgrade = Upgrade(lambda: ready, make, patience=0.0)
    until(lambda: upgrade.look() or tried.is_set())
    assert upgrade.look() is None


def test_a_policy_answers_the_same_before_and_after(cache: Path) -> None:
    policy = load(ARTIFACT, cache_dir=cache, quick_first=True)
    first = policy._program
    before = policy.evaluate("p", INPUT)
    precompile(ARTIFACT, cache)

    def changed() -> bool:
        policy.prepare()
        return policy._program is not first

    until(changed)
    assert policy.evaluate("p", INPUT) == before == {"allow": True, "names": ["A", "B"]}


def test_code_that_is_there_is_used_at_once(cache: Path) -> None:
    precompile(ARTIFACT, cache)
    entries = sorted(cache.iterdir())
    policy = load(ARTIFACT, cache_dir=cache, quick_first=True)
    assert policy.evaluate("p", INPUT)["allow"] is True
    assert sorted(cache.iterdir()) == entries
