"""Where the daemon's socket is, and whether it may be trusted. Used by clients and by the daemon that binds it.

Stdlib only. `hook.py` repeats the few lines that it needs, because importing this costs it milliseconds.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cupcake.client.errors import UnsafeSocket

SYSTEM_SOCKET = "/run/cupcake/daemon.sock"


def find_socket(
    explicit: str | None = None, environ: os._Environ[str] | dict[str, str] | None = None
) -> str:
    """The socket path: `explicit`, CUPCAKE_SOCKET, $XDG_RUNTIME_DIR/cupcake/daemon.sock, the system
    service's socket when it exists, and last a per-user folder under /tmp (no XDG_RUNTIME_DIR:
    containers, macOS, cron)."""
    env = os.environ if environ is None else environ
    if explicit:
        return str(Path(explicit).absolute())
    if named := env.get("CUPCAKE_SOCKET"):
        return str(Path(named).absolute())
    runtime = env.get("XDG_RUNTIME_DIR")
    own = f"{runtime}/cupcake/daemon.sock" if runtime else f"/tmp/cupcake-{os.getuid()}/daemon.sock"
    if not os.path.exists(own) and os.path.exists(SYSTEM_SOCKET):
        return SYSTEM_SOCKET
    return own


def remedy(folder: str, info: os.stat_result) -> str:
    """What to do about a folder that others may write to; a shared one (/tmp) must stay as it is."""
    if info.st_mode & stat.S_ISVTX or info.st_uid != os.getuid():
        return "Give a socket in a folder of your own (--socket or CUPCAKE_SOCKET)."
    return f"Run: chmod 700 {folder}"


def check_socket(path: str) -> None:
    """Raises UnsafeSocket unless the socket and its folder can only be replaced by us or by root.

    The folder must belong to us (or be the system service's, which only root can make) and must not be
    writable by others; the same for the socket's owner. FileNotFoundError passes through.
    """
    folder = os.path.dirname(path) or "."
    info = os.stat(folder)
    system = path == SYSTEM_SOCKET
    if info.st_uid not in (os.getuid(), 0) and not system:
        raise UnsafeSocket(
            f"{folder} belongs to user {info.st_uid}, not to you: refusing the socket in it. "
            "Remove the folder, or point CUPCAKE_SOCKET at one of your own."
        )
    if info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeSocket(
            f"{folder} is writable by others (mode {stat.S_IMODE(info.st_mode):o}): "
            f"refusing the socket in it. {remedy(folder, info)}"
        )
    entry = os.lstat(path)
    if not stat.S_ISSOCK(entry.st_mode):
        raise UnsafeSocket(f"{path} is not a socket. Remove it and start the daemon again.")
    if entry.st_uid not in (os.getuid(), 0) and not (system and entry.st_uid == info.st_uid):
        raise UnsafeSocket(
            f"{path} belongs to user {entry.st_uid}, not to you: refusing it. Remove it."
        )
