"""Run signals: the commands whose output policies may read. All of them at once, each bounded in time and size.

Every requested name is in the result: a signal that failed, timed out or does not exist is visible to policies as
an object with `success: false`, so that a rule can deny on it. Commands run in their own process group, which is
killed whole at the time-out; the time-out covers writing the event to a command that does not read it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal as posix_signals
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

MAX_OUTPUT_BYTES = 1024 * 1024
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: a shell command line with its time limit in seconds."""

    line: str
    timeout: float


def run_signals(commands: Mapping[str, Command | None], event: bytes, cwd: str) -> dict[str, Any]:
    """Run all `commands` (None = a name that is not defined) in `cwd` with `event` on stdin; name -> value.

    Exit 0: the trimmed output, as JSON when it is JSON, else as text. Never raises for what a command does.
    """
    results: dict[str, Any] = {}
    running: list[_Running] = []
    try:
        for name, command in commands.items():
            if command is None:
                results[name] = _failure("there is no such signal")
                continue
            try:
                running.append(_Running(name, command, event, cwd))
            except OSError as error:
                results[name] = _failure(f"cannot be started: {error.strerror or error}")
        _pump(running)
        for one in running:
            results[one.name] = one.result()
    finally:
        for one in running:
            one.close()
    return results


@dataclass(slots=True)
class _Stream:
    pipe: IO[bytes]
    data: bytearray = field(default_factory=bytearray)


class _Running:
    """One started command and its three pipes."""

    def __init__(self, name: str, command: Command, event: bytes, cwd: str) -> None:
        self.name = name
        self.timeout = command.timeout
        self.fault = ""
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command.line],
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.deadline = time.monotonic() + command.timeout
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self.unsent = memoryview(event)
        self.stdin: IO[bytes] = self.process.stdin
        self.output = _Stream(self.process.stdout)
        self.errors = _Stream(self.process.stderr)
        for pipe in (self.stdin, self.output.pipe, self.errors.pipe):
            os.set_blocking(pipe.fileno(), False)

    def send(self) -> bool:
        """Write what fits; True when there is no more to send (also: nobody reads)."""
        try:
            self.unsent = self.unsent[os.write(self.stdin.fileno(), self.unsent[:_CHUNK]) :]
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not self.unsent

    def receive(self, stream: _Stream) -> bool:
        """Read what is there; True at the end of the stream."""
        try:
            chunk = os.read(stream.pipe.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        stream.data += chunk
        if len(stream.data) > MAX_OUTPUT_BYTES:
            self.stop(f"printed more than {MAX_OUTPUT_BYTES} bytes")
            return True
        return not chunk

    def stop(self, fault: str) -> None:
        """Kill the whole process group; the first fault is the one that is told."""
        self.fault = self.fault or fault
        self._kill_group()

    def ended(self) -> bool:
        """Has the command ended? What it left running in the background ends with it.

        The group is killed before its leader is reaped: until then its number cannot be given to others."""
        if hasattr(os, "waitid"):
            if os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return False
            self._kill_group()
            self.process.wait()
            return True
        return self.process.poll() is not None

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, posix_signals.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def result(self) -> Any:
        code = self.process.returncode
        output = self.output.data.decode("utf-8", "replace").strip()
        errors = self.errors.data.decode("utf-8", "replace").strip()
        if self.fault:
            return _failure(self.fault, output)
        if code != 0:
            return {
                "exit_code": code if code is not None and code >= 0 else -1,
                "output": output,
                "error": errors,
                "success": False,
            }
        try:
            # NaN and Infinity are no JSON, and a lone surrogate could not be handed on.
            value = json.loads(output, parse_constant=_refuse)
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8")
        except (ValueError, RecursionError):
            return output
        return value

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop("was stopped")
            self.process.wait()
        for pipe in (self.stdin, self.output.pipe, self.errors.pipe):
            try:
                pipe.close()
            except OSError:
                pass


def _pump(running: list[_Running]) -> None:
    """Serve all pipes until every command has ended or passed its time."""
    with selectors.DefaultSelector() as selector:
        for one in running:
            selector.register(one.stdin, selectors.EVENT_WRITE, (one, None))
            selector.register(one.output.pipe, selectors.EVENT_READ, (one, one.output))
            selector.register(one.errors.pipe, selectors.EVENT_READ, (one, one.errors))
        waiting = list(running)
        while waiting:
            now = time.monotonic()
            for one in waiting:
                if now >= one.deadline:
                    one.stop("timeout")
            nearest = min(one.deadline for one in waiting) - now
            # Waking at least every 20 ms finds a command that has ended while a child of it holds the pipes.
            for key, _ in selector.select(max(0.0, min(nearest, 0.02))):
                one, stream = key.data
                if one.send() if stream is None else one.receive(stream):
                    selector.unregister(key.fileobj)
                    if stream is None:
                        _close_quietly(one.stdin)
            for one in list(waiting):
                if not one.ended():
                    continue
                waiting.remove(one)
                for stream in (one.output, one.errors):
                    while not one.receive(stream) and _has_more(stream):
                        pass
                for pipe in (one.stdin, one.output.pipe, one.errors.pipe):
                    try:
                        selector.unregister(pipe)
                    except (KeyError, ValueError):
                        pass


def _has_more(stream: _Stream) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(stream.pipe, selectors.EVENT_READ)
        return bool(selector.select(0))


def _close_quietly(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except OSError:
        pass


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _failure(fault: str, output: str = "") -> dict[str, Any]:
    return {"error": fault, "exit_code": -1, "output": output, "success": False}
