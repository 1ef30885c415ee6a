"""The messages between a client and a daemon, as frozen values. `codec` turns them into frames; PROTOCOL.md is the contract.

Pure data; no msgpack, no sockets, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

VERSION = 1
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 64
REQUEST_ID_BYTES = 16


class Kind(IntEnum):
    """What a request asks for; a reply carries the same number with `REPLY` added."""

    EVALUATE = 1
    PING = 2
    STATUS = 3
    RELOAD = 4
    EXPLAIN = 5
    SUBSCRIBE = 6


REPLY = 0x40

FLAG_ERROR = 1
"""Set in a reply whose body is `{"error": [code, message]}`."""


class ErrorCode(StrEnum):
    """The closed list of codes an error reply can carry."""

    BAD_REQUEST = "BAD_REQUEST"
    UNSUPPORTED = "UNSUPPORTED"
    OVERLOADED = "OVERLOADED"
    EXPIRED = "EXPIRED"
    ENGINE_CRASHED = "ENGINE_CRASHED"
    NO_ENGINE = "NO_ENGINE"
    NO_POLICY = "NO_POLICY"
    EVALUATION_FAILED = "EVALUATION_FAILED"
    SHUTTING_DOWN = "SHUTTING_DOWN"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class Header:
    """`deadline_ms`: milliseconds that the sender will still wait (0 in replies)."""

    kind: int
    request_id: bytes
    deadline_ms: int = 0
    flags: int = 0
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Judge one agent event. `root`: absolute project root (the folder that holds `.cupcake`);
    `harness`: "claude" ...; `event`: the agent's own JSON bytes, passed through unparsed."""

    root: str
    harness: str
    event: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon says to an `Evaluate`.

    `verdict`: "halt" | "deny" | "block" | "ask" | "modify" | "allow"; `response`: the harness's ready-to-print JSON line (no newline);
    `exit_code`/`stderr`: what the hook process does beside printing; `decision`: the tagged final
    decision (`{"Deny": {"reason": ..., "agent_messages": []}}`); `generation`: number of the
    policy generation that judged it; `timings`: microseconds by step.
    """

    verdict: str
    response: bytes
    exit_code: int = 0
    stderr: str = ""
    decision: dict[str, Any] = field(default_factory=dict)
    generation: int = 0
    timings: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
