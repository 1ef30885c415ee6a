"""The real OPA as the reference: one server process on loopback for all programs of a run.

It must not know our engine. An outcome is ("value", v), ("undefined", None) or ("error", code, message, place), the
place as "file:row".
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from threading import Lock
from typing import Any, TypeAlias

from source import MISSING, Program

Outcome: TypeAlias = tuple[Any, ...]
# OPA computes for longer than anyone waits (a range of 1e20 numbers, say) or panics: nothing to compare with.
TOO_SLOW: Outcome = ("slow", None)
_START_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_LOAD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A compile error of OPA."""

    code: str
    row: int
    message: str
    file: str = ""


Answer: TypeAlias = list[Fault] | dict[str, Outcome]


@dataclass(frozen=True, slots=True)
class Opa:
    """An OPA executable. `version` is its two first numbers."""

    path: str
    version: tuple[int, int]

    @property
    def has_templates(self) -> bool:
        """Whether it reads template strings."""
        return self.version >= (1, 12)


class Reference:
    """A running OPA, as two servers: one for v1, one for v0. Documents and modules of one program at a time."""

    def __init__(self, opa: Opa, v1: _Server, v0: _Server) -> None:
        self.opa = opa
        self._v1, self._v0 = v1, v0
        self._recent: deque[tuple[Program, Answer]] = deque(maxlen=4)
        self._lock = Lock()

    def run(self, program: Program) -> Answer:
        """Load the modules in their order (each may use those before it), ask for the program's paths, unload.

        The last few programs are not asked for again. For threads.
        """
        with self._lock:
            for known, answer in self._recent:
                if known is program:
                    return answer
            server = self._v0 if program.v0 else self._v1
            answer = server.run(program)
            self._recent.append((program, answer))
            return answer


class _Server:
    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
        self._loading = http.client.HTTPConnection("127.0.0.1", port, timeout=_LOAD_SECONDS)

    def _ask(self, method: str, path: str, body: str = "") -> tuple[int, Any]:
        # What loads and unloads waits for a question that OPA still computes after it was given up.
        connection = self._connection if method == "POST" else self._loading
        try:
            connection.request(method, path, body=body.encode("utf-8", "surrogatepass"))
            answer = connection.getresponse()
        except OSError:
            connection.close()
            raise
        text = answer.read().decode("utf-8", "replace")
        return answer.status, json.loads(text, parse_float=Decimal) if text.strip() else None

    def close(self) -> None:
        self._connection.close()
        self._loading.close()

    def is_up(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self._ask("GET", "/health")[0] == 200
        return False

    def run(self, program: Program) -> Answer:
        loaded: list[str] = []
        try:
            status, answer = self._ask("PUT", "/v1/data", json.dumps(program.data))
            if status not in (200, 204):
                raise AssertionError(f"OPA refuses the documents: {answer}")
            for name, text in program.texts().items():
                status, answer = self._ask("PUT", f"/v1/policies/{name}", text)
                if status != 200:
                    return _faults(answer)
                loaded.append(name)
            return self._outcomes(program)
        except (TimeoutError, http.client.RemoteDisconnected):
            return dict.fromkeys(program.paths, TOO_SLOW)
        finally:
            for name in reversed(loaded):
                self._ask("DELETE", f"/v1/policies/{name}")

    def _outcomes(self, program: Program) -> dict[str, Outcome]:
        """A rule is asked for by itself only where its package fails: else its value is a member of the package's."""
        body = "{}" if program.input is MISSING else json.dumps({"input": program.input})
        option = "?strict-builtin-errors=true" if program.strict else ""
        found: dict[str, Outcome] = {}
        for path in sorted(program.paths, key=lambda path: path not in program.packages):
            package, _, name = path.rpartition("/")
            match found.get(package) if package in program.packages else None:
                case ("undefined", _):
                    found[path] = ("undefined", None)
                case ("value", members):
                    found[path] = (
                        ("value", members[name]) if name in members else ("undefined", None)
                    )
                case _:
                    found[path] = _outcome(self._ask("POST", f"/v1/data/{path}{option}", body))
        return found


def _faults(answer: Any) -> list[Fault]:
    return [
        Fault(
            e["code"],
            (e.get("location") or {}).get("row", 0),
            e["message"],
            (e.get("location") or {}).get("file", ""),
        )
        for e in answer.get("errors") or [{"code": answer["code"], "message": answer["message"]}]
    ]


def _outcome(reply: tuple[int, Any]) -> Outcome:
    status, answer = reply
    if status != 200:
        first = (answer.get("errors") or [answer])[0]
        location = first.get("location") or {}
        place = (
            f"{location['file']}:{location['row']}:{location['col']}"
            if location.get("file")
            else ""
        )
        return ("error", first["code"], first["message"], place)
    if "result" not in answer:
        return ("undefined", None)
    return ("value", answer["result"])


def executables() -> list[Opa]:
    """The OPAs to compare with, newest last: `opa` on the PATH, and what CUPCAKE_OPAS lists (paths, as PATH does)."""
    found = {}
    for path in (shutil.which("opa"), *os.environ.get("CUPCAKE_OPAS", "").split(os.pathsep)):
        if path:
            text = subprocess.run([path, "version"], capture_output=True, text=True, check=True)
            match = re.search(r"Version: (\d+)\.(\d+)", text.stdout)
            assert match is not None, f"{path} is no OPA"
            version = (int(match[1]), int(match[2]))
            found[version] = Opa(path, version)
    return [found[version] for version in sorted(found)]


@contextmanager
def running(opa: Opa) -> Iterator[Reference]:
    """Start OPA on free ports of loopback, end it afterwards."""
    with ExitStack() as stack:
        v1 = stack.enter_context(_serving(opa.path))
        v0 = stack.enter_context(_serving(opa.path, "--v0-compatible"))
        yield Reference(opa, v1, v0)


@contextmanager
def _serving(path: str, *options: str) -> Iterator[_Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(path, "run", "--server", "--addr", f"127.0.0.1:{port}", *options),
            *("--log-level", "error", "--disable-telemetry"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GOGC": "800", "GOMAXPROCS": "1"},  # less work for the same answers
    )
    reference = _Server(port)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not reference.is_up():
            if time.monotonic() > deadline or process.poll() is not None:
                raise AssertionError("the reference OPA does not start")
            time.sleep(0.05)
        yield reference
    finally:
        reference.close()
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=5)
