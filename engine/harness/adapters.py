"""Which adapter speaks for which harness, and what is said for a harness without one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cupcake.engine.harness import claude
from cupcake.engine.harness.answer import Wire
from cupcake.engine.policy.synthesis import FinalDecision

_ALIASES = {
    "claudecode": "claude",
    "claude-code": "claude",
    "factoryai": "factory",
    "factory-ai": "factory",
    "droid": "factory",
    "open-code": "opencode",
}


@dataclass(frozen=True, slots=True)
class Adapter:
    """`respond(event, decision)` and `fail(event name or None, reason)`; both total."""

    respond: Callable[[Mapping[str, Any], FinalDecision], Wire]
    fail: Callable[[str | None, str], Wire]


def harness_name(text: str) -> str:
    """The canonical name (`claude`, `cursor`, `factory`, `opencode`) of a harness as users write it."""
    lowered = text.lower()
    return _ALIASES.get(lowered, lowered)


def adapter_for(harness: str) -> Adapter | None:
    """None for a harness whose answers this version cannot speak."""
    return _CLAUDE if harness == "claude" else None


def refuse_plainly(reason: str) -> Wire:
    """The refusal that most harnesses understand: exit code 2 with the reason on stderr."""
    return Wire({}, 2, reason)


_CLAUDE = Adapter(claude.respond, claude.fail)
