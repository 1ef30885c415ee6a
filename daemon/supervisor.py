"""The supervisor: one loop that keeps engines alive, gives them work, watches policies and answers for all of it.

It never parses policy text, event bodies or WASM, and imports neither engine nor worker. Signal handlers only enqueue; the
loop does the work. No thread is on a request's path.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import zmq

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.daemon import endpoint, handlers, wire
from cupcake.daemon.admission import Quarantine
from cupcake.daemon.broker import Broker, Engine, Request
from cupcake.daemon.builds import Builds
from cupcake.daemon.config import Config
from cupcake.daemon.errors import DaemonError
from cupcake.daemon.fleet import Fleet
from cupcake.daemon.lifecycle import EngineEvent, EngineState
from cupcake.daemon.logs import Log, Throttle
from cupcake.daemon.metrics import Counters
from cupcake.daemon.notify import Notifier
from cupcake.daemon.process import Child
from cupcake.daemon.reload import Projects
from cupcake.daemon.snapshot import folder_of
from cupcake.daemon.watch import Watcher

_HIGH_WATER = 1000
_MOST_FAULTS = 10
_FAULT_PERIOD = 30.0
_GLOBAL = ""
"""The watcher's name of the global layer's folder; projects are named by their root."""


class Supervisor:
    def __init__(
        self,
        config: Config,
        log: Log,
        notifier: Notifier,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._log = log
        self._notifier = notifier
        self._clock = clock
        self._begin = clock()
        self._version = handlers.version()
        self._counters = Counters()
        self._bad_requests = Throttle(1.0)
        self._stopping = 0.0
        """When draining has to be over; 0 = not stopping."""
        self._stop_now = False
        self._ready = False
        self._reloads_open = 0
        self._posted: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._global_digest: str | None = ""
        self._inode = 0
        self._next_beat = 0.0
        self._next_chore = 0.0

    # -- life ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop. Call in the main thread, with the lock of the socket held."""
        config = self._config
        with contextlib.ExitStack() as stack:
            self._open(stack)
            self._log(
                "started",
                pid=os.getpid(),
                socket=str(config.socket),
                engines=config.engines,
                version=self._version,
            )
            try:
                self._fleet.start(self._clock())
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
        # The watcher's thread hashes files: it must hand over soon when a request comes.
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(0.0005)
        previous = os.umask(0o077 if config.group is None else 0o007)
        stack.callback(os.umask, previous)
        stack.callback(self._remove_sockets)
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
            try:
                socket.bind(f"ipc://{path}")
            except zmq.ZMQError as error:
                raise DaemonError(
                    f"cannot listen on {path}: {error}; give another place with --socket"
                ) from error
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
        self._poller.register(self._selector.fileno(), zmq.POLLIN)

        self._broker = Broker(
            front,
            back,
            self,
            self._counters,
            self._clock,
            queue_bound=config.queue_bound,
            window=config.window,
            window_most=config.window_most,
            default_deadline=config.default_deadline_ms / 1000.0,
            most_deadline=config.most_deadline_ms / 1000.0,
            quarantine=Quarantine(timing.quarantine),
        )
        self._projects = Projects(
            self, self._counters, most=config.most_projects, most_builds=2, idle=timing.project_idle
        )
        self._fleet = Fleet(
            config, self, self._broker, self._projects, counters=self._counters, log=self._log
        )
        self._builds = Builds(config, self.attach, self.detach, self._built)
        self._watcher = Watcher(
            self._post,
            sight=self._sight,
            step=timing.watch_step,
            settle=timing.watch_settle,
            poll=timing.watch_poll,
            trouble=lambda why: self._log("watching_by_poll", level="warning", why=why),
        )
        stack.callback(self._watcher.stop)

    def _remove_sockets(self) -> None:
        """After closing; only what is still ours."""
        if self._inode and endpoint.inode(self._config.socket) == self._inode:
            for path in (self._config.socket, self._config.engine_endpoint):
                with contextlib.suppress(OSError):
                    path.unlink()

    def _loop(self) -> None:
        """A fault of ours in one turn must not end everybody's service, but neither may it go on for ever."""
        faults: deque[float] = deque(maxlen=_MOST_FAULTS)
        while not self._stop_now:
            try:
                self._turns()
            except Exception as error:
                now = self._clock()
                self._log("fault", level="error", error=repr(error), trace=traceback.format_exc())
                faults.append(now)
                if len(faults) == _MOST_FAULTS and now - faults[0] < _FAULT_PERIOD:
                    raise DaemonError(
                        f"too many internal faults, the last: {error!r}; see the log"
                    ) from error

    def _turns(self) -> None:
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
        for engine in broker.engines:
            for request in filter(None, engine.inflight.values()):
                broker.fail(request, m.ErrorCode.SHUTTING_DOWN, message)
            engine.inflight.clear()
        self._builds.stop()
        self._fleet.stop(0.0 if self._stop_now and not self._stopping else 1.0)
        self._notifier.close()

    # -- wake-ups ----------------------------------------------------------------------------------------

    def _descriptors(self) -> None:
        registered = self._selector.get_map()
        for key, _ in self._selector.select(0):
            # One call may close what a later one of the same batch is about (and its number may be taken again).
            if registered.get(key.fd) is key:
                key.data(key.fd)

    def attach(self, child: Child, done: Callable[[], None] | None = None) -> None:
        """Read the child's pipes from the loop; `done` is called after each read."""

        def readable(fd: int) -> None:
            if not child.read(fd):
                with contextlib.suppress(KeyError):
                    self._selector.unregister(fd)
            if done is not None:
                done()

        for fd in child.streams:
            self._selector.register(fd, selectors.EVENT_READ, readable)

    def detach(self, child: Child) -> None:
        for fd in child.streams:
            with contextlib.suppress(KeyError):
                self._selector.unregister(fd)

    def _post(self, name: str, content: str | None) -> None:
        """From the watcher's thread."""
        self._posted.put((name, content))
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"\0")

    def _sight(self, name: str, content: str) -> None:
        """From the watcher's thread. A builder reads a project's files again before they take effect."""
        if name != _GLOBAL:
            self._post(name, content)

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
            self._fleet.replace_all()
        with contextlib.suppress(queue.Empty):
            while True:
                name, content = self._posted.get_nowait()
                if name == _GLOBAL:
                    self._global_changed(content)
                else:
                    self._projects.observed(name, content)

    def _reap(self) -> None:
        now = self._clock()
        self._fleet.reap(now, starting=not self._stopping)
        self._builds.reap(now)

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
        self._fleet.chores(now, starting=not self._stopping)
        if now >= self._next_beat:
            self._next_beat = now + config.timing.heartbeat
            self._beat(now)

    def _beat(self, now: float) -> None:
        self._fleet.beat(now)
        self._projects.tick(now)
        self._notifier.watchdog(now, self._fleet.alive(now))
        self._reap()
        if endpoint.inode(self._config.socket) != self._inode and not self._stopping:
            self._log("socket_gone", level="error", socket=str(self._config.socket))
            self._terminate()
        idle = self._config.idle_exit
        if (
            idle
            and not self._stopping
            and not self._broker.unanswered
            and now - self._broker.last_request > idle
        ):
            self._log("idle", seconds=idle)
            self._terminate()
        up = sum(1 for e in self._broker.engines if e.state is EngineState.READY)
        self._notifier.status(
            f"{up} of {self._config.engines} engines ready, {len(self._projects.roots)} projects"
        )

    # -- what the broker asks (Owner) ------------------------------------------------------------------------

    def needed(self, engine: Engine, request: Request, root: str) -> None:
        self._projects.needed(engine, request, root, self._clock())

    def engine_says(self, engine: Engine, frame: bytes) -> None:
        now = self._clock()
        try:
            given = wire.unpack_json(frame)
        except ValueError:
            self.engine_gone(engine, "sent a message that is not JSON")
            return
        tag = frame[0]
        if tag == wire.HELLO and engine.state is EngineState.STARTING:
            self._fleet.came_up(engine, now)
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
            self._projects.used([str(r) for r in given.get("used", ())], now)
            self._fleet.weighed(engine, int(given.get("rss") or 0))

    def engine_gone(self, engine: Engine, why: str) -> None:
        self._fleet.kill(engine, why)

    def given_up(self, why: str) -> None:
        """No engine is left and none can be started."""
        self._broker.refuse(m.ErrorCode.NO_ENGINE, why, also_waiting=True)
        self._projects.fail_parked(m.ErrorCode.NO_ENGINE, why)

    def bad_request(self, why: str) -> None:
        held = self._bad_requests.pass_(self._clock())
        if held is not None:
            self._log("bad_request", level="warning", why=why, not_logged_before=held)

    def control(
        self, identity: bytes, kind: int, request_id: bytes, deadline: float, body: bytes
    ) -> None:
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
            self._reload(
                root, accept, lambda: broker.reply(identity, kind, request_id, self._reloaded(root))
            )
        elif kind in (m.Kind.EXPLAIN, m.Kind.SUBSCRIBE):
            what = m.Kind(kind).name
            broker.reply_error(
                identity,
                kind,
                request_id,
                m.ErrorCode.UNSUPPORTED,
                f"{what} is not served by this version",
            )
        else:
            self._counters.bad_requests += 1
            broker.reply_error(
                identity,
                kind,
                request_id,
                m.ErrorCode.BAD_REQUEST,
                f"unknown kind of request: {kind}",
            )

    def _status(self) -> bytes:
        return handlers.status(
            daemon_version=self._version,
            uptime=self._clock() - self._begin,
            socket=str(self._config.socket),
            projects=self._projects.status(),
            engines=self._fleet.status(),
            counters=self._counters.as_dict(),
            waiting=self._broker.waiting,
            problem=self._fleet.problem,
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

    def kill(self, engine: Engine, why: str) -> None:
        self._fleet.kill(engine, why)

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
        self._fleet.try_again()
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
        return codec.encode_body(
            {"projects": [p for p in self._projects.status() if root in (None, p["root"])]}
        )

    def _global_changed(self, content: str | None) -> None:
        if self._global_digest not in ("", content):
            self._reload_all()
        self._global_digest = content


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
