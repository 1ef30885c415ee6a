"""A build begins when a change is seen first, and nothing comes of files that were still being written."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cupcake.daemon import builder, evaluation, snapshot
from cupcake.daemon.cli_init import init_project
from cupcake.daemon.watch import Watcher
from cupcake.engine.policy.discovery import read_sources

POLICY = """# METADATA
# custom:
#   routing:
#     required_events: [PreToolUse]
package cupcake.policies.own
import rego.v1
deny contains {{"rule_id": "OWN", "severity": "HIGH", "reason": "{reason}"}} if input.hook_event_name == "PreToolUse"
"""
BROKEN = POLICY[: POLICY.index("contains")]
EVENT = b'{"hook_event_name":"PreToolUse","tool_name":"Read","tool_input":{}}'


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    init_project(tmp_path / "project", "claude")
    return tmp_path / "project/.cupcake/policies/claude/own.rego"


def built(policy: Path, while_compiling: Callable[[], object], **more: object) -> dict[str, Any]:
    """The result of a build in whose compiles something happens first."""
    module = ModuleType("engine_with_a_busy_user")
    module.__dict__.update(vars(evaluation))

    def compile_project(sources: Any, compilers: Any) -> Any:
        while_compiling()
        return evaluation.compile_project(sources, compilers)

    module.compile_project = compile_project  # type: ignore[attr-defined]
    folder = policy.parents[4]
    job = {
        "root": str(policy.parents[3]),
        "state_dir": str(folder / "state"),
        "cache_dir": str(folder / "cache"),
        "places": [str(folder / "generations")],
        "keep": [],
        "number": 1,
        **more,
    }
    return builder.build(module, job)


def saves(policy: Path, *texts: str) -> Callable[[], object]:
    """Saves the next of the texts each time it is called, as long as there are some."""
    left = iter(texts)

    def save() -> None:
        for text in itertools.islice(left, 1):
            policy.write_text(text)

    return save


def digests(policy: Path) -> tuple[str, str | None]:
    root = policy.parents[3]
    return read_sources(str(root), global_dir=None).digest, snapshot.content_digest(
        str(root / ".cupcake")
    )


@pytest.mark.parametrize("first", [POLICY.format(reason="first"), BROKEN, ""])
def test_what_is_saved_during_a_build_is_what_takes_effect(policy: Path, first: str) -> None:
    policy.write_text(first)
    last = POLICY.format(reason="last")
    result = built(
        policy, saves(policy, POLICY.format(reason="between"), last), tree="of the first"
    )
    assert result["ok"], result
    assert (result["digest"], result["tree"]) == digests(policy)
    layers = evaluation.load_compiled(Path(result["directory"]))
    assert b"last" in evaluation.Evaluator(layers).answer("claude", EVENT).response


def test_diagnostics_are_those_of_what_is_there_now(policy: Path) -> None:
    policy.write_text(POLICY.format(reason="first"))
    result = built(policy, saves(policy, BROKEN))
    assert not result["ok"]
    assert result["diagnostics"][0]["file"].endswith("own.rego")
    assert result["tree"] == digests(policy)[1]


def test_a_save_that_brings_back_what_serves_already_builds_nothing(policy: Path) -> None:
    policy.write_text(POLICY.format(reason="first"))
    serves = digests(policy)[0]
    policy.write_text(BROKEN)
    again = saves(policy, POLICY.format(reason="first"))
    assert built(policy, again, current_digest=serves)["unchanged"]


def test_files_that_never_come_to_rest_are_built_all_the_same(policy: Path) -> None:
    numbers = itertools.count()
    policy.write_text(POLICY.format(reason="first"))
    result = built(
        policy, lambda: policy.write_text(POLICY.format(reason=f"number {next(numbers)}"))
    )
    assert result["ok"], result
    assert result["digest"] != digests(policy)[0]
    assert result["tree"] != digests(policy)[1], "the watcher must see that there is more"


def test_a_folder_that_goes_during_a_build_has_vanished(policy: Path) -> None:
    def remove() -> None:
        (policy.parents[2]).rename(policy.parents[3] / "elsewhere")

    policy.write_text(POLICY.format(reason="first"))
    result = built(policy, remove)
    assert result.get("vanished"), result


def test_a_change_is_told_when_it_is_seen_and_again_when_it_has_settled(policy: Path) -> None:
    told: list[tuple[str, str | None]] = []
    heard = threading.Condition()

    def tell(kind: str, digest: str | None) -> None:
        with heard:
            told.append((kind, digest))
            heard.notify()

    def wait_for(*expected: tuple[str, str | None]) -> None:
        with heard:
            assert heard.wait_for(lambda: len(told) >= len(expected), 20), told
            assert told == list(expected)

    folder = str(policy.parents[2])
    watcher = Watcher(
        lambda _, digest: tell("settled", digest),
        sight=lambda _, digest: tell("seen", digest),
        step=0.005,
        settle=0.01,
        poll=0.1,
        trouble=lambda why: None,
    )
    first = snapshot.content_digest(folder)
    watcher.start()
    try:
        watcher.watch({"project": folder})
        wait_for(("settled", first))
        policy.write_text(POLICY.format(reason="first"))
        second = snapshot.content_digest(folder)
        wait_for(("settled", first), ("seen", second), ("settled", second))
        (policy.parents[3] / ".git").mkdir()
        (policy.parents[3] / ".git/index.lock").touch()
        policy.write_text(POLICY.format(reason="second"))
        time.sleep(0.3)
        assert len(told) == 3, "what git is changing is not looked at"
        (policy.parents[3] / ".git/index.lock").unlink()
        third = snapshot.content_digest(folder)
        wait_for(("settled", first), ("seen", second), ("settled", second), ("settled", third))
    finally:
        watcher.stop()
