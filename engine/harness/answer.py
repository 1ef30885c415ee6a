"""What a harness is told: the common shape of all adapters' answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cupcake.engine.policy.synthesis import FinalDecision

_ENCODE = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Wire:
    """An answer on the wire: `response` is one JSON object, `stderr` is printed as is, `exit_code` ends the hook."""

    response: Mapping[str, Any]
    exit_code: int = 0
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class HarnessAnswer:
    """A ready answer. `response`: one JSON line without newline. `decision`: the tagged FinalDecision.
    `timings`: microseconds by stage. `matched`: packages of the policies that were routed."""

    verdict: str
    response: bytes
    exit_code: int = 0
    stderr: str = ""
    decision: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8. Text that cannot be encoded (a lone surrogate) is escaped, never an error."""
    try:
        return _ENCODE(value).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def make_answer(
    final: FinalDecision,
    wire: Wire,
    *,
    timings: Mapping[str, int] | None = None,
    warnings: tuple[str, ...] = (),
    matched: tuple[str, ...] = (),
) -> HarnessAnswer:
    """Join a decision and its wire form."""
    return HarnessAnswer(
        verdict=final.verdict,
        response=encode(wire.response),
        exit_code=wire.exit_code,
        stderr=wire.stderr,
        decision=final.tagged(),
        timings=timings or {},
        warnings=warnings,
        matched=matched,
        rule_ids=final.rule_ids,
    )


def with_notice(answer: HarnessAnswer, text: str) -> HarnessAnswer:
    """The same answer, which also shows `text` to the user. A message that is there already stays."""
    body = json.loads(answer.response)
    if not isinstance(body, dict) or "systemMessage" in body:
        return answer
    return replace(answer, response=encode({**body, "systemMessage": text}))
