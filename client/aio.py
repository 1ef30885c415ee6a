"""`AsyncClient`: the asyncio client. A thin shell around `session` and `transport`; one connection, many requests in flight.

It reads the socket's descriptor through the event loop itself (no helper thread, no zmq.asyncio, whose
per-message cost is several times higher).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.decision import Decision, allowed, denied, event_bytes, project_root
from cupcake.client.discovery import find_socket
from cupcake.client.errors import ClientError, Unavailable
from cupcake.client.session import Request, Session
from cupcake.client.sync import Embedded, OnUnavailable
from cupcake.client.transport import Transport


class AsyncClient:
    """As `Client`, for asyncio. Use it within one event loop."""

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
            raise ValueError('on_unavailable="embedded" needs cupcake.AsyncClient, or embedded=...')
        self.root = project_root(project)
        self.harness = harness
        self.endpoint = find_socket(socket) if socket is None or "://" not in socket else socket
        self.timeout = timeout
        self._on_unavailable = on_unavailable
        self._embedded = embedded
        self._session = Session(retry_after=retry_after)
        self._transport: Transport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    async def evaluate(
        self, event: Mapping[str, Any] | bytes | str, *, timeout: float | None = None
    ) -> Decision:
        """Judges one event; as `Client.evaluate`. Any number of calls may be awaited at once."""
        request = m.Evaluate(self.root, self.harness, event_bytes(event))
        try:
            body = await self._call(m.Kind.EVALUATE, codec.encode_evaluate(request), timeout)
        except Unavailable as error:
            match self._on_unavailable:
                case "deny":
                    return denied(f"Cupcake could not decide: {error}")
                case "allow":
                    return allowed(f"no daemon, allowed by on_unavailable: {error}")
                case "embedded" if self._embedded is not None:
                    return Decision(await asyncio.to_thread(self._embedded, request))
                case _:
                    raise
        return Decision(codec.decode_answer(body))

    async def ping(self) -> dict[str, Any]:
        return codec.decode_body(await self._call(m.Kind.PING, codec.encode_body({}), None))

    async def status(self) -> dict[str, Any]:
        return codec.decode_body(await self._call(m.Kind.STATUS, codec.encode_body({}), None))

    async def reload(
        self, *, root: str | None = None, accept_removal: bool = False, timeout: float = 30.0
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"accept_removal": accept_removal}
        if root is not None:
            body["root"] = root
        return codec.decode_body(await self._call(m.Kind.RELOAD, codec.encode_body(body), timeout))

    async def _call(self, kind: m.Kind, body: bytes, timeout: float | None) -> bytes:
        transport = self._connect()
        loop = asyncio.get_running_loop()
        limit = self.timeout if timeout is None else timeout
        request, frames = self._session.start(
            kind, os.urandom(m.REQUEST_ID_BYTES), body, loop.time(), limit
        )
        future: asyncio.Future[bytes] = loop.create_future()
        self._waiting[request.request_id] = future
        try:
            transport.send(frames)
            # The descriptor is edge-triggered: a send can swallow the edge of an arrival.
            self._drain()
            self._arm()
            return await future
        finally:
            self._waiting.pop(request.request_id, None)
            self._session.pending.pop(request.request_id, None)

    def _connect(self) -> Transport:
        if self._closed:
            raise ClientError("the client is closed")
        if self._transport is None:
            self._transport = Transport(self.endpoint)
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._transport.fileno(), self._drain)
        return self._transport

    def _drain(self) -> None:
        if self._transport is None:
            return
        while (frames := self._transport.receive(0)) is not None:
            try:
                request = self._session.receive(frames)
            except ClientError:
                continue  # nobody to tell: the frame names no request of ours
            if request is not None:
                self._finish(request)

    def _finish(self, request: Request) -> None:
        future = self._waiting.get(request.request_id)
        if future is None or future.done():
            return
        if request.error is not None:
            future.set_exception(request.error)
        elif request.reply is not None:
            future.set_result(request.reply)

    def _arm(self) -> None:
        if self._timer is None and self._loop is not None:
            delay = max(self._session.next_wake(self._loop.time()), 0.001)
            self._timer = self._loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._transport is None or self._loop is None:
            return
        self._drain()
        resend, expired = self._session.tick(self._loop.time())
        for request in expired:
            self._finish(request)
        for frames in resend:
            try:
                self._transport.send(frames)
            except Unavailable:
                break
        if self._session.pending:
            self._arm()

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None and self._loop is not None:
            self._loop.remove_reader(self._transport.fileno())
            self._transport.close()
            self._transport = None
        for request in self._session.abandon(Unavailable("the client was closed")):
            self._finish(request)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
