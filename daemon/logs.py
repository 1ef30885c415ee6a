"""Logging: structlog, JSON lines to a file or the journal, colours for a person at a terminal.

The only importer of structlog. Writing may fail (disk full, terminal gone): that costs the line and nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import IO, Any

import structlog

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Sink:
    """A text stream whose failures are counted and swallowed; opened again when the file was moved away."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stream: IO[str] | None = sys.stderr if path is None else None
        self._lock = threading.Lock()
        self.lost = 0

    def write(self, text: str) -> int:
        with self._lock:
            try:
                if self._path is not None and (self._stream is None or not self._is_current()):
                    self._open()
                if self._stream is not None:
                    self._stream.write(text)
                    self._stream.flush()
            except (OSError, ValueError):
                self.lost += 1
        return len(text)

    def flush(self) -> None:
        """Every line is flushed already."""

    def close(self) -> None:
        """Only of what we opened; a later line opens it again."""
        with self._lock, contextlib.suppress(OSError):
            if self._path is not None and self._stream is not None:
                stream, self._stream = self._stream, None
                stream.close()

    def _open(self) -> None:
        assert self._path is not None
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._stream = None
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._stream = os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace")

    def _is_current(self) -> bool:
        assert self._path is not None and self._stream is not None
        try:
            return os.fstat(self._stream.fileno()).st_ino == os.stat(self._path).st_ino
        except OSError:
            return False


class Log:
    """`log("event", level="info", key=value)`; never raises."""

    def __init__(self, path: Path | None, *, verbose: bool) -> None:
        self._least = 10 if verbose else 20
        self._sink = _Sink(path)
        human = path is None and sys.stderr.isatty() and "JOURNAL_STREAM" not in os.environ
        renderer: Any = (
            structlog.dev.ConsoleRenderer()
            if human
            else structlog.processors.JSONRenderer(default=str)
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(file=self._sink),  # type: ignore[arg-type]
            processors=[structlog.processors.TimeStamper(fmt="iso", utc=True), renderer],
            wrapper_class=structlog.BoundLogger,
        )

    def __call__(self, event: str, *, level: str = "info", **values: object) -> None:
        if _LEVELS.get(level, 20) < self._least:
            return
        with contextlib.suppress(Exception):
            self._logger.msg(event, level=level, **values)

    def close(self) -> None:
        self._sink.close()


class Throttle:
    """Lets one through a period and counts what it held back."""

    __slots__ = ("_held", "_next", "_period")

    def __init__(self, period: float) -> None:
        self._period = period
        self._next = 0.0
        self._held = 0

    def pass_(self, now: float) -> int | None:
        """None = hold back; else how many were held back since the last that passed."""
        if now < self._next:
            self._held += 1
            return None
        self._next = now + self._period
        held, self._held = self._held, 0
        return held
