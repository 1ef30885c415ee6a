"""sd_notify(3) by its protocol: datagrams to $NOTIFY_SOCKET. Does nothing when there is none.

It must not block or raise: a service manager that does not listen is not our failure."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self.watchdog_period = _watchdog(environment)
        """Seconds between WATCHDOG=1 (half of what the manager asked for), 0 = none wanted."""
        self._watchdog_next = 0.0
        self._status = ""

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(status)}")

    def reloading(self) -> None:
        """To be followed by `ready` when the reload is over."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, status: str) -> None:
        """Sent only when it changed."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={_line(status)}")

    def watchdog(self, now: float, alive: bool) -> None:
        """Call often; sends when it is time and `alive`."""
        if self.watchdog_period and alive and now >= self._watchdog_next:
            self._watchdog_next = now + self.watchdog_period
            self._send("WATCHDOG=1")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError:
            return


def _address(given: str) -> bytes | str | None:
    """A path, or a name in the abstract space ("@..."); anything else is not for us."""
    if given.startswith("@"):
        return b"\0" + os.fsencode(given[1:])
    return given if given.startswith("/") else None


def _watchdog(environment: Mapping[str, str]) -> float:
    """WATCHDOG_USEC applies only when WATCHDOG_PID is absent or us."""
    try:
        pid = environment.get("WATCHDOG_PID", "")
        if pid and int(pid) != os.getpid():
            return 0.0
        return int(environment.get("WATCHDOG_USEC", "0")) / 2e6
    except ValueError:
        return 0.0


def _line(text: str) -> str:
    return text.replace("\n", " ")
