"""`Decision`: the typed result that both clients give, and the small conversions that they share. Pure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from cupcake.client import messages as m

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Decision:
    """One verdict.

    `verdict`: "halt" | "deny" | "block" | "ask" | "modify" | "allow_override" | "allow"; `reason`: for a person; `final`: the tagged
    form (`{"Deny": {...}}`); `response`: the harness's answer as a dict; `generation`: which policy
    generation judged; `timings`: microseconds by step; `warnings`: what the operator should know.
    """

    __slots__ = ("_answer",)

    def __init__(self, answer: m.Answer) -> None:
        self._answer = answer

    @property
    def verdict(self) -> str:
        return self._answer.verdict

    @property
    def generation(self) -> int:
        return self._answer.generation

    @property
    def timings(self) -> dict[str, int]:
        return self._answer.timings

    @property
    def warnings(self) -> tuple[str, ...]:
        return self._answer.warnings

    @property
    def exit_code(self) -> int:
        return self._answer.exit_code

    @property
    def final(self) -> dict[str, Any]:
        return self._answer.decision

    @property
    def raw_response(self) -> bytes:
        return self._answer.response

    @property
    def response(self) -> dict[str, Any]:
        return dict(json.loads(self._answer.response or b"{}"))

    @property
    def reason(self) -> str:
        for body in self._answer.decision.values():
            if isinstance(body, dict):
                return str(body.get("reason", ""))
        return ""

    @property
    def context(self) -> list[str]:
        body = self._answer.decision.get("Allow")
        return list(body.get("context", [])) if isinstance(body, dict) else []

    @property
    def allowed(self) -> bool:
        """True for allow, allow_override and modify; ask is not an allow."""
        return self._answer.verdict in ("allow", "allow_override", "modify")

    @property
    def blocked(self) -> bool:
        return self._answer.verdict in ("halt", "deny", "block")

    def __repr__(self) -> str:
        return f"Decision({self.verdict!r}, reason={self.reason!r}, generation={self.generation})"


def denied(reason: str) -> Decision:
    return Decision(
        m.Answer(
            "deny",
            b"{}",
            2,
            reason,
            {"Deny": {"reason": reason, "agent_messages": []}},
            warnings=(reason,),
        )
    )


def allowed(reason: str) -> Decision:
    return Decision(m.Answer("allow", b"{}", 0, "", {"Allow": {"context": []}}, warnings=(reason,)))


def event_bytes(event: Mapping[str, Any] | bytes | str) -> bytes:
    if isinstance(event, bytes):
        return event
    if isinstance(event, str):
        return event.encode("utf-8", "surrogatepass")
    return _ENCODE(event).encode("utf-8", "surrogatepass")


def project_root(path: str | os.PathLike[str]) -> str:
    """The folder that holds `.cupcake`: `path` itself, or its parent when `path` is the `.cupcake` folder."""
    absolute = os.path.abspath(os.path.expanduser(os.fspath(path)))
    return os.path.dirname(absolute) if os.path.basename(absolute) == ".cupcake" else absolute
