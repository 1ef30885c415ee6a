"""A daemon in a process of its own and a small synchronous client, for the process tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from cupcake.client import codec
from cupcake.client import messages as m

TINY = Path(__file__).with_name("tiny_engine.py")
RUN = """
import json, os, sys
from dataclasses import replace
from pathlib import Path
from cupcake.daemon.__main__ import serve
from cupcake.daemon.config import Config, Timing
from cupcake.daemon.errors import DaemonError
given = json.loads(sys.argv[1])
timing = Timing(**given.pop("timing"))
paths = {k: Path(v) for k, v in given.items() if k in ("socket", "state_dir", "cache_dir", "log_file", "global_dir")}
try:
    sys.exit(serve(Config(**{**given, **paths}, timing=timing)))
except DaemonError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


class Daemon:
    """Started by `daemon_in`. `children` are the engine and builder processes."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], socket: Path) -> None:
        self.folder = folder
        self.process = process
        self.socket = socket

    @property
    def log(self) -> list[dict[str, Any]]:
        path = self.folder / "log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self, name: str) -> list[dict[str, Any]]:
        return [e for e in self.log if e["event"] == name]

    def children(self) -> list[int]:
        return children_of(self.process.pid)

    def wait_for_exit(self, seconds: float = 10.0) -> int:
        return self.process.wait(seconds)


def children_of(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start(folder: Path, *, environment: dict[str, str] | None = None, timing: dict[str, float] | None = None,
          **options: Any) -> Daemon:  # fmt: skip
    socket = folder / "run" / "d.sock"
    given = {
        "socket": str(socket),
        "state_dir": str(folder / "state"),
        "cache_dir": str(folder / "cache"),
        "log_file": str(folder / "log"),
        "engines": 2,
        "engine_module": str(TINY),
        "verbose": True,
        "standby_builder": False,
        "timing": {
            "heartbeat": 0.1,
            "hung_after": 1.2,
            "watch_poll": 0.5,
            "drain": 3.0,
            **(timing or {}),
        },
        **options,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(given)],
        env={**os.environ, **(environment or {})},
        stderr=subprocess.PIPE,
        cwd=folder,
    )
    return Daemon(folder, process, socket)


@contextmanager
def daemon_in(folder: Path, *, leave: bool = False, **options: Any) -> Iterator[Daemon]:
    """A daemon that is ready; afterwards it is stopped and nothing of it may be left."""
    daemon = start(folder, **options)
    try:
        until(
            lambda: daemon.events("ready") or daemon.process.poll() is not None,
            "the daemon to be ready",
        )
        yield daemon
    finally:
        family = daemon.children()
        if daemon.process.poll() is None:
            daemon.process.send_signal(signal.SIGTERM)
            try:
                daemon.process.wait(8.0)
            except subprocess.TimeoutExpired:
                daemon.process.kill()
                daemon.process.wait(5.0)
                raise
        assert daemon.process.stderr is not None
        complaint = daemon.process.stderr.read().decode()
        daemon.process.stderr.close()
        assert not complaint, complaint
        until(lambda: not any(is_running(p) for p in family), "the daemon's children to be gone")


def until(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """The first true value of the condition; fails when there is none in time."""
    limit = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value


class Talk:
    """A DEALER to the daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 0)
        self.socket.connect(f"ipc://{daemon.socket}")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self._context.term()

    def send(
        self, kind: int, body: bytes = b"", *, id: bytes | None = None, deadline_ms: int = 20_000
    ) -> bytes:
        request_id = id if id is not None else os.urandom(16)
        self.socket.send_multipart(
            [b"", codec.encode_header(m.Header(kind, request_id, deadline_ms)), body]
        )
        return request_id

    def receive(self, seconds: float = 15.0) -> tuple[m.Header, bytes]:
        assert self.socket.poll(int(seconds * 1000)), f"no reply within {seconds} s"
        return codec.split_request(self.socket.recv_multipart())

    def quiet(self, seconds: float) -> bool:
        return not self.socket.poll(int(seconds * 1000))

    def ask(self, kind: int, body: bytes = b"") -> dict[str, Any]:
        sent = self.send(kind, body)
        header, reply = self.receive()
        assert header.request_id == sent and header.kind == kind | m.REPLY
        return codec.decode_body(reply)

    def ask_raw(self, kind: int, body: bytes = b"") -> bytes:
        self.send(kind, body)
        return self.receive()[1]

    def ask_later(self, kind: int) -> None:
        """Waits for the answer to `kind` while others are open: so all that was sent before has arrived."""
        sent = self.send(kind)
        header, _ = self.receive()
        assert header.request_id == sent

    def status(self) -> dict[str, Any]:
        return self.ask(m.Kind.STATUS)

    def reload(self, **options: Any) -> dict[str, Any]:
        return self.ask(m.Kind.RELOAD, codec.encode_body(options))

    def judge(self, root: Path, command: str, **options: Any) -> m.Answer | tuple[str, str]:
        """The answer, or the error's code and message."""
        sent = self.send(m.Kind.EVALUATE, event(root, command), **options)
        header, body = self.receive()
        assert header.request_id == sent
        return (
            codec.decode_error(body) if header.flags & m.FLAG_ERROR else codec.decode_answer(body)
        )


def event(root: Path, command: str) -> bytes:
    bash = {
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": command},
    }
    return codec.encode_evaluate(m.Evaluate(str(root), "claude", json.dumps(bash).encode()))


def project(folder: Path, *rules: str, name: str = "project") -> Path:
    root = folder / name
    write(root, *rules)
    return root


def write(root: Path, *rules: str, file: str = "a.rego") -> None:
    policies = root / ".cupcake" / "policies"
    policies.mkdir(parents=True, exist_ok=True)
    (policies / file).write_text("\n".join(rules) + "\n")
