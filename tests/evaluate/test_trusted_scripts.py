"""With trust on, the script of a signal is what was signed, whatever lies on the disk when it runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine import signals
from cupcake.engine.compiled import load_compiled
from cupcake.engine.errors import LoadError
from cupcake.engine.evaluate import Evaluator, compile_project
from cupcake.engine.policy.discovery import read_sources

EVENT = (
    b'{"hook_event_name":"PreToolUse","session_id":"s","transcript_path":"","cwd":"/",'
    b'"tool_name":"Bash","tool_input":{"command":"true"}}'
)
SHOW = """# METADATA
# scope: package
# custom:
#   routing:
#     required_events: [PreToolUse]
#     required_signals: [who]
package cupcake.policies.show

import rego.v1

deny contains {"rule_id": "SHOW", "severity": "HIGH", "reason": sprintf("%v", [input.signals.who])}
"""
SIGNED = "#!/bin/sh\necho signed\n"
EDITED = "#!/bin/sh\ntouch $ROOT/ran\necho edited\n"


@pytest.fixture
def build(tmp_path: Path, module_cache: Path) -> Callable[..., Evaluator]:
    """A project whose signal `who` is a script; saved and loaded again, as the daemon does."""

    def make(*, trusted: bool, script: str = SIGNED) -> Evaluator:
        for name, content in (
            (".cupcake/policies/claude/show.rego", SHOW),
            (".cupcake/signals/who.sh", script),
        ):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        (tmp_path / ".cupcake/signals/who.sh").chmod(0o755)
        sources = replace(read_sources(tmp_path), trusted=trusted)
        compile_project(sources).save(tmp_path / "built")
        return Evaluator(load_compiled(tmp_path / "built"), cache_dir=module_cache)

    return make


def edit(root: Path) -> None:
    (root / ".cupcake/signals/who.sh").write_text(EDITED.replace("$ROOT", str(root)))


def said(evaluator: Evaluator) -> Any:
    return evaluator.answer("claude", EVENT).decision["Deny"]["reason"]


def test_an_edited_script_runs_only_without_trust(
    build: Callable[..., Evaluator], tmp_path: Path
) -> None:
    trusted, free = build(trusted=True), build(trusted=False)
    # Saving the second must not have taken the script from the first, which is loaded.
    assert (said(trusted), said(free)) == ("signed", "signed")
    edit(tmp_path)
    assert said(trusted) == "signed"
    assert not (tmp_path / "ran").exists()
    assert said(free) == "edited"
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("memory", [True, False], ids=["memory file", "private file"])
def test_a_signed_script_runs_though_it_is_gone(
    build: Callable[..., Evaluator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: bool
) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setenv("TMPDIR", str(places))
    monkeypatch.setattr(tempfile, "tempdir", None)
    if not memory:
        monkeypatch.setattr(signals, "_sealed_memory", lambda _: None)
    evaluator = build(trusted=True)
    (tmp_path / ".cupcake/signals/who.sh").unlink()
    said(evaluator)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert [said(evaluator) for _ in range(3)] == ["signed"] * 3
    assert list(places.iterdir()) == []
    if before:
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo no first line\n", "no first line"),
        ("#!/bin/sh\nread -r event; echo ${#event}\n", None),
        ("#!/no/such/interpreter\n", '"success": false'),
        ("#!/bin/sh\nexit 3\n", '"exit_code": 3'),
    ],
)
def test_what_a_signed_script_may_be(
    build: Callable[..., Evaluator], script: str, expected: str | None
) -> None:
    told = said(build(trusted=True, script=script))
    assert (expected in told) if expected else int(told) > 50


def test_a_script_that_was_altered_among_the_built_files_is_refused(
    build: Callable[..., Evaluator], tmp_path: Path
) -> None:
    build(trusted=True)
    [script] = (tmp_path / "built").glob("script-*")
    script.write_text(EDITED)
    with pytest.raises(LoadError, match=r"signals/who\.sh is not what was built"):
        load_compiled(tmp_path / "built")


def test_switching_trust_on_makes_another_build(
    build: Callable[..., Evaluator], tmp_path: Path
) -> None:
    """A daemon that finds the digest of what it serves builds nothing."""
    build(trusted=True)
    sources = read_sources(tmp_path)
    assert replace(sources, trusted=True).digest != sources.digest


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory files on this system")
def test_nobody_can_write_to_the_copy_that_runs() -> None:
    copy = signals.copy_of_script(b"#!/bin/sh\n")
    try:
        [descriptor] = copy.descriptors
        for change in (
            lambda: os.write(descriptor, b"x"),
            lambda: os.pwrite(descriptor, b"x", 0),
            lambda: os.truncate(copy.path, 0),
        ):
            with pytest.raises(OSError, match="not permitted"):
                change()
    finally:
        copy.remove()


def test_what_a_command_inherits() -> None:
    assert signals.clean_environment(
        {
            "PATH": "/bin",
            "HOME": "/h",
            "GIT_DIR": "/g",
            "LD_PRELOAD": "x",
            "LD_LIBRARY_PATH": "x",
            "DYLD_INSERT_LIBRARIES": "x",
            "CUPCAKE_SOCKET": "x",
            "BASH_ENV": "x",
            "ENV": "x",
            "BASH_FUNC_git%%": "() { :; }",
            "NOTIFY_SOCKET": "x",
            "LISTEN_FDS": "x",
        }
    ) == {"PATH": "/bin", "HOME": "/h", "GIT_DIR": "/g"}


def test_a_command_does_not_see_what_is_not_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUPCAKE_SECRET", "x")
    monkeypatch.setenv("SEEN", "yes")
    line = 'echo "${CUPCAKE_SECRET-unset} $SEEN"'
    assert signals.run_signals({"s": signals.Command(line, 10)}, b"{}", "/")["s"] == "unset yes"
