"""The request state machine of a client: frames in, frames and results out; no sockets, no clock.

One `Session` serves one connection. A shell (`sync`, `aio`) sends what `start` returns, feeds what it
receives to `receive`, and calls `tick` when time has passed. Times are seconds of any monotonic clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.errors import ClientError, ProtocolError, RequestFailed, Unavailable

MAX_DEADLINE_MS = (1 << 32) - 1
Frames = tuple[bytes, bytes, bytes]


@dataclass(slots=True)
class Request:
    """One request in flight. `reply` or `error` is set when it is `done`; `sends` counts transmissions."""

    kind: int
    request_id: bytes
    body: bytes
    deadline: float
    retry_at: float
    sends: int = 1
    reply: bytes | None = None
    error: ClientError | None = None

    @property
    def done(self) -> bool:
        return self.reply is not None or self.error is not None

    def result(self) -> bytes:
        """The reply body, or raises what went wrong."""
        if self.error is not None:
            raise self.error
        if self.reply is None:
            raise Unavailable("the request has no answer yet")
        return self.reply


class Session:
    """Pending requests by id. `retry_after`: seconds without an answer before the same request (same id,
    so that the daemon answers it once) is sent again, at most `max_sends` times in all."""

    def __init__(self, *, retry_after: float = 1.0, max_sends: int = 3) -> None:
        self._retry_after = retry_after
        self._max_sends = max_sends
        self.pending: dict[bytes, Request] = {}

    def start(
        self, kind: m.Kind, request_id: bytes, body: bytes, now: float, timeout: float
    ) -> tuple[Request, Frames]:
        """Registers a request; raises ProtocolError when it is over the size limit, ValueError for no time."""
        if math.isnan(timeout):
            raise ValueError("timeout must be a number of seconds")
        if len(body) > m.MAX_MESSAGE_BYTES:
            raise ProtocolError(
                f"message of {len(body)} bytes, at most {m.MAX_MESSAGE_BYTES} are allowed"
            )
        request = Request(kind, request_id, body, now + timeout, now + self._retry_after)
        self.pending[request_id] = request
        return request, self._frames(request, now)

    def _frames(self, request: Request, now: float) -> Frames:
        left = int(min(max((request.deadline - now) * 1000, 1), MAX_DEADLINE_MS))
        return (
            b"",
            codec.encode_header(m.Header(request.kind, request.request_id, left)),
            request.body,
        )

    def receive(self, frames: Sequence[bytes]) -> Request | None:
        """Takes one reply. Returns the request that it completes; None for a late or a duplicate one."""
        header, body = codec.split_request(frames)
        request = self.pending.pop(header.request_id, None)
        if request is None:
            return None
        if header.flags & m.FLAG_ERROR:
            request.error = RequestFailed(*codec.decode_error(body))
        elif header.kind != request.kind + m.REPLY:
            request.error = ProtocolError(
                f"reply of kind {header.kind} to a request of kind {request.kind}"
            )
        else:
            request.reply = body
        return request

    def tick(self, now: float) -> tuple[list[Frames], list[Request]]:
        """Time has passed: (frames to send again, requests that have just timed out)."""
        resend: list[Frames] = []
        expired: list[Request] = []
        for request in list(self.pending.values()):
            if now >= request.deadline:
                del self.pending[request.request_id]
                request.error = Unavailable(
                    "no answer from the daemon in time (see `cupcake status`)"
                )
                expired.append(request)
            elif now >= request.retry_at and request.sends < self._max_sends:
                request.sends += 1
                request.retry_at = now + self._retry_after
                resend.append(self._frames(request, now))
        return resend, expired

    def next_wake(self, now: float) -> float:
        """Seconds until `tick` has something to do; at most 1."""
        times = [
            min(r.deadline, r.retry_at if r.sends < self._max_sends else r.deadline)
            for r in self.pending.values()
        ]
        return min(max(min(times) - now, 0.0), 1.0) if times else 1.0

    def abandon(self, error: ClientError) -> list[Request]:
        """Fails everything pending (the connection is closed)."""
        lost = list(self.pending.values())
        self.pending.clear()
        for request in lost:
            request.error = error
        return lost
