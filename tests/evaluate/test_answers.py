"""The evaluator at its edges: bad events, failures, saving and loading, the original library's decisions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cupcake.engine.errors import BadEvent, BuildFailed, EvaluationError, LoadError
from cupcake.engine.evaluate import Evaluator, compile_project, failure_answer, load_compiled
from cupcake.engine.harness.answer import with_notice
from cupcake.engine.policy.discovery import read_sources

HEAD = """\
# METADATA
# custom: {routing: {required_events: ["PreToolUse", "UserPromptSubmit"]}}
package cupcake.policies.%s

import rego.v1

"""
POLICY = (
    HEAD % "p"
    + """
deny contains {"reason": "no", "severity": "HIGH", "rule_id": "NO"} if {
	contains(input.tool_input.command, "rm")
}

add_context contains "hello" if input.prompt == "hi"
"""
)
FILE = ".cupcake/policies/claude/p.rego"
LS = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "ls"}}
RM = {"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_input": {"command": "rm x"}}


@pytest.fixture
def evaluator(make_evaluator: Callable[..., Evaluator]) -> Evaluator:
    return make_evaluator({FILE: POLICY})


def test_an_answer_tells_how_it_came_about(evaluator: Evaluator) -> None:
    answer = evaluator.answer("claude", json.dumps(RM).encode())
    assert (answer.verdict, answer.exit_code, answer.stderr) == ("deny", 0, "")
    assert answer.decision == {"Deny": {"reason": "no", "agent_messages": []}}
    assert answer.matched == ("cupcake.policies.p",)
    assert answer.rule_ids == ("NO",)
    assert {"route", "preprocess", "evaluate", "total"} <= set(answer.timings)
    assert b"\n" not in answer.response


BAD = [
    (b"", 2),
    (b"not json", 2),
    (b"[1]", 2),
    (b"{}", 2),
    (b'{"hook_event_name": 7}', 2),
    (b'{"tool_name":"Bash"}', 2),
    (b"\xff\xfe", 2),
    (b'{"hook_event_name":"PreToolUse","tool_input":{"command":"ls","command":"rm"}}', 0),
    (b'{"hook_event_name":"PreToolUse","x":"\\ud800"}', 0),
    (b'{"hook_event_name":"PreToolUse","x":' + b"[" * 1000 + b"]" * 1000 + b"}", 0),
    (b'{"hook_event_name":"PreToolUse","x":"' + b"x" * 20 * 1024 * 1024 + b'"}', 0),
    (b'{"hook_event_name":"PreToolUse","x":' + b"[" * 200_000, 0),
]


@pytest.mark.parametrize(("data", "exit_code"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_bad_event_is_refused_in_claude_codes_terms(
    evaluator: Evaluator, data: bytes, exit_code: int
) -> None:
    for answer in (evaluator.answer("claude", data), failure_answer("claude", data, "the reason")):
        assert (answer.verdict, answer.exit_code) == ("deny", exit_code)
        if exit_code == 2:
            assert answer.stderr.startswith("Cupcake: ")
        else:
            specific = json.loads(answer.response)["hookSpecificOutput"]
            assert specific["permissionDecision"] == "deny"
            assert specific["permissionDecisionReason"].startswith("Cupcake: ")


def test_an_event_that_is_strange_but_clear_is_judged(evaluator: Evaluator) -> None:
    event = {
        **RM,
        "permission_mode": "brand-new",
        "extra": [None, {"deep": {}}],
        "session_id": 7,
        "cwd": ["odd"],
    }
    assert evaluator.answer("claude", json.dumps(event).encode()).verdict == "deny"
    assert (
        evaluator.answer("claude", json.dumps({**LS, "tool_input": None}).encode()).verdict
        == "allow"
    )


def test_a_command_that_hides_in_a_surrogate_pair_or_nul_is_judged(evaluator: Evaluator) -> None:
    event = {**RM, "tool_input": {"command": "\0\U0001f9c1 rm ./\0"}}
    assert evaluator.answer("claude", json.dumps(event).encode()).verdict == "deny"


@pytest.mark.parametrize("harness", ["cursor", "factory", "opencode", "nobody", ""])
def test_a_harness_that_we_cannot_answer_is_refused_with_exit_code_2(
    evaluator: Evaluator, harness: str
) -> None:
    answer = evaluator.answer(harness, json.dumps(LS).encode())
    assert (answer.verdict, answer.exit_code) == ("deny", 2)
    assert "--harness claude" in answer.stderr


def test_a_failure_where_nothing_waits_is_told_and_does_not_hold_the_agent() -> None:
    answer = failure_answer("claude", b'{"hook_event_name":"Stop"}', "engines are down")
    assert json.loads(answer.response) == {"systemMessage": "Cupcake: engines are down"}
    assert (answer.verdict, answer.exit_code) == ("deny", 0)


def test_a_fault_of_ours_is_a_refusal(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr("cupcake.engine.evaluate.synthesise", broken)
    answer = evaluator.answer("claude", json.dumps(LS).encode())
    assert answer.verdict == "deny"
    assert b"internal error (RuntimeError: a bug)" in answer.response


def test_a_project_is_the_same_after_saving_and_loading(
    make_evaluator: Callable[..., Evaluator], tmp_path: Path, module_cache: Path
) -> None:
    files = {
        FILE: POLICY
        + '\nask contains {"reason": "s", "severity": "LOW", "rule_id": "S"} if input.signals.one == 1\n',
        ".cupcake/policies/claude/skipped.rego": "package cupcake.policies.skipped\n",
        ".cupcake/rulebook.yml": "signals: {one: {command: echo 1}}\nbuiltins: {protected_paths: {enabled: true, paths: [x]}}\n",
        "global/policies/claude/g.rego": HEAD % "g"
        + 'add_context contains "global" if input.prompt == "hi"\n',
    }
    project = make_evaluator(files).project
    project.save(tmp_path / "saved")
    loaded = load_compiled(tmp_path / "saved")
    assert loaded == project
    assert [warning.file for warning in loaded.warnings] == [
        ".cupcake/policies/claude/skipped.rego",
        ".cupcake/policies/claude/builtins/protected_paths.rego",
    ]
    answer = Evaluator(loaded, cache_dir=module_cache).answer(
        "claude", b'{"hook_event_name":"UserPromptSubmit","prompt":"hi"}'
    )
    assert json.loads(answer.response)["hookSpecificOutput"]["additionalContext"] == "global\nhello"


def test_a_damaged_saved_project_is_refused(evaluator: Evaluator, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    with pytest.raises(LoadError):
        load_compiled(saved)
    evaluator.project.save(saved)
    (saved / "project-claude.owned.wasm").unlink()
    with pytest.raises(LoadError, match=r"project-claude\.owned\.wasm"):
        load_compiled(saved)
    (saved / "project.json").write_text('{"format": 1}')
    with pytest.raises(LoadError, match="damaged"):
        load_compiled(saved)


def test_the_original_librarys_decisions(evaluator: Evaluator) -> None:
    assert evaluator.decide(RM) == {"Deny": {"reason": "no", "agent_messages": []}}
    assert evaluator.decide({"hookEventName": "UserPromptSubmit", "prompt": "hi"}) == {
        "Allow": {"context": ["hello"]}
    }
    assert evaluator.decide(LS) == {"Allow": {"context": []}}
    for bad in ({}, {"hook_event_name": 7}, {**LS, "x": float("nan")}, {**LS, "x": "\ud800"}):
        with pytest.raises(BadEvent):
            evaluator.decide(bad)


def test_all_faults_of_a_project_are_told_at_once(make_evaluator: Callable[..., Evaluator]) -> None:
    with pytest.raises(BuildFailed) as failed:
        make_evaluator(
            {
                FILE: POLICY,
                ".cupcake/policies/claude/a.rego": "nothing\n",
                ".cupcake/policies/claude/b.rego": HEAD % "b" + "deny contains x if true\n",
                ".cupcake/rulebook.yml": "signals: 7\n",
            }
        )
    assert {diagnostic.file for diagnostic in failed.value.diagnostics} == {
        ".cupcake/policies/claude/a.rego",
        ".cupcake/policies/claude/b.rego",
        ".cupcake/rulebook.yml",
    }


@pytest.mark.parametrize(
    "body",
    [
        'deny contains {"reason": "x", "severity": "LOW", "rule_id": "X"} if count(numbers.range(1, 1000000000000)) > 1',
        'deny contains {"reason": "x", "severity": "LOW", "rule_id": "X"} if '
        "count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a * b == -1]) > 1",
    ],
    ids=["memory", "time"],
)
def test_a_policy_without_bounds_is_stopped_and_the_event_refused(
    make_evaluator: Callable[..., Evaluator], body: str
) -> None:
    evaluator = make_evaluator({".cupcake/policies/claude/bomb.rego": HEAD % "bomb" + body + "\n"})
    answer = evaluator.answer("claude", json.dumps(LS).encode())
    assert answer.verdict == "deny"
    assert b"eval_limit_" in answer.response


def test_a_project_folder_that_vanishes_is_still_judged(
    evaluator: Evaluator, tmp_path: Path
) -> None:
    for file in sorted((tmp_path / ".cupcake").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert evaluator.answer("claude", json.dumps(RM).encode()).verdict == "deny"


def test_the_digest_of_a_build_is_that_of_its_sources(evaluator: Evaluator, tmp_path: Path) -> None:
    sources = read_sources(tmp_path)
    assert compile_project(sources).digest == sources.digest == evaluator.project.digest


def test_a_notice_is_added_to_an_answer_once(evaluator: Evaluator) -> None:
    answer = with_notice(evaluator.answer("claude", json.dumps(LS).encode()), "old policies decide")
    assert json.loads(answer.response) == {"systemMessage": "old policies decide"}
    assert with_notice(answer, "again") == answer


def test_a_rehearsal_runs_every_module_and_no_signal(
    make_evaluator: Callable[..., Evaluator], tmp_path: Path
) -> None:
    signal = HEAD.replace("}}", ', required_signals: ["mark"]}}', 1) % "s"
    files = {
        FILE: POLICY,
        ".cupcake/policies/claude/s.rego": signal
        + 'add_context contains "x" if input.signals.mark\n',
        ".cupcake/rulebook.yml": "signals: {mark: {command: touch $ROOT/ran}}\n",
    }
    evaluator = make_evaluator(files)
    evaluator.rehearse(json.dumps(LS).encode())
    assert not (tmp_path / "ran").exists()
    evaluator.answer("claude", json.dumps(LS).encode())
    assert (tmp_path / "ran").exists()
    broken = (
        HEAD % "b"
        + "v := 1 if input.tool_name\n\nv := 2 if input.tool_input\n\ndeny contains {} if v == 3\n"
    )
    with pytest.raises(EvaluationError, match="eval_conflict_error"):
        make_evaluator({".cupcake/policies/claude/b.rego": broken}).rehearse(
            json.dumps(LS).encode()
        )
