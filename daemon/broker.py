"""The broker: client requests in, engines' answers out, nothing lost and nothing twice.

It runs for every request, so it reads 25 bytes of header and never a body, formats nothing and logs nothing.
It knows engines as identities with credits; processes, policies and files are the supervisor's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import zmq

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.daemon import wire
from cupcake.daemon.admission import FairQueue, Quarantine
from cupcake.daemon.lifecycle import ENGINE_TABLE, EngineEvent, EngineState, step
from cupcake.daemon.metrics import Counters

_NOBLOCK = int(zmq.NOBLOCK)
_MORE = int(zmq.SNDMORE) | _NOBLOCK
_RCVMORE = int(zmq.RCVMORE)
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_EVALUATE = int(m.Kind.EVALUATE)
_READY = EngineState.READY
_BATCH = 64
_START_WITHIN = 0.004
"""Seconds: an engine may hold as many requests as it is likely to start in this time (see decisions/)."""
_CONTROL_LIMIT = 64 * 1024
_MOST_NEEDS = 8
_MOST_ABSENCES = 10


class Request:
    """One accepted EVALUATE until its answer. Mutable, owned by the broker (or parked by its caller)."""

    __slots__ = (
        "body", "deadline", "deaths", "identity", "near", "needs", "present", "request_id", "waiters",
    )  # fmt: skip

    def __init__(self, identity: bytes, request_id: bytes, body: bytes, deadline: float) -> None:
        self.identity = identity
        self.request_id = request_id
        self.body = body
        self.deadline = deadline
        self.deaths = 0
        """Engines that crashed or hung while this was what they worked on."""
        self.near = 0
        """Engines that died of their work while this was with them, but not the first in line."""
        self.present = 0
        """Engines that died while they had this, but not over it as far as we know."""
        self.needs = 0
        self.waiters: list[bytes] = []
        """Further connections that sent the same request id with the same body."""


class Engine:
    """One engine process as the broker sees it. `inflight` is in the order of dispatch: the first is being evaluated."""

    __slots__ = (
        "busy_since", "credit", "heard", "identity", "inflight", "loads", "owes_since", "pace", "patience", "pid", "pinged", "rss",
        "served", "state",
    )  # fmt: skip

    def __init__(self, identity: bytes, pid: int, now: float) -> None:
        self.identity = identity
        self.pid = pid
        self.credit = 1
        """Requests that it may hold at once."""
        self.pace = _START_WITHIN
        """Seconds that an evaluation takes it, a moving average."""
        self.busy_since = now
        self.state = EngineState.STARTING
        self.inflight: dict[int, Request | None] = {}
        """None = given to another engine meanwhile; it still costs this one an evaluation."""
        self.loads = 0
        self.served = 0
        self.heard = now
        self.owes_since = now
        self.pinged = False
        self.patience = 0.0
        self.rss = 0

    def on(self, event: EngineEvent) -> None:
        self.state = step(ENGINE_TABLE, self.state, event)

    def answered(self, count: int, now: float, least: int, most: int) -> None:
        """It has just answered `count` requests: as many may wait in it as it can start soon."""
        self.pace += ((now - self.busy_since) / count - self.pace) * 0.2
        self.busy_since = now
        self.credit = min(max(int(_START_WITHIN / max(self.pace, 1e-6)), least), most)

    def hung(self, now: float, limit: float) -> bool:
        """No sign of life for `limit` seconds (plus what its projects' commands may take) while it owes one."""
        if not (self.inflight or self.pinged or self.loads):
            return False
        return now - max(self.heard, self.owes_since) > limit + self.patience


class Owner(Protocol):
    """What the broker asks of the supervisor."""

    def needed(self, engine: Engine, request: Request, root: str) -> None:
        """The engine does not have this project; the request is the owner's until it gives it back."""

    def control(
        self, identity: bytes, kind: int, request_id: bytes, deadline: float, body: bytes
    ) -> None:
        """Anything but EVALUATE."""

    def engine_says(self, engine: Engine, frame: bytes) -> None:
        """HELLO, TAKEN, ALIVE."""

    def engine_gone(self, engine: Engine, why: str) -> None:
        """The engine cannot be reached any more or does not keep to the protocol; to be killed."""

    def bad_request(self, why: str) -> None:
        """For a log line now and then."""


class Broker:
    def __init__(
        self,
        front: zmq.Socket[bytes],
        back: zmq.Socket[bytes],
        owner: Owner,
        counters: Counters,
        clock: Callable[[], float],
        *,
        queue_bound: int,
        window: int,
        window_most: int,
        default_deadline: float,
        most_deadline: float,
        quarantine: Quarantine,
    ) -> None:
        self._front = front
        self._back = back
        self._owner = owner
        self._count = counters
        self._clock = clock
        self._window = window
        self._window_most = max(window, window_most)
        self._default_deadline = default_deadline
        self._most_deadline = most_deadline
        self.quarantine = quarantine
        self._queue: FairQueue[Request] = FairQueue(queue_bound)
        self._redo: deque[Request] = deque()
        self._by_id: dict[bytes, Request] = {}
        self._engines: dict[bytes, Engine] = {}
        self._ticket = 0
        self._open = 0
        self._refusal: tuple[m.ErrorCode, str] | None = None
        self.last_request = clock()

    # -- what the supervisor reads and sets --------------------------------------------------------

    @property
    def engines(self) -> Iterable[Engine]:
        return self._engines.values()

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._redo)

    @property
    def unanswered(self) -> int:
        """Accepted requests without an answer, wherever they are."""
        return self._open

    def add_engine(self, engine: Engine) -> None:
        self._engines[engine.identity] = engine

    def refuse(self, code: m.ErrorCode, message: str, *, also_waiting: bool) -> None:
        """From now on every EVALUATE is answered with this error; those that wait too, if wanted."""
        self._refusal = (code, message)
        if also_waiting:
            for request in [*self._redo, *self._queue.remove_if(lambda _: True)]:
                self.fail(request, code, message)
            self._redo.clear()

    def accept(self) -> None:
        self._refusal = None

    # -- clients -------------------------------------------------------------------------------------

    def pump_front(self, now: float) -> None:
        """Take what clients sent, at most a batch; the socket must be readable."""
        front = self._front
        for _ in range(_BATCH):
            frames = _receive(front)
            if frames is None:
                return
            self._client_message(frames, now)
            if len(self._queue) == 1:
                self.dispatch(now)  # nobody else waits: on its way before we look for more
            if not front.get(_EVENTS) & _POLLIN:  # type: ignore[operator]
                return

    def _client_message(self, frames: list[bytes], now: float) -> None:
        if len(frames) != 4 or frames[1]:
            self._count.bad_requests += 1
            self._owner.bad_request("not three frames: empty, header, body")
            return
        identity, _, head, body = frames
        try:
            version, kind, request_id, deadline_ms = wire.read_header(head)
        except ProtocolError as error:
            # Without an id there is nobody whom an answer could reach.
            self._count.bad_requests += 1
            self._owner.bad_request(str(error))
            return
        if version != m.VERSION:
            self._bad(
                identity,
                kind,
                request_id,
                f"protocol version {version}; this daemon speaks {m.VERSION}",
            )
            return
        wait = deadline_ms / 1000.0 if deadline_ms else self._default_deadline
        deadline = now + min(wait, self._most_deadline)
        if kind != _EVALUATE:
            if len(body) > _CONTROL_LIMIT:
                self._bad(
                    identity,
                    kind,
                    request_id,
                    f"body of {len(body)} bytes, at most {_CONTROL_LIMIT} here",
                )
            else:
                self._owner.control(identity, kind, request_id, deadline, body)
            return
        self.last_request = now
        if len(body) > m.MAX_MESSAGE_BYTES:
            self._bad(
                identity,
                kind,
                request_id,
                f"message of {len(body)} bytes, at most {m.MAX_MESSAGE_BYTES}",
            )
            return
        if self._refusal is not None:
            self.reply_error(identity, kind, request_id, *self._refusal)
            return
        if self.quarantine and self.quarantine.holds(body, now):
            self._count.quarantined += 1
            self.reply_error(identity, kind, request_id, m.ErrorCode.ENGINE_CRASHED, _CRASHED)
            return
        request = Request(identity, request_id, body, deadline)
        prior = self._by_id.get(request_id)
        if prior is None:
            self._by_id[request_id] = request
        elif prior.body == body:
            # A retry. One evaluation; every connection that asked is answered once.
            self._count.duplicates += 1
            if identity != prior.identity and identity not in prior.waiters:
                prior.waiters.append(identity)
            prior.deadline = max(prior.deadline, deadline)
            return
        elif identity == prior.identity or identity in prior.waiters:
            self._bad(identity, kind, request_id, "request id is in use for another request")
            return
        self._count.requests += 1
        self._open += 1
        refused = self._queue.push(request)
        if refused is not None:
            self._count.overloaded += 1
            self.fail(
                refused,
                m.ErrorCode.OVERLOADED,
                "too many requests are waiting; try again in a moment",
            )

    def _bad(self, identity: bytes, kind: int, request_id: bytes, why: str) -> None:
        self._count.bad_requests += 1
        self._owner.bad_request(why)
        self.reply_error(identity, kind, request_id, m.ErrorCode.BAD_REQUEST, why)

    def reply(
        self, identity: bytes, kind: int, request_id: bytes, body: bytes, flags: int = 0
    ) -> None:
        """To one connection; one that is gone or does not read loses its reply and nobody waits for it."""
        send = self._front.send
        try:
            send(identity, _MORE)
        except zmq.ZMQError:
            self._count.undeliverable += 1
            return
        send(b"", _MORE)
        send(wire.reply_header(kind & 0x3F, request_id, flags), _MORE)
        send(body, _NOBLOCK)

    def reply_error(
        self, identity: bytes, kind: int, request_id: bytes, code: str, message: str
    ) -> None:
        self._count.errors += 1
        self.reply(identity, kind, request_id, codec.encode_error(str(code), message), m.FLAG_ERROR)

    def _finish(self, request: Request, body: bytes, flags: int) -> None:
        self._open -= 1
        if self._by_id.get(request.request_id) is request:
            del self._by_id[request.request_id]
        self.reply(request.identity, _EVALUATE, request.request_id, body, flags)
        for identity in request.waiters:
            self.reply(identity, _EVALUATE, request.request_id, body, flags)

    def fail(self, request: Request, code: m.ErrorCode, message: str) -> None:
        """Answer an accepted request with an error."""
        self._count.errors += 1
        self._finish(request, codec.encode_error(str(code), message), m.FLAG_ERROR)

    def requeue(self, request: Request) -> None:
        """Give back a request that was parked; it goes before those that wait."""
        self._redo.append(request)

    # -- engines ---------------------------------------------------------------------------------------

    def pump_back(self, now: float) -> None:
        """Take what engines sent, at most a batch; the socket must be readable."""
        back = self._back
        for _ in range(_BATCH):
            try:
                identity = back.recv(_NOBLOCK)
            except zmq.Again:
                return
            engine = self._engines.get(identity)
            more = True
            held = len(engine.inflight) if engine is not None else 0
            while more:
                frame = back.recv(_NOBLOCK)
                more = bool(back.get(_RCVMORE))
                # Else a dead engine's last words, or (never from engines of ours) frames out of step.
                if engine is not None and engine.state is not EngineState.DEAD:
                    engine.heard = now
                    self._engine_message(engine, frame)
            if engine is not None and len(engine.inflight) < held:
                engine.answered(held - len(engine.inflight), now, self._window, self._window_most)
            if not back.get(_EVENTS) & _POLLIN:  # type: ignore[operator]
                return

    def _engine_message(self, engine: Engine, frame: bytes) -> None:
        tag = frame[0] if len(frame) > 9 else 0
        if tag == wire.ANSWER:
            _, ticket, verdict = wire.REPLY_HEAD.unpack_from(frame)
            request = engine.inflight.pop(ticket, None)
            engine.served += 1
            if request is None:
                return  # rescued meanwhile, or answered
            self._count.answers += 1
            self._count_verdict(verdict)
            self._finish(request, frame[10:], 0)
        elif tag == wire.NEED:
            request = engine.inflight.pop(wire.TICKET.unpack_from(frame)[1], None)
            if request is None:
                return
            request.needs += 1
            root = frame[9:].decode("utf-8", "surrogateescape")
            if request.needs > _MOST_NEEDS:
                self.fail(
                    request,
                    m.ErrorCode.INTERNAL,
                    f"no engine keeps the policies of {root!a} loaded",
                )
            else:
                self._owner.needed(engine, request, root)
        elif tag == wire.FAILURE:
            request = engine.inflight.pop(wire.TICKET.unpack_from(frame)[1], None)
            engine.served += 1
            if request is not None:
                self._count.errors += 1
                self._finish(request, frame[9:], m.FLAG_ERROR)
        elif frame and frame[0] in (wire.HELLO, wire.TAKEN, wire.ALIVE):
            self._owner.engine_says(engine, frame)
        else:
            self._owner.engine_gone(engine, "sent a frame that is no message")

    def _count_verdict(self, letter: int) -> None:
        count = self._count
        if letter == 0x61:
            count.allowed += 1
        elif letter in (0x64, 0x62):
            count.denied += 1
        elif letter == 0x6B:
            count.asked += 1
        elif letter == 0x6D:
            count.modified += 1
        elif letter == 0x68:
            count.halted += 1

    def tell(self, engine: Engine, frame: bytes, now: float) -> bool:
        """A control frame to an engine; False when it cannot be reached."""
        if not (engine.inflight or engine.pinged or engine.loads):
            engine.owes_since = now
        try:
            self._back.send(engine.identity, _MORE)
        except zmq.ZMQError:
            return False
        self._back.send(frame, _NOBLOCK)
        return True

    def dispatch(self, now: float) -> None:
        """Give waiting requests to the least loaded engines, as far as their credit goes."""
        redo, queue, window = self._redo, self._queue, self._window
        send = self._back.send
        while redo or queue:
            engine: Engine | None = None
            load = self._window_most
            for candidate in self._engines.values():
                held = len(candidate.inflight)
                if (
                    candidate.state is _READY
                    and held < load
                    and held < max(candidate.credit, window)
                ):
                    engine = candidate
                    load = held
                    if not load:
                        candidate.busy_since = now
                        break
            if engine is None:
                return
            request = redo.popleft() if redo else queue.pop()
            if request.deadline <= now:
                self._expire(request)
                continue
            self._ticket = ticket = self._ticket + 1
            try:
                send(engine.identity, _MORE)
            except zmq.ZMQError:
                # It has not connected any more or does not read: not an engine to count on.
                redo.appendleft(request)
                self._owner.engine_gone(engine, "cannot be reached")
                if engine.state is _READY:
                    engine.on(EngineEvent.KILL)
                continue
            tag = wire.EVALUATE_ALONE if request.deaths or request.near else wire.EVALUATE
            send(
                wire.WORK.pack(tag, ticket, int(request.deadline * 1e6)) + request.body,
                _NOBLOCK,
            )
            if not load and not engine.pinged and not engine.loads:
                engine.owes_since = now
            engine.inflight[ticket] = request

    def _expire(self, request: Request) -> None:
        self._count.expired += 1
        self.fail(request, m.ErrorCode.EXPIRED, "the deadline passed before an engine was free")

    def lost_engine(self, engine: Engine, now: float, *, blame: bool) -> None:
        """The engine's process is gone: what it held is given out once more, or given up.

        `blame`: it crashed or hung over its work. Without (somebody killed it from outside) no request is suspected
        for the first few times."""
        self._engines.pop(engine.identity, None)
        first = True
        again: list[Request] = []
        for request in engine.inflight.values():
            at_work, first = first, False
            if request is None:
                continue
            if at_work and blame:
                # It was evaluated alone if it had been near a death before, so now it is certain: that was its work too.
                request.deaths += 1 + bool(request.near)
            else:
                request.present += 1
                request.near += blame
            if request.deaths > 1 or request.present > _MOST_ABSENCES:
                self._count.crashed += 1
                if request.deaths > 1:
                    self.quarantine.add(request.body, now)
                self.fail(request, m.ErrorCode.ENGINE_CRASHED, _CRASHED)
            elif request.deadline <= now:
                self._expire(request)
            else:
                self._count.retried += 1
                again.append(request)
        engine.inflight.clear()
        self._redo.extendleft(reversed(again))

    def tick(self, now: float, rescue_after: float) -> None:
        """Drop what expired while it waited; free requests stuck behind a long evaluation."""
        if self._queue:
            for request in self._queue.remove_if(lambda r: r.deadline <= now):
                self._expire(request)
        if self._redo:
            kept = [r for r in self._redo if r.deadline > now]
            if len(kept) < len(self._redo):
                for request in self._redo:
                    if request.deadline <= now:
                        self._expire(request)
                self._redo = deque(kept)
        for engine in self._engines.values():
            if (
                len(engine.inflight) > 1
                and now - max(engine.heard, engine.owes_since) > rescue_after
            ):
                self._rescue(engine)

    def _rescue(self, stuck: Engine) -> None:
        """Only for an engine that has nothing to do: two slow ones must not pass each other their queues."""
        if not any(e.state is _READY and not e.inflight for e in self._engines.values()):
            return
        for ticket in list(stuck.inflight)[1:]:
            request = stuck.inflight[ticket]
            if request is not None:
                self._count.rescued += 1
                self._redo.append(request)
                stuck.inflight[ticket] = None


_CRASHED = "the evaluation of this event ended two engine processes; it is refused for now (see the daemon's log)"


def _receive(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """One whole message, or None. Frames past the fifth are read and forgotten: nobody may fill the memory."""
    try:
        frames = [socket.recv(_NOBLOCK)]
    except zmq.Again:
        return None
    while socket.get(_RCVMORE):
        frame = socket.recv(_NOBLOCK)
        if len(frames) < 5:
            frames.append(frame)
    return frames
