"""From a decision set to the one final decision: priority, joined reasons, merged modifications. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cupcake.engine.policy.decision import Decision, DecisionSet, Modification

Verdict: TypeAlias = Literal["halt", "deny", "block", "ask", "modify", "allow_override", "allow"]

_TAGS: Mapping[str, str] = {
    "halt": "Halt",
    "deny": "Deny",
    "block": "Block",
    "ask": "Ask",
    "modify": "Modify",
    "allow_override": "AllowOverride",
    "allow": "Allow",
}


@dataclass(frozen=True, slots=True)
class FinalDecision:
    """What the harness adapters answer with. `context` only on allow, `updated_input` only on modify."""

    verdict: Verdict
    reason: str = ""
    context: tuple[str, ...] = ()
    agent_messages: tuple[str, ...] = ()
    updated_input: Mapping[str, Any] | None = None
    rule_ids: tuple[str, ...] = ()

    def tagged(self) -> dict[str, Any]:
        """The externally tagged form of the original library: `{"Deny": {"reason": ..., "agent_messages": []}}`."""
        tag = _TAGS[self.verdict]
        if self.verdict == "allow":
            return {tag: {"context": list(self.context)}}
        if self.verdict == "allow_override":
            return {tag: {"reason": self.reason}}
        body: dict[str, Any] = {"reason": self.reason}
        if self.updated_input is not None:
            body["updated_input"] = self.updated_input
        body["agent_messages"] = list(self.agent_messages)
        return {tag: body}


NO_OPINION = FinalDecision("allow")


def synthesise(found: DecisionSet) -> FinalDecision:
    """halt > deny > block > ask > modify > allow_override > allow; only the winning list speaks."""
    if found.halts:
        return _final("halt", found.halts)
    if found.denials:
        return _final("deny", found.denials)
    if found.blocks:
        return _final("block", found.blocks)
    if found.asks:
        return _final("ask", found.asks)
    if found.modifications:
        return _modify(found.modifications)
    if found.allow_overrides:
        return _final("allow_override", found.allow_overrides)
    return (
        FinalDecision("allow", context=tuple(found.add_context))
        if found.add_context
        else NO_OPINION
    )


def merge_layers(first: DecisionSet, second: DecisionSet) -> DecisionSet:
    """The decisions of the global layer before those of the project."""
    return DecisionSet(
        halts=first.halts + second.halts,
        denials=first.denials + second.denials,
        blocks=first.blocks + second.blocks,
        asks=first.asks + second.asks,
        modifications=first.modifications + second.modifications,
        allow_overrides=first.allow_overrides + second.allow_overrides,
        add_context=first.add_context + second.add_context,
        faults=first.faults + second.faults,
    )


def join_reasons(decisions: Sequence[Decision]) -> str:
    """One text for many decisions: only those of the highest severity present are told."""
    if not decisions:
        return "Policy evaluation completed"
    if len(decisions) == 1:
        return decisions[0].reason
    groups: dict[str, list[Decision]] = {"high": [], "medium": [], "low": []}
    for decision in decisions:
        groups[_severity(decision.severity)].append(decision)
    name, group = next((name, group) for name, group in groups.items() if group)
    if len(group) == 1:
        return group[0].reason
    if name == "low":
        return "Policy guidelines: " + "; ".join(d.reason for d in group)
    lead = (
        "Multiple high-severity policy violations detected: "
        if name == "high"
        else ("Multiple policy violations detected: ")
    )
    return lead + "; ".join(f"[{d.rule_id}] {d.reason}" for d in group)


def deep_merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with what `over` adds: objects merge, on any other clash `base` keeps its value."""
    merged = dict(base)
    for key, value in over.items():
        if key not in merged:
            merged[key] = value
        elif isinstance(merged[key], Mapping) and isinstance(value, Mapping):
            merged[key] = deep_merge(merged[key], value)
    return merged


def _severity(text: str) -> str:
    match text.upper():
        case "HIGH" | "CRITICAL":
            return "high"
        case "MEDIUM" | "MODERATE":
            return "medium"
    return "low"


def _final(verdict: Verdict, decisions: Sequence[Decision]) -> FinalDecision:
    return FinalDecision(
        verdict,
        join_reasons(decisions),
        agent_messages=tuple(d.agent_context for d in decisions if d.agent_context is not None),
        rule_ids=tuple(d.rule_id for d in decisions),
    )


def _modify(modifications: Sequence[Modification]) -> FinalDecision:
    ordered = sorted(modifications, key=lambda m: -m.priority)
    merged: dict[str, Any] = {}
    for modification in ordered:
        merged = deep_merge(merged, modification.updated_input)
    if len(ordered) == 1:
        reason = ordered[0].reason
    else:
        told = "; ".join(f"[{m.rule_id}] {m.reason}" for m in ordered)
        reason = f"Multiple modifications applied: {told}"
    return FinalDecision(
        "modify",
        reason,
        agent_messages=tuple(m.agent_context for m in modifications if m.agent_context is not None),
        updated_input=merged,
        rule_ids=tuple(m.rule_id for m in modifications),
    )
