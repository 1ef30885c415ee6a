"""Every kind of bad input, through the real hook and a real daemon: a blocking answer that says what is wrong, and
everybody else is served on."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.client.sync import Client
from cupcake.daemon.demo import Stage, hook_program, read_answer, wait_for

MakeProject = Callable[..., Path]
POLICY = (Path(__file__).parent / "guard.rego").read_text(encoding="utf-8")
BASH: dict[str, Any] = {
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "cwd": "/tmp",
    "tool_input": {"command": "ls"},
}
HEADER = POLICY[: POLICY.index("deny contains")]


def hook(stage: Stage, root: Path, stdin: bytes) -> tuple[str, str]:
    """(decision, reason); exit code 2 counts as a block with stderr as its reason. Any other code fails."""
    result = subprocess.run(
        [*hook_program(), "eval", "--harness", "claude", "--policy-dir", root, "--socket", stage.socket, "--timeout", "20"],
        input=stdin, capture_output=True, env=stage.environment, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode in (0, 2), result
    assert b"Traceback" not in result.stderr
    if result.returncode == 2:
        assert result.stderr.strip(), "a block needs a reason"
        return "block", result.stderr.decode(errors="replace")
    return read_answer(json.loads(result.stdout))


def event(**changes: Any) -> bytes:
    return json.dumps({**BASH, **changes}).encode()


FORBIDDEN = event(tool_input={"command": "forbidden"})


@pytest.fixture(autouse=True)
def everybody_else_is_served_on(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Any:
    yield
    other = tmp_path_factory.getbasetemp() / "other"
    if not other.exists():
        (other / ".cupcake/policies/claude").mkdir(parents=True)
        (other / ".cupcake/policies/claude/guard.rego").write_text(POLICY)
    with Client(other, socket=stage.socket, on_unavailable="raise", timeout=20) as client:
        assert client.evaluate(FORBIDDEN).verdict == "deny"
        assert client.evaluate(event()).verdict == "allow"


EVENTS = {
    "empty": (b"", "block"),
    "not JSON": (b"not json", "block"),
    "not an object": (b'["PreToolUse"]', "block"),
    "20 MiB": (b'{"hook_event_name":"PreToolUse","x":"' + b"x" * (20 << 20) + b'"}', "block"),
    "1,000 levels deep": (b'{"hook_event_name":"PreToolUse","x":' + b"[" * 1000 + b"]" * 1000 + b"}", ("deny", "block")),
    "100,000 levels deep": (b'{"hook_event_name":"PreToolUse","x":' + b"[" * 100_000, ("deny", "block")),
    "duplicate keys": (b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_name":"Read","tool_input":{"command":"forbidden"}}', ("deny", "block")),
    "a duplicate of the event name": (b'{"hook_event_name":"PreToolUse","hook_event_name":"Stop","tool_input":{"command":"forbidden"}}', ("deny", "block")),
    "no event name": (b'{"tool_name":"Bash","tool_input":{"command":"forbidden"}}', "block"),
    "event name is a number": (b'{"hook_event_name":7}', "block"),
    "a lone surrogate": (
        b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"ls \\ud800"}}',
        ("deny", "block"),
    ),
    "not UTF-8": (b'{"hook_event_name":"PreToolUse","x":"\xff\xfe"}', ("deny", "block")),
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_that_cannot_be_read_is_blocked(
    stage: Stage, make_project: MakeProject, name: str
) -> None:
    data, wanted = EVENTS[name]
    decision, reason = hook(stage, make_project(), data)
    assert decision in wanted
    assert len(reason) > 20


TOLERATED = {
    "an unknown permission mode": event(permission_mode="yolo"),
    "an unknown field": event(brand_new={"a": 1}),
    "no session": event(),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_an_unusual_event_is_still_judged(
    stage: Stage, make_project: MakeProject, name: str
) -> None:
    root = make_project()
    assert hook(stage, root, TOLERATED[name])[0] == "allow"
    assert hook(stage, root, TOLERATED[name].replace(b'"ls', b'"forbidden'))[0] == "deny"


def test_an_unknown_event_is_judged_by_the_policies_and_blocked_with_exit_2(
    stage: Stage, make_project: MakeProject
) -> None:
    text = POLICY.replace('["PreToolUse"]', '["BrandNew"]').replace(
        'input.hook_event_name == "PreToolUse"', 'input.hook_event_name == "BrandNew"'
    )
    root = make_project(**{"policies/claude/guard.rego": text})
    assert hook(stage, root, event(hook_event_name="BrandNew"))[0] == "allow"
    decision, reason = hook(
        stage, root, event(hook_event_name="BrandNew", tool_input={"command": "forbidden"})
    )
    assert (decision, "guarded" in reason) == ("block", True)


@pytest.mark.parametrize(
    "key",
    [
        "signals",
        "builtin_config",
        "resolved_file_path",
        "affected_parent_directories",
        "is_symlink",
    ],
)
def test_keys_that_are_ours_are_not_believed(
    stage: Stage, make_project: MakeProject, key: str
) -> None:
    text = (
        HEADER
        + f'deny contains {{"reason": "believed", "severity": "LOW", "rule_id": "X"}} if input.{key} == "forged"\n'
    )
    assert (
        hook(stage, make_project(**{"policies/claude/guard.rego": text}), event(**{key: "forged"}))[
            0
        ]
        == "allow"
    )


DECISION = '{"reason": "r", "severity": "LOW", "rule_id": "X"}'
BROKEN_POLICIES = {
    "syntax error": (HEADER + "deny contains {", "guard.rego:"),
    "unsafe variable": (HEADER + f"deny contains {DECISION} if x > 1\n", "x is unsafe"),
    "recursion": (HEADER + "p if q\nq if p\n", "recursive"),
    "unknown builtin": (
        HEADER + f"deny contains {DECISION} if no_such_builtin(1)\n",
        "no_such_builtin",
    ),
    "type error": (HEADER + f"deny contains {DECISION} if count(1) == 1\n", "count"),
    "metadata is not YAML": ("# METADATA\n# custom: [\n" + HEADER.split("\n", 6)[6], "guard.rego:"),
    "routing of the wrong type": (
        POLICY.replace('["PreToolUse"]', '"PreToolUse"'),
        "required_events",
    ),
    "no package": ("x := 1\n", "guard.rego"),
    "a NUL byte": (POLICY + "\0", "guard.rego:"),
}


@pytest.mark.parametrize("name", BROKEN_POLICIES)
def test_a_project_whose_policy_does_not_build_denies_and_names_the_place(
    stage: Stage, make_project: MakeProject, name: str
) -> None:
    text, place = BROKEN_POLICIES[name]
    root = make_project(**{"policies/claude/guard.rego": text})
    decision, reason = hook(stage, root, event())
    assert decision == "deny"
    assert place in reason
    assert "guard.rego" in reason
    with stage.client() as client:
        (project,) = [p for p in client.status()["projects"] if p["root"] == str(root)]
    assert any(place in f"{d['file']}:{d['message']}" for d in project["diagnostics"])


BOMBS = {
    "endless loop": "count([1 | some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j == -1]) == 0",
    "memory bomb": "count(numbers.range(1, 1000000000000)) > 0",
    "string bomb": 'count(concat("", [concat("", [concat("", ["x" | numbers.range(1, 3000)[_]]) | numbers.range(1, 3000)[_]]) | numbers.range(1, 3000)[_]])) > 0',
    "conflict": "two == 1",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_policy_that_runs_away_ends_in_a_deny_with_the_limit(
    stage: Stage, make_project: MakeProject, name: str
) -> None:
    text = (
        HEADER
        + f"two := 1 if input.cwd\ntwo := 2 if input.tool_name\ndeny contains {DECISION} if {{\n\t{BOMBS[name]}\n}}\n"
    )
    decision, reason = hook(stage, make_project(**{"policies/claude/guard.rego": text}), event())
    assert decision == "deny"
    assert "eval_" in reason, reason


@pytest.mark.parametrize(
    "decision",
    [
        '{"severity": "LOW", "rule_id": "X"}',
        '{"reason": 7, "severity": "LOW", "rule_id": "X"}',
        '"text"',
        '{"reason": "r", "severity": "LOW"}',
        "[]",
    ],
)
def test_a_malformed_decision_counts_as_a_deny_that_names_its_fault(
    stage: Stage, make_project: MakeProject, decision: str
) -> None:
    text = HEADER + f"deny contains {decision} if input.cwd\n"
    answer, reason = hook(stage, make_project(**{"policies/claude/guard.rego": text}), event())
    assert answer == "deny"
    assert "malformed `deny` decision" in reason


@pytest.mark.parametrize(
    "rulebook",
    [
        "a: [",
        "- 1\n",
        "signals: 7\n",
        "\tx: 1\n",
        "builtins:\n  protected_paths:\n    enabled: true\n",
    ],
)
def test_a_rulebook_that_cannot_be_used_denies_and_is_named(
    stage: Stage, make_project: MakeProject, rulebook: str
) -> None:
    root = make_project(**{"policies/claude/guard.rego": POLICY, "rulebook.yml": rulebook})
    decision, reason = hook(stage, root, event())
    assert decision == "deny"
    assert "rulebook" in reason or "protected_paths" in reason


def test_a_project_without_policies_folder_says_what_to_run(stage: Stage, tmp_path: Path) -> None:
    decision, reason = hook(stage, tmp_path, event())
    assert (decision, "cupcake init" in reason) == ("deny", True)


def test_a_project_that_vanishes_is_still_guarded(stage: Stage, make_project: MakeProject) -> None:
    root = make_project()
    assert hook(stage, root, FORBIDDEN)[0] == "deny"
    (root / ".cupcake").rename(root / "gone")
    time.sleep(0.3)
    assert hook(stage, root, FORBIDDEN)[0] == "deny"

    def removed() -> bool:
        with stage.client() as client:
            return any(
                p["root"] == str(root) and p["state"] == "removed"
                for p in client.status()["projects"]
            )

    assert wait_for(removed, 10, 0.05) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(5000),
        b"\xff" + b"\x00" * 8 + b"\x7f\x03\x00NULL",
    ],
)
def test_garbage_on_the_socket_disturbs_nobody(stage: Stage, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(stage.socket)
        raw.sendall(data)
        raw.settimeout(0.2)
        try:
            while raw.recv(4096):
                pass
        except OSError:
            pass


def test_an_engine_that_is_killed_is_replaced_and_its_work_redone(
    stage: Stage, make_project: MakeProject
) -> None:
    root = make_project()
    with Client(root, socket=stage.socket, on_unavailable="raise", timeout=30) as client:
        client.evaluate(FORBIDDEN)
        victim = client.status()["engines"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        assert [d.verdict for d in client.evaluate_many([FORBIDDEN, event()] * 50)] == [
            "deny",
            "allow",
        ] * 50
        assert (
            wait_for(
                lambda: sum(e["state"] == "ready" for e in client.status()["engines"]) == 2,
                20,
                0.05,
            )
            is not None
        )


def test_a_global_policy_guards_every_project_and_its_removal_is_an_edit(
    stage: Stage, make_project: MakeProject
) -> None:
    layer = Path(stage.environment["XDG_CONFIG_HOME"]) / "cupcake" / "policies" / "claude"
    root = make_project()
    everywhere = event(tool_input={"command": "everywhere"})
    assert hook(stage, root, everywhere)[0] == "allow"
    layer.mkdir(parents=True)
    text = POLICY.replace("cupcake.policies.", "cupcake.global.policies.").replace(
        '"forbidden"', '"everywhere"'
    )
    (layer / "guard.rego").write_text(text)
    with Client(root, socket=stage.socket, on_unavailable="raise", timeout=20) as client:
        assert wait_for(lambda: client.evaluate(everywhere).verdict == "deny", 20, 0.05) is not None
        (layer / "guard.rego").unlink()
        assert (
            wait_for(lambda: client.evaluate(everywhere).verdict == "allow", 20, 0.05) is not None
        )


def test_a_broken_edit_leaves_the_last_good_policies_in_force_and_tells_the_user_where(
    stage: Stage, make_project: MakeProject
) -> None:
    root = make_project()
    assert hook(stage, root, FORBIDDEN)[0] == "deny"
    (root / ".cupcake/policies/claude/guard.rego").write_text(POLICY + "\nx := \n")

    def told() -> str:
        with Client(root, socket=stage.socket, on_unavailable="raise", timeout=20) as client:
            return str(client.evaluate(event()).response.get("systemMessage", ""))

    found: list[str] = []
    assert wait_for(lambda: bool(found.append(told()) or found[-1]), 20, 0.02) is not None
    assert "guard.rego:" in found[-1]
    assert "previous ones still guard" in found[-1]
    assert hook(stage, root, FORBIDDEN)[0] == "deny"
