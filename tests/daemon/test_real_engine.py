"""The whole way with the real compiler and VM: Rego in, Claude Code's answer out, edits and faults on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_support import Daemon, Talk, daemon_in, until

from cupcake.client import messages as m

GUARD = """# METADATA
# scope: package
# custom:
#   routing:
#     required_events: ["PreToolUse"]
#     required_tools: ["Bash"]
package cupcake.policies.guard

import rego.v1

deny contains decision if {
\tcontains(input.tool_input.command, "WORD")
\tdecision := {"rule_id": "G1", "reason": "WORD is not allowed here", "severity": "HIGH"}
}
"""


def write(root: Path, word: str, *, extra: str = "") -> None:
    policies = root / ".cupcake" / "policies" / "claude"
    policies.mkdir(parents=True, exist_ok=True)
    (policies / "guard.rego").write_text(GUARD.replace("WORD", word) + extra)
    (root / ".cupcake" / "rulebook.yml").write_text("signals: {}\n")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the whole file: what a broken project does must not reach the next one."""
    folder = tmp_path_factory.mktemp("real")
    timing = {"hung_after": 5.0}
    with daemon_in(
        folder, engine_module="cupcake.daemon.evaluation", timing=timing, standby_builder=True
    ) as daemon:
        yield daemon


@pytest.fixture
def root(served: Daemon, request: pytest.FixtureRequest) -> Path:
    place = served.folder / request.node.name
    write(place, "rm -rf")
    return place


@pytest.fixture
def talk(served: Daemon) -> Iterator[Talk]:
    with Talk(served) as talk:
        yield talk


def judge(talk: Talk, root: Path, command: str) -> m.Answer:
    answer = talk.judge(root, command)
    assert isinstance(answer, m.Answer), answer
    return answer


def state(talk: Talk, root: Path) -> dict[str, object]:
    return next(p for p in talk.status()["projects"] if p["root"] == str(root))


def test_a_denied_command_comes_back_as_claude_codes_own_json(talk: Talk, root: Path) -> None:
    denied = judge(talk, root, "rm -rf /")
    said = json.loads(denied.response)["hookSpecificOutput"]
    assert (said["hookEventName"], said["permissionDecision"]) == ("PreToolUse", "deny")
    assert said["permissionDecisionReason"] == "rm -rf is not allowed here"
    assert denied.verdict == "deny" and denied.generation == 1
    assert judge(talk, root, "ls").verdict == "allow"


def test_an_edit_of_real_rego_takes_effect_and_a_broken_one_does_not(
    talk: Talk, root: Path
) -> None:
    assert judge(talk, root, "rm -rf /").verdict == "deny"
    write(root, "shutdown")
    until(lambda: judge(talk, root, "shutdown now").verdict == "deny", "the edit")
    write(root, "reboot", extra="\ndeny contains {\n")
    until(lambda: state(talk, root)["state"] == "broken", "the diagnostics")
    (first, *_) = state(talk, root)["diagnostics"]  # type: ignore[misc]
    assert first["file"].endswith("guard.rego") and first["row"] > 10
    answer = judge(talk, root, "shutdown now")
    assert answer.verdict == "deny" and "guard.rego" in answer.warnings[0]
    write(root, "reboot")
    until(lambda: judge(talk, root, "reboot").verdict == "deny", "the repair")
    assert judge(talk, root, "reboot").warnings == ()


def test_a_project_that_never_built_refuses_in_claude_codes_terms(talk: Talk, root: Path) -> None:
    write(root, "rm -rf", extra="\nnot rego at all\n")
    answer = judge(talk, root, "ls")
    said = json.loads(answer.response)["hookSpecificOutput"]
    assert said["permissionDecision"] == "deny" and "guard.rego" in said["permissionDecisionReason"]


def test_an_event_that_is_no_event_is_refused_and_the_engine_goes_on(
    talk: Talk, root: Path
) -> None:
    from cupcake.client import codec

    for event in (b"", b"[]", b"{", b"\xff", b"[" * 1000, b'{"hook_event_name":"PreToolUse"'):
        talk.send(m.Kind.EVALUATE, codec.encode_evaluate(m.Evaluate(str(root), "claude", event)))
        header, body = talk.receive()
        assert not header.flags
        answer = codec.decode_answer(body)
        assert answer.verdict in ("deny", "block", "halt") or answer.exit_code == 2, event
    assert judge(talk, root, "ls").verdict == "allow"


def test_an_endless_evaluation_ends_at_its_limit_and_the_engine_goes_on(
    talk: Talk, root: Path
) -> None:
    write(root, "rm -rf", extra=(
        '\ndeny contains d if {\n\tinput.tool_input.command == "loop"\n'
        "\tcount([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a + b == 0]) == 1\n"
        '\td := {"rule_id": "L", "reason": "never", "severity": "LOW"}\n}\n'
    ))  # fmt: skip
    assert judge(talk, root, "ls").verdict == "allow"
    before = talk.status()["counters"]
    assert judge(talk, root, "loop").verdict == "deny"
    after = talk.status()["counters"]
    assert after["engine_deaths"] == before["engine_deaths"]
