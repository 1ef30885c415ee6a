"""What supervisor and engines say to each other: frames, the first byte of each is its tag. Private to one daemon version.

Supervisor -> engine: EVALUATE (ticket, absolute monotonic deadline in microseconds, request body),
TAKE (a generation, as JSON), DROP (a project), HEARTBEAT, STOP. Engine -> supervisor: HELLO, ANSWER (ticket,
verdict letter, reply body), FAILURE (ticket, error body), NEED (ticket, root), TAKEN (JSON), ALIVE (JSON). An engine may send several
frames as the parts of one ZeroMQ message: waking the peer costs more than an answer's bytes.
It must not do I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Any

from cupcake.client import codec
from cupcake.client import messages as m

EVALUATE = 0x45
EVALUATE_ALONE = 0x4C
"""As EVALUATE, for a request that was with an engine when it died: nothing else may be unanswered meanwhile."""
TAKE = 0x47
DROP = 0x44
HEARTBEAT = 0x50
STOP = 0x53

HELLO = 0x48
ANSWER = 0x41
FAILURE = 0x58
NEED = 0x4E
TAKEN = 0x4B
ALIVE = 0x4F

WORK = Struct("!BQQ")
TICKET = Struct("!BQ")
REPLY_HEAD = Struct("!BQB")

VERDICT_LETTERS: Mapping[str, int] = {
    "halt": 0x68,
    "deny": 0x64,
    "block": 0x62,
    "ask": 0x6B,
    "modify": 0x6D,
    "allow": 0x61,
}


@dataclass(frozen=True, slots=True)
class Take:
    """Use this generation of a project, or deny everything for it with `failure`.

    `notices` go into every answer's warnings: what the user must know (a broken edit ...)."""

    root: str
    generation: int
    directory: str
    failure: str = ""
    notices: tuple[str, ...] = ()

    def encode(self) -> bytes:
        return pack_json(
            TAKE,
            {
                "root": self.root,
                "generation": self.generation,
                "directory": self.directory,
                "failure": self.failure,
                "notices": list(self.notices),
            },
        )

    @classmethod
    def decode(cls, frame: bytes) -> Take:
        given = unpack_json(frame)
        return cls(
            root=str(given["root"]),
            generation=int(given["generation"]),
            directory=str(given["directory"]),
            failure=str(given["failure"]),
            notices=tuple(str(n) for n in given["notices"]),
        )


def pack_json(tag: int, value: Mapping[str, Any]) -> bytes:
    return bytes((tag,)) + json.dumps(value).encode()


def unpack_json(frame: bytes) -> dict[str, Any]:
    """The map behind the tag; raises ValueError when it is none."""
    value = json.loads(frame[1:])
    if not isinstance(value, dict):
        raise ValueError("not a map")
    return value


def read_header(frame: bytes) -> tuple[int, int, bytes, int]:
    """Version, kind, request id and deadline of a client's header; raises ProtocolError.

    The ordinary layout is read by hand, since this runs for every request; anything else goes to the codec.
    """
    size = len(frame)
    if size in (25, 23) and frame[0] == 0x95 and frame[3] == 0xC4 and frame[4] == 0x10:
        version, kind, lead = frame[1], frame[2], frame[21]
        if version < 0x80 and kind < 0x80 and frame[-1] < 0x80:
            if size == 25 and lead == 0xCD:
                return version, kind, frame[5:21], frame[22] << 8 | frame[23]
            if size == 23 and lead < 0x80:
                return version, kind, frame[5:21], lead
    header = codec.decode_header(frame)
    return header.version, header.kind, header.request_id, header.deadline_ms


def reply_header(kind: int, request_id: bytes, flags: int) -> bytes:
    """The same bytes as codec.encode_header for kinds and flags below 64."""
    return b"\x95\x01%c\xc4\x10%b\x00%c" % (kind | m.REPLY, request_id, flags)
