"""What one evaluation may use, and the clock that ends it. It must not know wasmtime: the ticker calls a function."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

TICK_SECONDS = 0.01
STACK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one evaluation: linear memory in bytes, wall-clock seconds, bytes of input text. Each exceeded one is an
    EvaluationError: eval_limit_memory, eval_limit_time, eval_limit_input."""

    memory_bytes: int = 64 << 20
    seconds: float = 1.0
    input_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        if self.memory_bytes <= 0 or self.seconds <= 0 or self.input_bytes <= 0:
            raise ValueError("limits must be positive")

    @property
    def ticks(self) -> int:
        """The epoch deadline: at least the seconds, at most one tick more."""
        return math.ceil(self.seconds / TICK_SECONDS) + 1


class Ticker:
    """One thread a process that calls `tick` every TICK_SECONDS while an evaluation may be running, and sleeps
    otherwise. Survives a fork: the child starts a thread of its own."""

    def __init__(self, tick: Callable[[], None]) -> None:
        self._tick = tick
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._now = 0
        self._until = 0
        self._running = False
        self._thread: threading.Thread | None = None

    def cover(self, ticks: int) -> None:
        """Keep ticking for at least `ticks` more."""
        if self._until - self._now > ticks:
            return  # it is ticking, and long enough
        with self._lock:
            # Twice as long, so that not every evaluation has to come here.
            until = self._now + 2 * ticks + 1
            self._until = max(self._until, until)
            if not self._running:
                self._running = True
                self._wake.set()
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._loop, name="cupcake-epoch", daemon=True
                    )
                    self._thread.start()

    def _loop(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(TICK_SECONDS)
            self._tick()
            with self._lock:
                self._now += 1
                if self._now > self._until:
                    self._running = False
                    self._wake.clear()
