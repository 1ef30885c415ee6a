"""State machines of engines and generations as tables, and the rules of restarting. Sans I/O: clock and chance are passed in.

It must not import sockets, processes, or anything that waits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from cupcake.daemon.errors import TransitionError


class EngineState(StrEnum):
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    DEAD = "dead"


class EngineEvent(StrEnum):
    HELLO = "hello"
    """The engine is up and speaks."""
    LOAD = "load"
    """It was told to take a generation; it gets no requests until it has."""
    LOADED = "loaded"
    DRAIN = "drain"
    """No new requests; it finishes what it has."""
    DRAINED = "drained"
    KILL = "kill"
    EXIT = "exit"
    """The process is gone."""


_E, _V = EngineState, EngineEvent

ENGINE_TABLE: Mapping[tuple[EngineState, EngineEvent], EngineState] = {
    (_E.STARTING, _V.HELLO): _E.READY,
    (_E.STARTING, _V.DRAIN): _E.STOPPING,
    (_E.STARTING, _V.KILL): _E.STOPPING,
    (_E.STARTING, _V.EXIT): _E.DEAD,
    (_E.READY, _V.LOAD): _E.LOADING,
    (_E.READY, _V.DRAIN): _E.DRAINING,
    (_E.READY, _V.KILL): _E.STOPPING,
    (_E.READY, _V.EXIT): _E.DEAD,
    (_E.LOADING, _V.LOAD): _E.LOADING,
    (_E.LOADING, _V.LOADED): _E.READY,
    (_E.LOADING, _V.DRAIN): _E.DRAINING,
    (_E.LOADING, _V.KILL): _E.STOPPING,
    (_E.LOADING, _V.EXIT): _E.DEAD,
    (_E.DRAINING, _V.LOADED): _E.DRAINING,
    (_E.DRAINING, _V.DRAIN): _E.DRAINING,
    (_E.DRAINING, _V.DRAINED): _E.STOPPING,
    (_E.DRAINING, _V.KILL): _E.STOPPING,
    (_E.DRAINING, _V.EXIT): _E.DEAD,
    (_E.STOPPING, _V.HELLO): _E.STOPPING,
    (_E.STOPPING, _V.LOADED): _E.STOPPING,
    (_E.STOPPING, _V.DRAIN): _E.STOPPING,
    (_E.STOPPING, _V.KILL): _E.STOPPING,
    (_E.STOPPING, _V.EXIT): _E.DEAD,
}


class ProjectState(StrEnum):
    NEW = "new"
    """Known, nothing built yet."""
    BUILDING = "building"
    """The first build runs; requests wait."""
    FAILED = "failed"
    """No generation could ever be built: every request is denied with the diagnostics."""
    ACTIVE = "active"
    REBUILDING = "rebuilding"
    """A generation serves, a newer one is being built."""
    BROKEN = "broken"
    """The last edit does not build; the last good generation serves."""
    REMOVED = "removed"
    """`.cupcake` is gone; the last good generation serves until the removal is accepted."""


class ProjectEvent(StrEnum):
    BUILD = "build"
    BUILT = "built"
    BUILD_FAILED = "build_failed"
    VANISHED = "vanished"


_P, _W = ProjectState, ProjectEvent

PROJECT_TABLE: Mapping[tuple[ProjectState, ProjectEvent], ProjectState] = {
    (_P.NEW, _W.BUILD): _P.BUILDING,
    (_P.NEW, _W.VANISHED): _P.NEW,
    (_P.BUILDING, _W.BUILT): _P.ACTIVE,
    (_P.BUILDING, _W.BUILD_FAILED): _P.FAILED,
    (_P.BUILDING, _W.VANISHED): _P.FAILED,
    (_P.FAILED, _W.BUILD): _P.BUILDING,
    (_P.FAILED, _W.VANISHED): _P.FAILED,
    (_P.ACTIVE, _W.BUILD): _P.REBUILDING,
    (_P.ACTIVE, _W.VANISHED): _P.REMOVED,
    (_P.REBUILDING, _W.BUILT): _P.ACTIVE,
    (_P.REBUILDING, _W.BUILD_FAILED): _P.BROKEN,
    (_P.REBUILDING, _W.VANISHED): _P.REMOVED,
    (_P.BROKEN, _W.BUILD): _P.REBUILDING,
    (_P.BROKEN, _W.VANISHED): _P.REMOVED,
    (_P.REMOVED, _W.BUILD): _P.REBUILDING,
    (_P.REMOVED, _W.VANISHED): _P.REMOVED,
}

SERVING = frozenset({_P.ACTIVE, _P.REBUILDING, _P.BROKEN, _P.REMOVED})
"""States in which a generation judges requests."""

_State = TypeVar("_State", bound=StrEnum)
_Event = TypeVar("_Event", bound=StrEnum)


def step(table: Mapping[tuple[_State, _Event], _State], state: _State, event: _Event) -> _State:
    """The next state. Raises TransitionError where the table has none."""
    following = table.get((state, event))
    if following is None:
        raise TransitionError(f"state {state} does not know the event {event}")
    return following


@dataclass(slots=True)
class Restarts:
    """When to start an engine again, and when to stop trying.

    Back-off doubles from `first` to `most` seconds with each start that did not come up, times a
    factor of 0.5 to 1 from `chance` (0 <= x < 1). `give_up` starts in a row that fail for the same reason end it.
    An engine that came up and died is replaced at once when it has served anything: what killed it is a
    request, and other clients must not pay for that with a pause. One that served nothing in less than `steady`
    seconds backs off too, but briefly and never to giving up.
    """

    first: float
    most: float
    chance: Callable[[], float]
    give_up: int = 5
    steady: float = 1.0
    failures: int = 0
    short_lives: int = 0
    reason: str = ""
    same: int = 0
    not_before: float = 0.0
    stopped: str = field(default="")

    def failed_start(self, now: float, reason: str) -> None:
        self.same = self.same + 1 if reason == self.reason else 1
        self.reason = reason
        self.failures += 1
        self.not_before = now + self._delay(self.failures)
        if self.same >= self.give_up:
            self.stopped = f"{self.same} engine starts in a row failed the same way: {reason}"

    def died(self, now: float, lived: float, served: int) -> None:
        idle_death = not served and lived < self.steady
        self.short_lives = self.short_lives + 1 if idle_death else 0
        self.not_before = now + min(0.5, self._delay(self.short_lives)) if idle_death else now

    def came_up(self) -> None:
        self.failures = self.same = 0
        self.reason = self.stopped = ""

    def reset(self) -> None:
        """A person asked for another try (reload)."""
        self.came_up()
        self.short_lives = 0
        self.not_before = 0.0

    def _delay(self, count: int) -> float:
        whole = min(self.most, self.first * (1 << min(count - 1, 16)))
        return float(whole * (0.5 + 0.5 * self.chance()))
