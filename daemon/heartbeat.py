"""Who is asked for a sign of life, and who gave none for too long. Pure; the clock is passed in.

A supervisor that was itself stopped for a while must not take its engines' silence for death: it forgives first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cupcake.daemon.broker import Engine
from cupcake.daemon.lifecycle import EngineState

_SPOKEN_TO = frozenset({EngineState.READY, EngineState.LOADING, EngineState.DRAINING})


@dataclass(slots=True)
class Heartbeat:
    period: float
    hung_after: float
    _last: float = 0.0

    def beat(self, engines: Iterable[Engine], now: float) -> tuple[list[Engine], list[Engine]]:
        """(to be asked now, hung). Call about once a period, after everything received was handled."""
        mine = [e for e in engines if e.state in _SPOKEN_TO]
        late = self._last and now - self._last > self.period + 1.0
        self._last = now
        if late:
            for engine in mine:
                engine.owes_since = now
            return [], []
        hung = [e for e in mine if e.hung(now, self.hung_after)]
        ask = [e for e in mine if not e.pinged and e not in hung]
        return ask, hung

    def alive(self, engines: Iterable[Engine], now: float) -> bool:
        """Whether any engine spoke within the limit: what the service manager's watchdog is told."""
        return any(
            e.state in _SPOKEN_TO and now - e.heard <= self.hung_after + e.patience + self.period
            for e in engines
        )
