"""The engine processes: every seat filled, the dead replaced, the hung killed, the old drained.

It starts and ends processes; what requests and generations they get is the broker's and the projects' affair.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cupcake.daemon import wire
from cupcake.daemon.broker import Broker, Engine
from cupcake.daemon.config import Config
from cupcake.daemon.heartbeat import Heartbeat
from cupcake.daemon.lifecycle import EngineEvent, EngineState, Restarts
from cupcake.daemon.logs import Log
from cupcake.daemon.metrics import Counters
from cupcake.daemon.process import Child
from cupcake.daemon.reload import Projects

_UP = frozenset({EngineState.READY, EngineState.LOADING})
_TOO_LATE = "did not come up in time"


@dataclass(slots=True, eq=False)
class Seat:
    """A place for one engine that is to be filled always."""

    number: int
    current: Handle | None = None
    restarts: int = -1
    next_start: float = 0.0


@dataclass(slots=True, eq=False)
class Handle:
    """An engine's process and the broker's view of it."""

    child: Child
    engine: Engine
    seat: Seat
    replaces: Handle | None = None
    """Whom it takes over from once it is ready."""
    deadline: float = 0.0
    """When it is killed unless it has said hello, or has drained; 0 = none."""
    killed: str = ""


class Host(Protocol):
    """What the supervisor does for the fleet."""

    def attach(self, child: Child) -> None: ...
    def detach(self, child: Child) -> None: ...
    def given_up(self, why: str) -> None: ...


class Fleet:
    def __init__(
        self,
        config: Config,
        host: Host,
        broker: Broker,
        projects: Projects,
        *,
        counters: Counters,
        log: Log,
    ) -> None:
        timing = config.timing
        self._config = config
        self._host = host
        self._broker = broker
        self._projects = projects
        self._count = counters
        self._log = log
        self._seats = [Seat(n) for n in range(config.engines)]
        self._handles: dict[int, Handle] = {}
        self._restarts = Restarts(timing.backoff_first, timing.backoff_most, random.random)
        self._heartbeat = Heartbeat(timing.heartbeat, timing.hung_after)

    @property
    def problem(self) -> str:
        """Why no more engines are started; empty while they are."""
        return self._restarts.stopped

    def status(self) -> list[tuple[Engine, int]]:
        return [
            (s.current.engine, max(0, s.restarts)) for s in self._seats if s.current is not None
        ]

    def alive(self, now: float) -> bool:
        return self._heartbeat.alive(self._broker.engines, now)

    # -- starting ------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        for seat in self._seats:
            self._start(seat, now)

    def try_again(self) -> None:
        """Somebody says that what kept engines from starting is repaired."""
        if self._restarts.stopped:
            self._restarts.reset()
            self._broker.accept()
            for seat in self._seats:
                seat.next_start = 0.0

    def _start(self, seat: Seat, now: float, replaces: Handle | None = None) -> None:
        config = self._config
        try:
            child = Child("cupcake.daemon.worker", now)
        except OSError as error:
            self._start_failed(seat, now, f"cannot start a process: {error.strerror}")
            return
        identity = b"E" + os.urandom(12)
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
        self._host.attach(child)
        if replaces is None:
            seat.current = handle
            seat.restarts += 1

    def came_up(self, engine: Engine, now: float) -> None:
        """It said hello: it takes the current generations, then requests, and its predecessor may go."""
        handle = self._handles[engine.pid]
        engine.on(EngineEvent.HELLO)
        handle.deadline = 0.0
        self._restarts.came_up()
        self._projects.engine_ready(engine, self._config.engine_projects)
        seconds = round(now - handle.child.started, 3)
        self._log("engine_ready", level="debug", pid=engine.pid, seconds=seconds)
        old, handle.replaces = handle.replaces, None
        if old is None:
            return
        handle.seat.current = handle
        handle.seat.restarts += 1
        if old.engine.state in _UP:
            old.engine.on(EngineEvent.DRAIN)
            old.deadline = now + self._config.timing.drain

    def _start_failed(self, seat: Seat, now: float, reason: str) -> None:
        restarts = self._restarts
        already = restarts.stopped
        restarts.failed_start(now, reason)
        seat.next_start = restarts.not_before
        self._log("engine_start_failed", level="error", seat=seat.number, reason=reason)
        if restarts.stopped:
            if not already:
                self._log("engines_given_up", level="error", reason=restarts.stopped)
            if not any(e.state in _UP for e in self._broker.engines):
                self._host.given_up(
                    f"no engine process can start: {restarts.stopped}; repair it, then run `cupcake daemon reload`"
                )

    # -- replacing and ending ---------------------------------------------------------------------------

    def replace_all(self) -> None:
        for seat in self._seats:
            if seat.current is not None:
                self.replace(seat.current.engine, "asked to")

    def replace(self, engine: Engine, why: str) -> None:
        """Start a new one; the old one drains when the new one is ready."""
        old = self._handles.get(engine.pid)
        if old is None or old.seat.current is not old or self._restarts.stopped:
            return
        if any(h.replaces is old for h in self._handles.values()):
            return
        self._log("engine_replaced", pid=old.child.pid, why=why)
        self._start(old.seat, old.engine.heard, replaces=old)

    def weighed(self, engine: Engine, rss: int) -> None:
        engine.rss = rss
        if rss > self._config.engine_rss_limit:
            self.replace(engine, f"uses {rss >> 20} MiB")

    def kill(self, engine: Engine, why: str) -> None:
        """At once; what it holds is given out again when it is reaped."""
        handle = self._handles.get(engine.pid)
        if handle is None or handle.killed:
            return
        handle.killed = why
        self._log("engine_killed", level="error", pid=engine.pid, why=why, state=str(engine.state))
        engine.on(EngineEvent.KILL)
        handle.child.kill()

    def reap(self, now: float, *, starting: bool) -> None:
        for handle in [h for h in self._handles.values() if h.child.poll()]:
            self._reaped(handle, now, starting)

    def _reaped(self, handle: Handle, now: float, starting: bool) -> None:
        # First what it said before it died.
        self._broker.pump_back(now)
        child, engine, seat = handle.child, handle.engine, handle.seat
        del self._handles[child.pid]
        self._host.detach(child)
        child.finish()
        before = engine.state
        engine.on(EngineEvent.EXIT)
        held = len(engine.inflight)
        # A SIGKILL that is not ours came from outside (a person, the kernel short of memory).
        blame = bool(handle.killed) or child.exit_status != -signal.SIGKILL
        self._broker.lost_engine(engine, now, blame=blame)
        self._projects.engine_lost(engine)
        if seat.current is handle:
            seat.current = None
        if before is EngineState.STOPPING and not handle.killed:
            return
        self._count.engine_deaths += 1
        self._log(
            "engine_ended",
            level="error",
            pid=child.pid,
            seat=seat.number,
            how=child.why,
            held=held,
            killed=handle.killed,
        )
        if not starting:
            return
        if before is EngineState.STARTING or handle.killed == _TOO_LATE:
            self._start_failed(seat, now, handle.killed or child.why)
        else:
            self._restarts.died(now, now - child.started, engine.served)
            seat.next_start = self._restarts.not_before
            self._fill(seat, now)

    def _fill(self, seat: Seat, now: float) -> None:
        if seat.current is None and not self._restarts.stopped and now >= seat.next_start:
            self._start(seat, now)

    def chores(self, now: float, *, starting: bool) -> None:
        for handle in list(self._handles.values()):
            engine = handle.engine
            if handle.deadline and now >= handle.deadline:
                handle.deadline = 0.0
                self.kill(
                    engine,
                    _TOO_LATE if engine.state is EngineState.STARTING else "did not drain in time",
                )
            elif engine.state is EngineState.DRAINING and not engine.inflight:
                engine.on(EngineEvent.DRAINED)
                self._broker.tell(engine, bytes((wire.STOP,)), now)
        if starting:
            for seat in self._seats:
                self._fill(seat, now)

    def beat(self, now: float) -> None:
        ask, hung = self._heartbeat.beat(self._broker.engines, now)
        for engine in hung:
            self._count.engine_hangs += 1
            self.kill(engine, "hangs")
        for engine in ask:
            if self._broker.tell(engine, bytes((wire.HEARTBEAT,)), now):
                engine.pinged = True

    def stop(self, patience: float) -> None:
        """All of them, for good: told to leave, then made to."""
        handles: Iterable[Handle] = self._handles.values()
        for handle in handles:
            if handle.engine.state is not EngineState.STARTING:
                self._broker.tell(handle.engine, bytes((wire.STOP,)), handle.engine.heard)
        for handle in handles:
            if handle.engine.state is EngineState.STARTING or not handle.child.wait(patience):
                handle.child.kill()
        for handle in handles:
            handle.child.wait(5.0)
            handle.child.finish()
