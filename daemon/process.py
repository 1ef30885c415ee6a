"""Child processes: started by spawn, fed one line, their last words kept, killed and reaped.

It knows nothing of what the children do."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

_TAIL = 8192


class Child:
    """A running child. `output`: what it wrote to stdout when `capture` was given; `last_words`: the end of its stderr."""

    __slots__ = (
        "_config",
        "_output_limit",
        "_popen",
        "_tail",
        "exit_status",
        "output",
        "pid",
        "started",
    )

    def __init__(
        self, module: str, now: float, *, capture: bool = False, output_limit: int = 4 << 20
    ) -> None:
        """Start `python -m module`. Raises OSError when the system cannot start processes."""
        # -P (or -I when we run so ourselves): the folder we happen to stand in must not provide modules.
        isolation = "-I" if sys.flags.isolated else "-P"
        self._popen = subprocess.Popen(
            [sys.executable, isolation, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if capture else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            close_fds=True,
            cwd="/",
        )
        self.pid = self._popen.pid
        self.started = now
        self.output = bytearray()
        self.exit_status: int | None = None
        self._tail = bytearray()
        self._output_limit = output_limit
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)

    def tell(self, line: Mapping[str, Any], *, last: bool) -> None:
        """A line of input, `last` or not; that the child is gone already is noticed by reaping."""
        stdin = self._popen.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(line).encode() + b"\n")
        if last:
            with contextlib.suppress(BrokenPipeError):
                stdin.close()

    @property
    def streams(self) -> tuple[int, ...]:
        """File descriptors to watch for reading."""
        return tuple(
            s.fileno()
            for s in (self._popen.stdout, self._popen.stderr)
            if s is not None and not s.closed
        )

    def read(self, fd: int) -> bool:
        """Take what the descriptor has; False when it is at its end and closed."""
        out = self._popen.stdout
        is_output = out is not None and not out.closed and out.fileno() == fd
        try:
            data = os.read(fd, 65536)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            stream = out if is_output else self._popen.stderr
            if stream is not None:
                stream.close()
            return False
        if is_output:
            if len(self.output) + len(data) <= self._output_limit:
                self.output += data
        else:
            self._tail += data
            del self._tail[:-_TAIL]
        return True

    @property
    def last_words(self) -> str:
        return self._tail.decode("utf-8", "replace").strip()

    @property
    def why(self) -> str:
        """One line: how it ended, and the last line that it wrote."""
        status = self.exit_status
        if status is None:
            how = "is running"
        elif status < 0:
            try:
                how = f"ended by {signal.Signals(-status).name}"
            except ValueError:
                how = f"ended by signal {-status}"
        else:
            how = f"left with exit status {status}"
        lines = self.last_words.splitlines()
        return f"{how}: {lines[-1].strip()}" if lines else how

    def poll(self) -> bool:
        """True once it has ended (and is reaped); its streams are read to the end then."""
        if self.exit_status is None:
            self.exit_status = self._popen.poll()
        return self.exit_status is not None

    def finish(self) -> None:
        """After the end: take what is left in the pipes and close everything."""
        for fd in self.streams:
            while self.read(fd):
                if not _readable(fd):
                    break
        for stream in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if stream is not None and not stream.closed:
                with contextlib.suppress(OSError):
                    stream.close()

    def kill(self) -> None:
        """SIGKILL; the pid cannot be another's, since only we reap it."""
        if self.exit_status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> bool:
        try:
            self.exit_status = self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True


def _readable(fd: int) -> bool:
    """Whether a read would give bytes or the end (a grandchild may hold the pipe open: then neither)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
