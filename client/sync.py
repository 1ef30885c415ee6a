"""`Client`: the synchronous client. A thin shell around `session` and `transport`.

Thread-safe: every thread that calls gets a connection of its own, so that threads never wait for each other.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.decision import Decision, allowed, denied, event_bytes, project_root
from cupcake.client.discovery import find_socket
from cupcake.client.errors import ClientError, RequestFailed, Unavailable
from cupcake.client.session import Request, Session
from cupcake.client.transport import Transport

OnUnavailable = Literal["raise", "deny", "allow", "embedded"]
Embedded = Callable[[m.Evaluate], m.Answer]


class _Connection:
    """What one thread owns."""

    __slots__ = ("__weakref__", "session", "transport")

    def __init__(self, endpoint: str, retry_after: float) -> None:
        self.transport = Transport(endpoint)
        self.session = Session(retry_after=retry_after)


class Client:
    """Talks to a running daemon. Usable in threads, and in a child process after a fork.

    `project`: the project root (default: the working directory); `harness`: whose events these are;
    `timeout`: seconds for one call; `on_unavailable`: what `evaluate` does when no daemon answers -
    "deny" (default) and "allow" make a Decision that says so, "raise" raises, "embedded" calls
    `embedded` (the facade `cupcake.Client` passes the in-process engine).
    """

    def __init__(
        self,
        project: str | os.PathLike[str] = ".",
        *,
        harness: str = "claude",
        socket: str | None = None,
        timeout: float = 5.0,
        retry_after: float = 1.0,
        on_unavailable: OnUnavailable = "deny",
        embedded: Embedded | None = None,
    ) -> None:
        if on_unavailable == "embedded" and embedded is None:
            raise ValueError('on_unavailable="embedded" needs cupcake.Client, or embedded=...')
        self.root = project_root(project)
        self.harness = harness
        self.endpoint = find_socket(socket) if socket is None or "://" not in socket else socket
        self.timeout = timeout
        self._retry_after = retry_after
        self._on_unavailable = on_unavailable
        self._embedded = embedded
        self._closed = False
        self._inherited: list[object] = []
        self._begin()

    def _begin(self) -> None:
        """No connections yet, for this process."""
        self._pid = os.getpid()
        self._local = threading.local()
        # Weak: the connection of a thread goes with the thread.
        self._all: weakref.WeakSet[_Connection] = weakref.WeakSet()
        self._lock = threading.Lock()

    def evaluate(
        self, event: Mapping[str, Any] | bytes | str, *, timeout: float | None = None
    ) -> Decision:
        """Judges one event (the agent's own JSON, or the mapping). Raises RequestFailed when the daemon
        refuses the request, ClientError for an unsafe socket; an absent daemon is handled as
        `on_unavailable` says."""
        return self.evaluate_many([event], timeout=timeout)[0]

    def evaluate_many(
        self, events: Iterable[Mapping[str, Any] | bytes | str], *, timeout: float | None = None
    ) -> list[Decision]:
        """Judges many events, all in flight at once; the answers come in the order of the events."""
        requests = [m.Evaluate(self.root, self.harness, event_bytes(e)) for e in events]
        try:
            bodies = self.call_many(
                m.Kind.EVALUATE, [codec.encode_evaluate(r) for r in requests], timeout
            )
        except Unavailable as error:
            return [self._unavailable(r, error) for r in requests]
        return [Decision(codec.decode_answer(body)) for body in bodies]

    def _unavailable(self, request: m.Evaluate, error: Unavailable) -> Decision:
        match self._on_unavailable:
            case "deny":
                return denied(f"Cupcake could not decide: {error}")
            case "allow":
                return allowed(f"no daemon, allowed by on_unavailable: {error}")
            case "embedded" if self._embedded is not None:
                return Decision(self._embedded(request))
            case _:
                raise error

    def ping(self) -> dict[str, Any]:
        """{pid, version} of the daemon."""
        return self._control(m.Kind.PING, {})

    def status(self) -> dict[str, Any]:
        """What `cupcake status --json` prints."""
        return self._control(m.Kind.STATUS, {})

    def reload(
        self, *, root: str | None = None, accept_removal: bool = False, timeout: float = 30.0
    ) -> dict[str, Any]:
        """Returns when the new generation (of `root`, or of all projects) is in force everywhere."""
        body: dict[str, Any] = {"accept_removal": accept_removal}
        if root is not None:
            body["root"] = root
        return self._control(m.Kind.RELOAD, body, timeout)

    def _control(
        self, kind: m.Kind, body: dict[str, Any], timeout: float | None = None
    ) -> dict[str, Any]:
        return codec.decode_body(self.call_many(kind, [codec.encode_body(body)], timeout)[0])

    def call_many(
        self, kind: m.Kind, bodies: Sequence[bytes], timeout: float | None = None
    ) -> list[bytes]:
        """Sends all, waits for all; raises the first failure (after the others are done)."""
        connection = self._connection()
        session, transport = connection.session, connection.transport
        limit = self.timeout if timeout is None else timeout
        requests: list[Request] = []
        try:
            for body in bodies:
                request, frames = session.start(
                    kind, os.urandom(m.REQUEST_ID_BYTES), body, time.monotonic(), limit
                )
                requests.append(request)
                transport.send(frames)
            while session.pending:
                frames_in = transport.receive(session.next_wake(time.monotonic()))
                while frames_in is not None:
                    session.receive(frames_in)
                    frames_in = transport.receive(0)
                for frames in session.tick(time.monotonic())[0]:
                    transport.send(frames)
        except BaseException:
            # Answers to what is still in flight must not be taken for answers to later calls' ids.
            session.abandon(Unavailable("the call was interrupted"))
            raise
        return [request.result() for request in requests]

    def _connection(self) -> _Connection:
        if self._closed:
            raise ClientError("the client is closed")
        if self._pid != os.getpid():
            # After a fork the sockets are the parent's, and must not even be closed here.
            self._inherited.append((self._local, list(self._all)))
            self._begin()
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _Connection(self.endpoint, self._retry_after)
            self._local.connection = connection
            with self._lock:
                self._all.add(connection)
        return connection

    def close(self) -> None:
        """Closes the connections of all threads; call it when none of them is in a call."""
        self._closed = True
        with self._lock:
            for connection in list(self._all) if self._pid == os.getpid() else ():
                connection.transport.close()
            self._all.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


__all__ = ["Client", "RequestFailed"]
