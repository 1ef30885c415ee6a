"""Run signals: the commands whose output policies may read. All of them at once, each bounded in time and size.

Every requested name is in the result: a signal that failed, timed out or does not exist is visible to policies as
an object with `success: false`, so that a rule can deny on it. Commands run in their own process group, which is
killed whole at the time-out; the time-out covers writing the event to a command that does not read it.

A script that comes with its bytes (trust) is run from those, never from the disk, where it may have changed since.
Commands inherit the environment, but for what would put other code into them or is meant for the daemon alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import shlex
import shutil
import signal as posix_signals
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

MAX_OUTPUT_BYTES = 1024 * 1024
_CHUNK = 65536
_MFD_EXEC = 0x10
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, _SHRINK, _GROW, _WRITE
_PRIVATE_PREFIXES = ("CUPCAKE_", "LD_", "DYLD_", "BASH_FUNC_", "LISTEN_", "WATCHDOG_")
_PRIVATE = frozenset({"BASH_ENV", "ENV", "NOTIFY_SOCKET", "MAINPID"})


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: a shell command line with its time limit in seconds. `script`: run these bytes as a program
    instead; `line` then only names it."""

    line: str
    timeout: float
    script: bytes | None = None


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
            except (OSError, ValueError) as error:
                results[name] = _failure(
                    f"cannot be started: {getattr(error, 'strerror', None) or error}"
                )
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


@dataclass(frozen=True, slots=True)
class _Copy:
    """A script made runnable: its `path` (safe in a shell), the descriptors that keep it, its own folder."""

    path: str = ""
    descriptors: tuple[int, ...] = ()
    folder: str = ""

    def remove(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)


def copy_of_script(script: bytes) -> _Copy:
    """Memory that nobody can write to any more; where there is none, a file in a folder of ours. Raises OSError."""
    memory = _sealed_memory(script)
    if memory is not None:
        return _Copy(f"/proc/self/fd/{memory}", (memory,))
    folder = tempfile.mkdtemp(prefix="cupcake-signal-")
    try:
        path = os.path.join(folder, "script")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
            file.write(script)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _Copy(shlex.quote(path), (), folder)


def _sealed_memory(script: bytes) -> int | None:
    """Descriptor of an executable, sealed memory file; None where the system has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    flags = os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC
    descriptor = -1
    try:
        try:
            descriptor = os.memfd_create("signal", flags | _MFD_EXEC)
        except (
            OSError
        ):  # before Linux 6.3 there was no such flag, and every memory file could be run
            descriptor = os.memfd_create("signal", flags)
        if not os.fstat(descriptor).st_mode & 0o100 or not os.access("/proc/self/fd", os.X_OK):
            raise OSError("memory files cannot be run here")
        left = memoryview(script)
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except OSError:
        if descriptor >= 0:
            os.close(descriptor)
        return None
    return descriptor


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Without what makes the loader or a shell run other code first, and what is between the daemon and its parents."""
    return {
        name: value
        for name, value in environment.items()
        if name not in _PRIVATE and not name.startswith(_PRIVATE_PREFIXES)
    }


class _Running:
    """One started command and its three pipes."""

    def __init__(self, name: str, command: Command, event: bytes, cwd: str) -> None:
        self.name = name
        self.timeout = command.timeout
        self.fault = ""
        self.copy = _Copy() if command.script is None else copy_of_script(command.script)
        try:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", self.copy.path or command.line],
                cwd=cwd,
                env=clean_environment(os.environ),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                pass_fds=self.copy.descriptors,
            )
        except BaseException:
            self.copy.remove()
            raise
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
        self.copy.remove()
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
