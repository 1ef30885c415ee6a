"""A policy that began with code which was compiled fast gets the code that runs fast, once somebody has compiled it.

Whoever it was (another process by way of the cache, or this one when nobody has within a while), the policy is the same
and so are its answers. It must not compile on the thread that asks.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

from cupcake.engine.errors import LoadError
from cupcake.engine.vm import native

_BETWEEN: Final = 0.25
PATIENCE: Final = 10.0


class Upgrade:
    """`ready` says whether the cache has the code; `make` loads it, and compiles what is missing."""

    __slots__ = ("_lock", "_made", "_make", "_next", "_own", "_patience_ends", "_ready")

    def __init__(
        self,
        ready: Callable[[], bool],
        make: Callable[[], native.Program],
        patience: float = PATIENCE,
    ) -> None:
        """After `patience` seconds the code is compiled here, on a thread of its own."""
        self._ready, self._make = ready, make
        now = time.monotonic()
        self._next, self._patience_ends = now + _BETWEEN, now + patience
        self._own: threading.Thread | None = None
        self._made: native.Program | None = None
        self._lock = threading.Lock()

    def look(self) -> native.Program | None:
        """The better program, once. Cheap: meant to be asked after every evaluation."""
        if time.monotonic() < self._next or not self._lock.acquire(blocking=False):
            return None
        try:
            self._next = time.monotonic() + _BETWEEN
            if self._made is not None:
                return self._made
            if self._own is None and self._ready():
                return self._loaded()
            if self._own is None and time.monotonic() >= self._patience_ends:
                self._own = threading.Thread(target=self._compile, daemon=True)
                self._own.start()
            return None
        finally:
            self._lock.release()

    def _loaded(self) -> native.Program | None:
        try:
            return self._make()
        except LoadError:
            # What runs goes on running.
            self._next = float("inf")
            return None

    def _compile(self) -> None:
        with contextlib.suppress(LoadError):
            self._made = self._make()
