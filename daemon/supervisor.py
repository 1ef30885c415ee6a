"""The supervisor: one loop that keeps engines alive, gives them work, watches policies and answers for all of it.

It never parses policy text, event bodies or WASM, and imports neither engine nor worker. Signal handlers only enqueue; the
loop does the work. No thread is on a request's path.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import zmq

from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.daemon import endpoint, handlers, wire
from cupcake.daemon.admission import Quarantine
from cupcake.daemon.broker import Broker, Engine, Request
from cupcake.daemon.builds import Builds
from cupcake.daemon.config import Config
from cupcake.daemon.heartbeat import Heartbeat
from cupcake.daemon.lifecycle import EngineEvent, EngineState, Restarts
from cupcake.daemon.logs import Log, Throttle
from cupcake.daemon.metrics import Counters
from cupcake.daemon.notify import Notifier
from cupcake.daemon.process import Child
from cupcake.daemon.reload import Projects
from cupcake.daemon.snapshot import folder_of
from cupcake.daemon.watch import Watcher

_HIGH_WATER = 1000
_GLOBAL = ""
"""The watcher's name of the global layer's folder; projects are named by their root."""


@dataclass(slots=True)
class Seat:
    """A place for one engine that is to be filled always."""

    number: int
    current: Handle | None = None
    restarts: int = -1
    next_start: float = 0.0


@dataclass(slots=True, eq=False)
class Handle:
    """An engine's process and the broker's view of it. `replaces`: whom it takes over from once it is ready."""

    child: Child
    engine: Engine
    seat: Seat
    replaces: Handle | None = None
    deadline: float = 0.0
    """When it is killed unless it has said hello, or has drained; 0 = none."""
    killed: str = ""


class Supervisor:
    def __init__(self, config: Config, log: Log, notifier: Notifier, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._log = log
        self._notifier = notifier
        self._clock = clock
        self._begin = clock()
        self._version = handlers.version()
        self._counters = Counters()
        self._seats = [Seat(n) for n in range(config.engines)]
        self._handles: dict[int, Handle] = {}
        self._restarts = Restarts(config.timing.backoff_first, config.timing.backoff_most, random.random)
        self._heartbeat = Heartbeat(config.timing.heartbeat, config.timing.hung_after)
        self._bad_requests = Throttle(1.0)
        self._stopping = 0.0
        """When draining has to be over; 0 = not stopping."""
        self._stop_now = False
        self._ready = False
        self._reloads_open = 0
        self._posted: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._next_beat = 0.0
        self._next_chore = 0.0

    # -- life ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop. Call in the main thread, with the lock of the socket held."""
        config = self._config
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._log("started", pid=os.getpid(), socket=str(config.socket), engines=config.engines, version=self._version)
            try:
                for seat in self._seats:
                    self._start_engine(seat, self._clock())
                self._builds.warm(self._clock())
                self._watcher.start()
                if config.global_dir is not None:
                    self.watch(())
                self._loop()
            finally:
                self._end()
                self._log("stopped", counters=self._counters.as_dict())

    def _open(self, stack: contextlib.ExitStack) -> None:
        config = self._config
        timing = config.timing
        previous = os.umask(0o077 if config.group is None else 0o007)
        stack.callback(os.umask, previous)
        context = stack.enter_context(_Context())
        front, back = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
        for s in (front, back):
            stack.callback(s.close, 500)
            s.setsockopt(zmq.ROUTER_MANDATORY, 1)
            s.setsockopt(zmq.LINGER, 500)
        front.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        front.setsockopt(zmq.RCVHWM, _HIGH_WATER)
        # Some way past the limit, so that what is little too long still gets an answer that says so.
        front.setsockopt(zmq.MAXMSGSIZE, m.MAX_MESSAGE_BYTES + (1 << 20))
        front.setsockopt(zmq.HANDSHAKE_IVL, 5000)
        front.setsockopt(zmq.BACKLOG, 1024)
        back.setsockopt(zmq.SNDHWM, _HIGH_WATER)
        back.setsockopt(zmq.RCVHWM, 0)
        for path, socket in ((config.engine_endpoint, back), (config.socket, front)):
            endpoint.remove_stale(path)
            socket.bind(f"ipc://{path}")
        self._inode = endpoint.inode(config.socket)
        self._front, self._back = front, back

        self._selector = stack.enter_context(selectors.DefaultSelector())
        wake_read, self._wake_write = os.pipe()
        for fd in (wake_read, self._wake_write):
            os.set_blocking(fd, False)
            stack.callback(os.close, fd)
        self._selector.register(wake_read, selectors.EVENT_READ, self._woken)
        stack.enter_context(_PosixSignals(self._wake_write))
        self._poller = zmq.Poller()
        self._poller.register(front, zmq.POLLIN)
        self._poller.register(back, zmq.POLLIN)
        self._poller.register(self._selector.fileno(), zmq.POLLIN)  # type: ignore[attr-defined]

        self._broker = Broker(
            front,
            back,
            self,
            self._counters,
            self._clock,
            queue_bound=config.queue_bound,
            window=config.window,
            default_deadline=config.default_deadline_ms / 1000.0,
            most_deadline=config.most_deadline_ms / 1000.0,
            quarantine=Quarantine(timing.quarantine),
        )
        self._projects = Projects(
            self, self._counters, most=config.most_projects, most_builds=2, idle=timing.project_idle
        )
        self._builds = Builds(config, self._attach, self._detach, self._built)
        self._watcher = Watcher(
            self._post,
            step=timing.watch_step,
            settle=timing.watch_settle,
            poll=timing.watch_poll,
            trouble=lambda why: self._log("watching_by_poll", level="warning", why=why),
        )
        stack.callback(self._watcher.stop)

    def _loop(self) -> None:
        front, back, broker = self._front, self._back, self._broker
        poll, clock = self._poller.poll, self._clock
        while not self._stop_now:
            now = clock()
            timeout = max(0.0, self._next_beat - now)
            if broker.unanswered:
                timeout = min(timeout, 0.05)
            events = poll(int(timeout * 1000) + 1)
            now = clock()
            for source, _ in events:
                if source is front:
                    broker.pump_front(now)
                elif source is back:
                    broker.pump_back(now)
                else:
                    self._descriptors()
            broker.dispatch(now)
            if now >= self._next_chore:
                self._chores(now)

    def _end(self) -> None:
        """Nothing of ours is left running afterwards."""
        broker = self._broker
        message = "the daemon is stopping"
        self._projects.fail_parked(m.ErrorCode.SHUTTING_DOWN, message)
        broker.refuse(m.ErrorCode.SHUTTING_DOWN, message, also_waiting=True)
        for engine in list(broker.engines):
            for request in list(engine.inflight.values()):
                broker.fail(request, m.ErrorCode.SHUTTING_DOWN, message)
            engine.inflight.clear()
            self.tell(engine, bytes((wire.STOP,)))
        self._builds.stop()
        limit = self._clock() + (0.0 if self._stop_now and not self._stopping else 1.0)
        for handle in self._handles.values():
            if not handle.child.wait(max(0.0, limit - self._clock())):
                handle.child.kill()
        for handle in self._handles.values():
            handle.child.wait(5.0)
            handle.child.finish()
        self._notifier.close()

    # -- wake-ups ----------------------------------------------------------------------------------------

    def _descriptors(self) -> None:
        for key, _ in self._selector.select(0):
            key.data(key.fd)

    def _attach(self, child: Child, done: Callable[[], None] | None = None) -> None:
        """Read the child's pipes from the loop; `done` is called after each read."""

        def readable(fd: int) -> None:
            if not child.read(fd):
                self._selector.unregister(fd)
            if done is not None:
                done()

        for fd in child.streams:
            self._selector.register(fd, selectors.EVENT_READ, readable)

    def _detach(self, child: Child) -> None:
        for fd in child.streams:
            with contextlib.suppress(KeyError):
                self._selector.unregister(fd)

    def _post(self, name: str, content: str | None) -> None:
        """From the watcher's thread."""
        self._posted.put((name, content))
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _woken(self, fd: int) -> None:
        try:
            received = set(os.read(fd, 4096))
        except BlockingIOError:
            return
        if signal.SIGCHLD in received:
            self._reap()
        if received & {signal.SIGTERM, signal.SIGINT}:
            self._terminate()
        if signal.SIGHUP in received:
            self._reload_all()
        if signal.SIGUSR1 in received:
            self._replace_all()
        with contextlib.suppress(queue.Empty):
            while True:
                name, content = self._posted.get_nowait()
                if name == _GLOBAL:
                    self._global_changed(content)
                else:
                    self._projects.observed(name, content)

    def _terminate(self) -> None:
        if self._stopping:
            self._log("stopping_now", unanswered=self._broker.unanswered)
            self._stop_now = True
            return
        self._log("draining", unanswered=self._broker.unanswered)
        self._notifier.stopping()
        self._stopping = self._clock() + self._config.timing.drain
        self._broker.refuse(m.ErrorCode.SHUTTING_DOWN, "the daemon is stopping", also_waiting=False)
        self._next_chore = 0.0

    # -- chores --------------------------------------------------------------------------------------------

    def _chores(self, now: float) -> None:
        """What happens by time; a few times a second, more often under load."""
        config, broker = self._config, self._broker
        self._next_chore = now + 0.05
        broker.tick(now, config.timing.rescue_after)
        if self._stopping and (not broker.unanswered or now >= self._stopping):
            self._stop_now = True
            return
        self._projects.expire(now)
        self._builds.tick(now)
        for handle in list(self._handles.values()):
            if handle.deadline and now >= handle.deadline:
                handle.deadline = 0.0
                self._kill(handle, "did not come up in time" if handle.engine.state is EngineState.STARTING else "did not drain in time")
            elif handle.engine.state is EngineState.DRAINING and not handle.engine.inflight:
                handle.engine.on(EngineEvent.DRAINED)
                self.tell(handle.engine, bytes((wire.STOP,)))
        for seat in self._seats:
            if seat.current is None and not self._restarts.stopped and now >= seat.next_start and not self._stopping:
                self._start_engine(seat, now)
        if now >= self._next_beat:
            self._next_beat = now + config.timing.heartbeat
            self._beat(now)

    def _beat(self, now: float) -> None:
        ask, hung = self._heartbeat.beat(self._broker.engines, now)
        for engine in hung:
            self._counters.engine_hangs += 1
            self._kill(self._handle(engine), "hangs")
        for engine in ask:
            if self.tell(engine, bytes((wire.HEARTBEAT,))):
                engine.pinged = True
        self._projects.tick(now)
        self._notifier.watchdog(now, self._heartbeat.alive(self._broker.engines, now))
        self._reap()
        if endpoint.inode(self._config.socket) != self._inode and not self._stopping:
            self._log("socket_gone", level="error", socket=str(self._config.socket))
            self._terminate()
        idle = self._config.idle_exit
        if idle and not self._stopping and not self._broker.unanswered and now - self._broker.last_request > idle:
            self._log("idle", seconds=idle)
            self._terminate()
        up = sum(1 for e in self._broker.engines if e.state is EngineState.READY)
        self._notifier.status(f"{up} of {len(self._seats)} engines ready, {len(self._projects.roots)} projects")

    # -- engines -------------------------------------------------------------------------------------------

    def _start_engine(self, seat: Seat, now: float, replaces: Handle | None = None) -> None:
        identity = b"E" + os.urandom(12)
        try:
            child = Child("cupcake.daemon.worker", now)
        except OSError as error:
            self._start_failed(seat, now, f"cannot start a process: {error.strerror}")
            return
        config = self._config
        child.tell(
            {
                "parent": os.getpid(),
                "endpoint": str(config.engine_endpoint),
                "identity": identity.hex(),
                "engine_module": config.engine_module,
                "cache_dir": str(config.cache_dir),
                "most_projects": config.engine_projects,
                "orphaned_after": config.timing.orphaned_after,
            },
            last=True,
        )
        engine = Engine(identity, child.pid, now)
        handle = Handle(child, engine, seat, replaces, deadline=now + config.timing.start)
        self._handles[child.pid] = handle
        self._broker.add_engine(engine)
        self._attach(child)
        if replaces is None:
            seat.current = handle
            seat.restarts += 1

    def _start_failed(self, seat: Seat, now: float, reason: str) -> None:
        restarts = self._restarts
        restarts.failed_start(now, reason)
        seat.next_start = restarts.not_before
        self._log("engine_start_failed", level="error", seat=seat.number, reason=reason)
        if restarts.stopped:
            self._log("engines_given_up", level="error", reason=restarts.stopped)
            if not any(e.state in (EngineState.READY, EngineState.LOADING) for e in self._broker.engines):
                why = f"no engine process can start: {restarts.stopped}; repair it, then run `cupcake daemon reload`"
                self._broker.refuse(m.ErrorCode.NO_ENGINE, why, also_waiting=True)
                self._projects.fail_parked(m.ErrorCode.NO_ENGINE, why)

    def _handle(self, engine: Engine) -> Handle:
        return self._handles[engine.pid]

    def _kill(self, handle: Handle, why: str) -> None:
        if handle.killed:
            return
        handle.killed = why
        self._log("engine_killed", level="error", pid=handle.child.pid, why=why, state=str(handle.engine.state))
        handle.engine.on(EngineEvent.KILL)
        handle.child.kill()

    def _reap(self) -> None:
        now = self._clock()
        for handle in [h for h in self._handles.values() if h.child.poll()]:
            self._reaped(handle, now)
        self._builds.reap(now)

    def _reaped(self, handle: Handle, now: float) -> None:
        # First what it said before it died.
        self._broker.pump_back(now)
        child, engine, seat = handle.child, handle.engine, handle.seat
        del self._handles[child.pid]
        self._detach(child)
        child.finish()
        before = engine.state
        engine.on(EngineEvent.EXIT)
        held = len(engine.inflight)
        self._broker.lost_engine(engine, now)
        self._projects.engine_lost(engine)
        wanted = before is EngineState.STOPPING and not handle.killed
        if seat.current is handle:
            seat.current = None
        if wanted:
            return
        self._counters.engine_deaths += 1
        self._log(
            "engine_ended", level="error", pid=child.pid, seat=seat.number, how=child.why, held=held, killed=handle.killed
        )
        if self._stopping:
            return
        if before is EngineState.STARTING or handle.killed == "did not come up in time":
            self._start_failed(seat, now, handle.killed or child.why)
        else:
            self._restarts.died(now, now - child.started)
            if seat.current is None:
                seat.next_start = self._restarts.not_before
                if now >= seat.next_start and not self._restarts.stopped:
                    self._start_engine(seat, now)

    def _replace_all(self) -> None:
        for seat in self._seats:
            if seat.current is not None:
                self._replace(seat.current, "asked to")

    def _replace(self, old: Handle, why: str) -> None:
        """Start the new one; the old one drains when the new one is ready."""
        if old.seat.current is not old or any(h.replaces is old for h in self._handles.values()):
            return
        self._log("engine_replaced", pid=old.child.pid, why=why)
        self._start_engine(old.seat, self._clock(), replaces=old)

    def _took_over(self, handle: Handle, now: float) -> None:
        old = handle.replaces
        handle.replaces = None
        if old is None:
            return
        handle.seat.current = handle
        handle.seat.restarts += 1
        if old.engine.state in (EngineState.READY, EngineState.LOADING):
            old.engine.on(EngineEvent.DRAIN)
            old.deadline = now + self._config.timing.drain

    # -- what the broker asks (Owner) ------------------------------------------------------------------------

    def needed(self, engine: Engine, request: Request, root: str) -> None:
        self._projects.needed(engine, request, root, self._clock())

    def engine_says(self, engine: Engine, frame: bytes) -> None:
        now = self._clock()
        handle = self._handle(engine)
        try:
            given = wire.unpack_json(frame)
        except ValueError:
            self.engine_gone(engine, "sent a message that is not JSON")
            return
        tag = frame[0]
        if tag == wire.HELLO and engine.state is EngineState.STARTING:
            engine.on(EngineEvent.HELLO)
            handle.deadline = 0.0
            self._restarts.came_up()
            self._projects.engine_ready(engine, self._config.engine_projects)
            self._took_over(handle, now)
            self._log("engine_ready", level="debug", pid=engine.pid, seconds=round(now - handle.child.started, 3))
            if not self._ready:
                self._ready = True
                self._notifier.ready("serving")
                self._log("ready", seconds=round(now - self._begin, 3))
        elif tag == wire.TAKEN:
            engine.loads = max(0, engine.loads - 1)
            engine.patience = max(engine.patience, min(float(given.get("patience") or 0.0), 120.0))
            if not engine.loads and engine.state is EngineState.LOADING:
                engine.on(EngineEvent.LOADED)
            self._projects.taken(engine, given)
        elif tag == wire.ALIVE:
            engine.pinged = False
            engine.rss = int(given.get("rss") or 0)
            self._projects.used([str(r) for r in given.get("used", ())], now)
            if engine.rss > self._config.engine_rss_limit:
                self._replace(handle, f"uses {engine.rss >> 20} MiB")

    def engine_gone(self, engine: Engine, why: str) -> None:
        handle = self._handles.get(engine.pid)
        if handle is not None:
            self._kill(handle, why)

    def bad_request(self, why: str) -> None:
        held = self._bad_requests.pass_(self._clock())
        if held is not None:
            self._log("bad_request", level="warning", why=why, not_logged_before=held)

    def control(self, identity: bytes, kind: int, request_id: bytes, deadline: float, body: bytes) -> None:
        broker = self._broker
        if kind == m.Kind.PING:
            broker.reply(identity, kind, request_id, handlers.ping(self._version))
        elif kind == m.Kind.STATUS:
            broker.reply(identity, kind, request_id, self._status())
        elif kind == m.Kind.RELOAD:
            try:
                root, accept = handlers.reload_options(body)
            except ProtocolError as error:
                self._counters.bad_requests += 1
                broker.reply_error(identity, kind, request_id, m.ErrorCode.BAD_REQUEST, str(error))
                return
            self._reload(root, accept, lambda: broker.reply(identity, kind, request_id, self._reloaded(root)))
        elif kind in (m.Kind.EXPLAIN, m.Kind.SUBSCRIBE):
            what = m.Kind(kind).name
            broker.reply_error(identity, kind, request_id, m.ErrorCode.UNSUPPORTED, f"{what} is not served by this version")
        else:
            self._counters.bad_requests += 1
            broker.reply_error(identity, kind, request_id, m.ErrorCode.BAD_REQUEST, f"unknown kind of request: {kind}")

    def _status(self) -> bytes:
        engines = [(s.current.engine, s.restarts) for s in self._seats if s.current is not None]
        return handlers.status(
            daemon_version=self._version,
            uptime=self._clock() - self._begin,
            socket=str(self._config.socket),
            projects=self._projects.status(),
            engines=engines,
            counters=self._counters.as_dict(),
            waiting=self._broker.waiting,
            problem=self._restarts.stopped,
        )

    # -- what the projects ask (Host) ------------------------------------------------------------------------

    def start_build(self, job: dict[str, Any]) -> None:
        self._builds.start(job, self._clock())

    def _built(self, root: str, result: dict[str, Any]) -> None:
        self._projects.built(root, result, self._clock())

    def watch(self, roots: Iterable[str]) -> None:
        folders = {root: folder_of(root) for root in roots}
        if self._config.global_dir is not None:
            folders[_GLOBAL] = str(self._config.global_dir)
        self._watcher.watch(folders)

    def tell(self, engine: Engine, frame: bytes) -> bool:
        return self._broker.tell(engine, frame, self._clock())

    def requeue(self, request: Request) -> None:
        self._broker.requeue(request)

    def fail(self, request: Request, code: m.ErrorCode, message: str) -> None:
        self._broker.fail(request, code, message)

    def engines(self) -> Iterable[Engine]:
        return list(self._broker.engines)

    def replace(self, engine: Engine, why: str) -> None:
        self._replace(self._handle(engine), why)

    def generation_changed(self) -> None:
        self._broker.quarantine.clear()

    def log(self, event: str, **values: object) -> None:
        level = str(values.pop("level", "info"))
        self._log(event, level=level, **values)

    # -- reload ------------------------------------------------------------------------------------------------

    def _reload_all(self) -> None:
        self._reload(None, False, lambda: None)

    def _reload(self, root: str | None, accept_removal: bool, done: Callable[[], None]) -> None:
        self._log("reload", root=root or "all", accept_removal=accept_removal)
        if self._restarts.stopped:
            self._restarts.reset()
            self._broker.accept()
            for seat in self._seats:
                seat.next_start = 0.0
        if not self._reloads_open:
            self._notifier.reloading()
        self._reloads_open += 1

        def over() -> None:
            self._reloads_open -= 1
            if not self._reloads_open:
                self._notifier.ready("serving")
            done()

        self._projects.reload(root, accept_removal, over)

    def _reloaded(self, root: str | None) -> bytes:
        from cupcake.client import codec

        return codec.encode_body({"projects": [p for p in self._projects.status() if root in (None, p["root"])]})

    def _global_changed(self, content: str | None) -> None:
        if self._global_digest not in ("", content):
            self._reload_all()
        self._global_digest = content

    _global_digest: str | None = ""


class _Context:
    """A ZeroMQ context that ends without waiting for peers for longer than their linger."""

    def __enter__(self) -> zmq.Context[zmq.Socket[bytes]]:
        self._context = zmq.Context()
        return self._context

    def __exit__(self, *_: object) -> None:
        self._context.term()


class _PosixSignals:
    """While entered, signals are bytes in the pipe and nothing else; then everything is as before."""

    HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)

    def __init__(self, write_end: int) -> None:
        self._write_end = write_end

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, _only_wake) for s in self.HANDLED}
        self._fd_before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._fd_before)
        for which, handler in self._before.items():
            signal.signal(which, handler)


def _only_wake(_number: int, _frame: object) -> None:
    """The byte is in the pipe already."""
