"""The real OPA as the reference: one server process on loopback for all programs of a run.

It must not know our engine. An outcome is ("value", v), ("undefined", None) or ("error", code, message).
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Outcome = tuple[Any, ...]
MISSING = object()
# OPA computes for longer than anyone waits (a range of 1e20 numbers, say): nothing to compare with.
TOO_SLOW: Outcome = ("slow", None)
_START_SECONDS = 20.0
_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A compile error of OPA."""

    code: str
    row: int
    message: str
    file: str = ""


class Reference:
    """A running OPA. Documents and modules of one program at a time."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)

    def _ask(self, method: str, path: str, body: str = "") -> tuple[int, Any]:
        self._connection.request(method, path, body=body.encode("utf-8", "surrogatepass"))
        answer = self._connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        return answer.status, json.loads(text, parse_float=Decimal) if text.strip() else None

    def close(self) -> None:
        self._connection.close()

    def is_up(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self._ask("GET", "/health")[0] == 200
        self._connection.close()
        return False

    def run(
        self,
        modules: Mapping[str, str],
        data: Mapping[str, Any],
        input: object,
        paths: list[str],
        strict: bool,
    ) -> list[Fault] | dict[str, Outcome]:
        """Load the modules in their order (each may use those before it), ask for each path (as "a/b"), unload."""
        loaded: list[str] = []
        try:
            for key, document in data.items():
                status, answer = self._ask("PUT", f"/v1/data/{key}", json.dumps(document))
                if status not in (200, 204):
                    raise AssertionError(f"OPA refuses the document {key}: {answer}")
            for name, text in modules.items():
                status, answer = self._ask("PUT", f"/v1/policies/{name}", text)
                if status != 200:
                    return _faults(answer)
                loaded.append(name)
            body = "{}" if input is MISSING else json.dumps({"input": input})
            option = "?strict-builtin-errors=true" if strict else ""
            return {p: _outcome(self._ask("POST", f"/v1/data/{p}{option}", body)) for p in paths}
        except TimeoutError:
            self._connection.close()
            return dict.fromkeys(paths, TOO_SLOW)
        finally:
            for name in reversed(loaded):
                self._ask("DELETE", f"/v1/policies/{name}")
            for key in data:
                self._ask("DELETE", f"/v1/data/{key}")


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
        return ("error", first["code"], first["message"])
    if "result" not in answer:
        return ("undefined", None)
    return ("value", answer["result"])


def executable() -> str | None:
    """The OPA that the expectations are of (1.7), or None."""
    found = shutil.which("opa")
    if found is None:
        return None
    text = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
    return found if "Version: 1.7." in text else None


@contextmanager
def running(opa: str) -> Iterator[Reference]:
    """Start OPA on a free port of loopback, end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(opa, "run", "--server", "--addr", f"127.0.0.1:{port}"),
            *("--log-level", "error", "--disable-telemetry"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    reference = Reference(port)
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
