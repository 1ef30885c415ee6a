"""Decision objects: validate what the aggregation entrypoint returned, one object at a time. Pure.

A malformed object never voids the others and never vanishes: it becomes a denial that names the fault.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

MALFORMED_RULE_ID: Final = "CUPCAKE-MALFORMED-DECISION"

#: Key in the decision set -> verb in the policy, in the order in which they win.
VERBS: Final = {
    "halts": "halt",
    "denials": "deny",
    "blocks": "block",
    "asks": "ask",
    "modifications": "modify",
    "allow_overrides": "allow_override",
}


@dataclass(frozen=True, slots=True)
class Decision:
    reason: str
    severity: str
    rule_id: str
    agent_context: str | None = None


@dataclass(frozen=True, slots=True)
class Modification:
    reason: str
    rule_id: str
    updated_input: Mapping[str, Any]
    severity: str = "MEDIUM"
    priority: int = 50
    agent_context: str | None = None


@dataclass(slots=True)
class DecisionSet:
    """All decisions of one evaluation. `faults`: one sentence for each malformed object (also among `denials`)."""

    halts: list[Decision] = field(default_factory=list)
    denials: list[Decision] = field(default_factory=list)
    blocks: list[Decision] = field(default_factory=list)
    asks: list[Decision] = field(default_factory=list)
    modifications: list[Modification] = field(default_factory=list)
    allow_overrides: list[Decision] = field(default_factory=list)
    add_context: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (
            self.add_context
            or self.asks
            or self.denials
            or self.blocks
            or self.halts
            or self.modifications
            or self.allow_overrides
        )


#: Where a malformed value was made: given the value, a text such as "cupcake.policies.x (policies/x.rego:12)".
Locator = Callable[[Any], str]


def read_decision_set(value: Any, locate: Locator) -> DecisionSet:
    """The decision set that an entrypoint returned (parsed JSON); never raises."""
    result = DecisionSet()
    if not isinstance(value, dict):
        _fault(result, f"the aggregation entrypoint returned {_kind(value)}, not an object")
        return result
    if value and value.keys().isdisjoint({*VERBS, "add_context"}):
        names = ", ".join(VERBS)
        _fault(result, f"the aggregation entrypoint returned none of {names} and add_context")
    for key, verb in VERBS.items():
        entries = value.get(key)
        if not entries:
            if entries is None or entries == []:
                if entries is None and key in value:
                    _fault(result, f"`{key}` of the aggregation entrypoint is null, not an array")
                continue
            _fault(
                result, f"`{key}` of the aggregation entrypoint is {_kind(entries)}, not an array"
            )
            continue
        if not isinstance(entries, list):
            _fault(
                result, f"`{key}` of the aggregation entrypoint is {_kind(entries)}, not an array"
            )
            continue
        for entry in entries:
            fault = (
                _modification(entry, result)
                if verb == "modify"
                else _decision(entry, getattr(result, key))
            )
            if fault:
                _fault(result, f"malformed `{verb}` decision{locate(entry)}: {fault}")
    contexts = value.get("add_context", [])
    if not isinstance(contexts, list):
        _fault(
            result,
            f"`add_context` of the aggregation entrypoint is {_kind(contexts)}, not an array",
        )
        return result
    for text in contexts:
        if isinstance(text, str):
            result.add_context.append(text)
        else:
            _fault(
                result,
                f"malformed `add_context`{locate(text)}: {_kind(text)} where a string is needed: {_show(text)}",
            )
    return result


def _decision(entry: Any, into: list[Decision]) -> str:
    fault = _common_fault(entry, ("reason", "severity", "rule_id"))
    if not fault:
        into.append(
            Decision(
                entry["reason"], entry["severity"], entry["rule_id"], entry.get("agent_context")
            )
        )
    return fault


def _modification(entry: Any, result: DecisionSet) -> str:
    fault = _common_fault(entry, ("reason", "rule_id"))
    if fault:
        return fault
    severity = entry.get("severity", "MEDIUM")
    priority = entry.get("priority", 50)
    if not isinstance(severity, str):
        return f"`severity` is {_kind(severity)}, not a string{_id(entry)}"
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 255:
        return f"`priority` must be an integer from 0 to 255{_id(entry)}"
    if "updated_input" not in entry:
        return f"`updated_input` is missing{_id(entry)}"
    updated = entry["updated_input"]
    if not isinstance(updated, dict):
        return f"`updated_input` is {_kind(updated)}, not an object{_id(entry)}"
    result.modifications.append(
        Modification(
            entry["reason"],
            entry["rule_id"],
            updated,
            severity,
            priority,
            entry.get("agent_context"),
        )
    )
    return ""


def _common_fault(entry: Any, required: tuple[str, ...]) -> str:
    if not isinstance(entry, dict):
        return (
            f"{_kind(entry)} where an object with {', '.join(required)} is needed: {_show(entry)}"
        )
    for name in required:
        if name not in entry:
            return f"`{name}` is missing{_id(entry)}"
        if not isinstance(entry[name], str):
            return f"`{name}` is {_kind(entry[name])}, not a string{_id(entry)}"
    context = entry.get("agent_context")
    if context is not None and not isinstance(context, str):
        return f"`agent_context` is {_kind(context)}, not a string{_id(entry)}"
    return ""


def _fault(result: DecisionSet, text: str) -> None:
    result.faults.append(text)
    result.denials.append(
        Decision(
            f"Denied because of a {text}"
            if text.startswith("malformed")
            else f"Denied because {text}",
            "HIGH",
            MALFORMED_RULE_ID,
        )
    )


def _id(entry: Mapping[str, Any]) -> str:
    identity = entry.get("rule_id")
    if isinstance(identity, str):
        return f" (rule_id {identity})"
    return f" in {_show(entry)}"


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"
