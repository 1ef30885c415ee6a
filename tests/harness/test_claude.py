"""Claude Code's answers: every event and every verdict, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from cupcake.engine.harness.claude import EVENTS, fail, overlay, respond
from cupcake.engine.policy.synthesis import FinalDecision

R = "R"


def specific(name: str, **fields: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": name, **fields}}


def permission(name: str, decision: str, reason: str = R) -> dict[str, Any]:
    return specific(name, permissionDecision=decision, permissionDecisionReason=reason)


BLOCK = {"decision": "block", "reason": R}
STOP = {"continue": False, "stopReason": R}

#: event -> (deny, exit code of deny, halt); deny and block are one on the wire.
REFUSALS: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    "PreToolUse": (permission("PreToolUse", "deny"), 0, permission("PreToolUse", "deny")),
    "PreModelSwitch": (
        permission("PreModelSwitch", "deny"),
        0,
        permission("PreModelSwitch", "deny"),
    ),
    "PermissionRequest": (
        specific("PermissionRequest", decision={"behavior": "deny", "message": R}),
        0,
        specific("PermissionRequest", decision={"behavior": "deny", "message": R}),
    ),
    **dict.fromkeys(("UserPromptSubmit", "UserPromptExpansion"), (BLOCK, 0, BLOCK)),
    **dict.fromkeys(("PreCompact", "ConfigChange", "TaskCreated"), (BLOCK, 0, BLOCK)),
    **{
        name: (BLOCK, 0, {**BLOCK, **STOP})
        for name in ("PostToolUse", "PostToolUseFailure", "PostToolBatch", "Stop", "SubagentStop")
    },
    **dict.fromkeys(("TaskCompleted", "TeammateIdle"), (BLOCK, 2, STOP)),
    "WorktreeCreate": (BLOCK, 2, BLOCK),
    **{
        name: (
            {**specific(name, action="decline"), "systemMessage": R},
            0,
            {**specific(name, action="decline"), "systemMessage": R},
        )
        for name in ("Elicitation", "ElicitationResult")
    },
    **dict.fromkeys(
        [
            "SessionStart",
            "SessionEnd",
            "Setup",
            "SubagentStart",
            "StopFailure",
            "Notification",
            "PostCompact",
            "PostModelSwitch",
            "PermissionDenied",
            "InstructionsLoaded",
            "CwdChanged",
            "FileChanged",
            "DirectoryAdded",
            "WorktreeRemove",
            "MessageDisplay",
        ],
        (STOP, 0, STOP),
    ),
}
CONTEXT_EVENTS = {
    "PreToolUse", "PostToolUse", "PostToolUseFailure", "PostToolBatch", "UserPromptSubmit", "UserPromptExpansion",
    "SessionStart", "Setup", "SubagentStart", "Notification", "Stop", "SubagentStop", "PostModelSwitch",
}  # fmt: skip


def test_the_table_knows_every_documented_event() -> None:
    assert set(REFUSALS) == set(EVENTS)
    assert len(EVENTS) == 33


@pytest.mark.parametrize("name", sorted(EVENTS))
@pytest.mark.parametrize("verdict", ["deny", "block"])
def test_a_refusal_has_the_form_that_the_event_honours(name: str, verdict: Any) -> None:
    wire = respond({"hook_event_name": name}, FinalDecision(verdict, R))
    assert (dict(wire.response), wire.exit_code) == REFUSALS[name][:2]
    assert wire.stderr == (R if wire.exit_code else "")


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_halt_also_stops_where_refusing_ends_nothing(name: str) -> None:
    assert (
        respond({"hook_event_name": name}, FinalDecision("halt", R)).response == REFUSALS[name][2]
    )


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_no_opinion_is_an_empty_object(name: str) -> None:
    for final in (FinalDecision("allow"), FinalDecision("allow_override", R)):
        wire = respond({"hook_event_name": name}, final)
        assert (wire.response, wire.exit_code, wire.stderr) == ({}, 0, "")


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_context_is_given_where_it_is_read(name: str) -> None:
    wire = respond({"hook_event_name": name}, FinalDecision("allow", context=("a", "b")))
    expected = specific(name, additionalContext="a\nb") if name in CONTEXT_EVENTS else {}
    assert wire.response == expected


@pytest.mark.parametrize("name", ["Stop", "SubagentStop"])
def test_context_does_not_keep_a_stopping_agent_going_twice(name: str) -> None:
    event = {"hook_event_name": name, "stop_hook_active": True}
    assert respond(event, FinalDecision("allow", context=("a",))).response == {}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_an_ask_asks_or_refuses(name: str) -> None:
    wire = respond({"hook_event_name": name}, FinalDecision("ask", R))
    if name in ("PreToolUse", "PreModelSwitch"):
        assert wire.response == permission(name, "ask")
    elif name in ("PermissionRequest", "Elicitation"):
        assert wire.response == {}
    else:
        text = f"{R} (this needs a confirmation, which {name} cannot ask for)"
        refusal = respond({"hook_event_name": name}, FinalDecision("deny", text))
        assert wire == refusal


@pytest.mark.parametrize("mode", ["bypassPermissions", "dontAsk"])
def test_an_ask_that_nobody_would_see_is_a_deny(mode: str) -> None:
    event = {"hook_event_name": "PreToolUse", "permission_mode": mode}
    wire = respond(event, FinalDecision("ask", R))
    assert wire.response["hookSpecificOutput"]["permissionDecision"] == "deny"


@pytest.mark.parametrize(
    "mode", ["default", "plan", "acceptEdits", "auto", "from-the-future", None, 7]
)
def test_an_ask_asks_in_every_other_mode(mode: Any) -> None:
    event = {"hook_event_name": "PreToolUse", "permission_mode": mode}
    assert respond(event, FinalDecision("ask", R)).response == permission("PreToolUse", "ask")


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_modification_is_applied_or_refused(name: str) -> None:
    event = {"hook_event_name": name, "tool_input": {"command": "ls", "keep": {"a": 1, "b": [1]}}}
    final = FinalDecision("modify", R, updated_input={"command": "ls -l", "keep": {"b": []}})
    updated = {"command": "ls -l", "keep": {"a": 1, "b": []}}
    wire = respond(event, final)
    if name == "PreToolUse":
        assert wire.response == specific(
            name, permissionDecision="allow", permissionDecisionReason=R, updatedInput=updated
        )
    elif name == "PermissionRequest":
        assert wire.response == specific(
            name, decision={"behavior": "allow", "updatedInput": updated}
        )
    else:
        text = f"{R} (this needs a change that {name} cannot make)"
        assert wire == respond(event, FinalDecision("deny", text))


def test_an_overlay_does_not_change_the_event() -> None:
    original = {"a": {"b": 1}}
    assert overlay(original, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert original == {"a": {"b": 1}}
    assert overlay("text", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("verdict", ["deny", "block", "halt", "ask", "modify"])
def test_an_unknown_event_is_refused_in_every_form_at_once(verdict: Any) -> None:
    wire = respond(
        {"hook_event_name": "FromTheFuture"}, FinalDecision(verdict, R, updated_input={})
    )
    assert wire.exit_code == 2
    assert wire.stderr.startswith(R)
    assert wire.response["decision"] == "block"
    assert wire.response["continue"] is False


def test_an_unknown_event_without_a_refusal_passes() -> None:
    for final in (FinalDecision("allow"), FinalDecision("allow", context=("c",))):
        assert respond({"hook_event_name": "FromTheFuture"}, final).response == {}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_a_failure_refuses_where_an_action_waits_and_is_told_elsewhere(name: str) -> None:
    wire = fail(name, R)
    if EVENTS[name].waits:
        assert wire == respond({"hook_event_name": name}, FinalDecision("deny", R))
    else:
        assert (wire.response, wire.exit_code) == ({"systemMessage": R}, 0)


@pytest.mark.parametrize("name", [None, "FromTheFuture"])
def test_a_failure_of_an_unknown_event_is_exit_code_2(name: str | None) -> None:
    wire = fail(name, R)
    assert (wire.exit_code, wire.stderr) == (2, R)
