"""Requests that the supervisor answers itself: PING, STATUS, RELOAD. Bodies here are small maps, never events.

It must not touch sockets or processes: answers are values, effects are the owner's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

from cupcake.client import codec
from cupcake.client.errors import ProtocolError
from cupcake.daemon.broker import Engine


def version() -> str:
    try:
        return metadata.version("cupcake-policy")
    except metadata.PackageNotFoundError:
        return "unknown"


def ping(daemon_version: str) -> bytes:
    return codec.encode_body({"pid": os.getpid(), "version": daemon_version})


def reload_options(body: bytes) -> tuple[str | None, bool]:
    """(root or None for all, accept_removal); an empty body means all. Raises ProtocolError."""
    given = codec.decode_body(body) if body else {}
    root = given.get("root")
    accept = given.get("accept_removal", False)
    if not (root is None or isinstance(root, str)) or not isinstance(accept, bool):
        raise ProtocolError(
            "RELOAD takes root (text) and accept_removal (true or false), both optional"
        )
    return (root or None), accept


def status(
    *,
    daemon_version: str,
    uptime: float,
    socket: str,
    projects: list[dict[str, Any]],
    engines: Iterable[tuple[Engine, int]],
    counters: Mapping[str, int],
    waiting: int,
    problem: str,
) -> bytes:
    """`engines`: each with how often its place was filled again."""
    return codec.encode_body(
        {
            "pid": os.getpid(),
            "uptime_s": round(uptime, 3),
            "socket": socket,
            "version": daemon_version,
            "problem": problem,
            "projects": projects,
            "engines": [
                {
                    "pid": e.pid,
                    "state": str(e.state),
                    "served": e.served,
                    "restarts": restarts,
                    "in_flight": len(e.inflight),
                    "rss": e.rss,
                }
                for e, restarts in engines
            ],
            "waiting": waiting,
            "counters": dict(counters),
        }
    )
