"""Claude Code: a final decision becomes the JSON and exit code that Claude Code acts on. A table, and pure.

Shapes follow Claude Code's hooks reference (2.1.330). The rule for all of it: an answer that Claude Code
would ignore is never given where a stronger one exists. Unknown events are answered in the most portable form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cupcake.engine.harness.answer import Wire
from cupcake.engine.policy.synthesis import FinalDecision

#: How an event is refused: `permission` = hookSpecificOutput.permissionDecision; `dialog` = the decision of a
#: permission dialog; `block` = top-level decision; `decline` = an MCP elicitation's action; `exit2` = exit code 2
#: alone is honoured; `stop` = nothing but `continue: false`, which ends the turn.
Refusal: TypeAlias = Literal["permission", "dialog", "block", "decline", "exit2", "stop"]


@dataclass(frozen=True, slots=True)
class EventRow:
    """What Claude Code honours for one event.

    `waits`: an action waits for the answer, so a failure must refuse it. `ask`: the user can be asked (`dialog`:
    silence already asks). `modify`: the tool input can be replaced. `context`: additionalContext is read.
    `halt_stops`: refusing alone does not end anything, so `halt` also says `continue: false`.
    """

    refusal: Refusal
    waits: bool = False
    ask: Literal["no", "permission", "dialog"] = "no"
    modify: bool = False
    context: bool = False
    halt_stops: bool = False


EVENTS: Mapping[str, EventRow] = {
    "PreToolUse": EventRow("permission", waits=True, ask="permission", modify=True, context=True),
    "PermissionRequest": EventRow("dialog", waits=True, ask="dialog", modify=True),
    "PermissionDenied": EventRow("stop"),
    "PostToolUse": EventRow("block", waits=True, context=True, halt_stops=True),
    "PostToolUseFailure": EventRow("block", waits=True, context=True, halt_stops=True),
    "PostToolBatch": EventRow("block", waits=True, context=True, halt_stops=True),
    "UserPromptSubmit": EventRow("block", waits=True, context=True),
    "UserPromptExpansion": EventRow("block", waits=True, context=True),
    "SessionStart": EventRow("stop", context=True),
    "Setup": EventRow("stop", context=True),
    "SessionEnd": EventRow("stop"),
    "Stop": EventRow("block", context=True, halt_stops=True),
    "SubagentStart": EventRow("stop", context=True),
    "SubagentStop": EventRow("block", context=True, halt_stops=True),
    "StopFailure": EventRow("stop"),
    "Notification": EventRow("stop", context=True),
    "PreCompact": EventRow("block", waits=True),
    "PostCompact": EventRow("stop"),
    "PreModelSwitch": EventRow("permission", waits=True, ask="permission"),
    "PostModelSwitch": EventRow("stop", context=True),
    "ConfigChange": EventRow("block", waits=True),
    "InstructionsLoaded": EventRow("stop"),
    "CwdChanged": EventRow("stop"),
    "FileChanged": EventRow("stop"),
    "DirectoryAdded": EventRow("stop"),
    "WorktreeCreate": EventRow("exit2", waits=True),
    "WorktreeRemove": EventRow("stop"),
    "TaskCreated": EventRow("block", waits=True),
    "TaskCompleted": EventRow("exit2", waits=True, halt_stops=True),
    "TeammateIdle": EventRow("exit2", halt_stops=True),
    "Elicitation": EventRow("decline", waits=True, ask="dialog"),
    "ElicitationResult": EventRow("decline", waits=True),
    "MessageDisplay": EventRow("stop"),
}

#: In these modes Claude Code approves an `ask` by itself, so that asking would be allowing.
UNATTENDED_MODES = frozenset({"bypassPermissions", "dontAsk"})


def respond(event: Mapping[str, Any], final: FinalDecision) -> Wire:
    """The answer to `event` (as Claude Code sent it). Total: every event and every decision has an answer."""
    name = _name(event)
    row = EVENTS.get(name)
    match final.verdict:
        case "allow":
            return _context(name, row, event, final)
        case "allow_override":
            # Saying "allow" would switch off Claude Code's own permission rules; no opinion keeps them.
            return Wire({})
        case "modify":
            return _modify(name, row, event, final)
        case "ask":
            return _ask(name, row, event, final)
        case "halt" | "deny" | "block":
            return _refuse(name, row, final.reason, halt=final.verdict == "halt")


def fail(name: str | None, reason: str) -> Wire:
    """The answer when no decision could be made: a refusal where an action waits, else a notice to the user."""
    if name is None:
        return Wire({}, 2, reason)
    row = EVENTS.get(name)
    if row is not None and not row.waits:
        return Wire({"systemMessage": reason})
    return _refuse(name, row, reason, halt=False)


def _refuse(name: str, row: EventRow | None, reason: str, *, halt: bool) -> Wire:
    stop = {"continue": False, "stopReason": reason}
    if row is None:
        # An event of a newer Claude Code: every form that any event honours, together.
        return Wire({"decision": "block", "reason": reason, **stop}, 2, reason)
    extra: dict[str, Any] = stop if halt and row.halt_stops else {}
    match row.refusal:
        case "permission":
            return Wire(_permission(name, "deny", reason))
        case "dialog":
            return Wire(_specific(name, decision={"behavior": "deny", "message": reason}))
        case "block":
            return Wire({"decision": "block", "reason": reason, **extra})
        case "decline":
            return Wire({**_specific(name, action="decline"), "systemMessage": reason})
        case "exit2":
            if extra:
                return Wire(extra)
            return Wire({"decision": "block", "reason": reason}, 2, reason)
        case "stop":
            return Wire(stop)


def _ask(name: str, row: EventRow | None, event: Mapping[str, Any], final: FinalDecision) -> Wire:
    if row is None or row.ask == "no":
        return _refuse(
            name,
            row,
            f"{final.reason} (this needs a confirmation, which {name} cannot ask for)",
            halt=False,
        )
    mode = _mode(event)
    if mode in UNATTENDED_MODES:
        return _refuse(
            name,
            row,
            f"{final.reason} (this needs a confirmation, which permission mode {mode} does not ask for)",
            halt=False,
        )
    if row.ask == "dialog":
        return Wire({})  # the user is being asked already
    return Wire(_permission(name, "ask", final.reason))


def _modify(
    name: str, row: EventRow | None, event: Mapping[str, Any], final: FinalDecision
) -> Wire:
    if row is None or not row.modify:
        return _refuse(
            name, row, f"{final.reason} (this needs a change that {name} cannot make)", halt=False
        )
    updated = overlay(event.get("tool_input"), final.updated_input or {})
    if row.refusal == "dialog":
        return Wire(_specific(name, decision={"behavior": "allow", "updatedInput": updated}))
    return Wire(
        _specific(
            name,
            permissionDecision="allow",
            permissionDecisionReason=final.reason,
            updatedInput=updated,
        )
    )


def _context(
    name: str, row: EventRow | None, event: Mapping[str, Any], final: FinalDecision
) -> Wire:
    if not final.context or row is None or not row.context:
        return Wire({})
    if row.refusal == "block" and event.get("stop_hook_active") is True:
        return Wire({})  # context makes the agent go on: once is enough
    return Wire(_specific(name, additionalContext="\n".join(final.context)))


def overlay(original: Any, update: Mapping[str, Any]) -> Any:
    """`original` with `update` laid over it: objects merge, everything else is replaced.

    Claude Code replaces the whole tool input by what it is given; a field that a policy does not name stays."""
    if not isinstance(original, Mapping):
        return dict(update)
    merged = dict(original)
    for key, value in update.items():
        merged[key] = overlay(merged.get(key), value) if isinstance(value, Mapping) else value
    return merged


def _permission(name: str, decision: str, reason: str) -> dict[str, Any]:
    return _specific(name, permissionDecision=decision, permissionDecisionReason=reason)


def _specific(name: str, **fields: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": {"hookEventName": name, **fields}}


def _name(event: Mapping[str, Any]) -> str:
    name = event.get("hook_event_name")
    if name is None:
        name = event.get("hookEventName")
    return name if isinstance(name, str) else ""


def _mode(event: Mapping[str, Any]) -> Any:
    mode = event.get("permission_mode")
    if mode is None:
        mode = event.get("permissionMode")
    return mode if isinstance(mode, str) else ""
