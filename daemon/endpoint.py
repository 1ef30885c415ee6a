"""The socket's directory and the lock beside it: ours alone, or we do not start.

It must not bind anything; stale sockets are removed only by who holds the lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from cupcake.daemon.errors import AlreadyRunning, UnsafeDirectory


def prepare_directory(directory: Path, group: int | None) -> None:
    """Make it (0700, or 0750 with a group) or check it: a real directory, owned by us, writable by nobody else."""
    mode = 0o700 if group is None else 0o750
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=mode)
        os.chmod(directory, mode)
        if group is not None:
            os.chown(directory, -1, group)
    except FileExistsError:
        pass
    except OSError as error:
        raise UnsafeDirectory(
            f"cannot make {directory}: {error.strerror}; give another place with --socket"
        ) from error
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectory(
            f"{directory} is not a directory (a link?); remove it or give another --socket"
        )
    if found.st_uid != os.geteuid():
        raise UnsafeDirectory(
            f"{directory} belongs to user {found.st_uid}, not to us ({os.geteuid()}); give another --socket"
        )
    if found.st_mode & (0o022 if group is not None else 0o077):
        raise UnsafeDirectory(
            f"{directory} is open to others (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run `chmod {mode:o} {directory}` or give another --socket"
        )


class Lock:
    """Held while the daemon lives; the kernel gives it back when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Raises AlreadyRunning, naming the process that holds it."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = _read(fd)
                for _ in range(50):  # it has the lock, but may not have written its number yet
                    if holder:
                        break
                    time.sleep(0.01)
                    holder = _read(fd)
                os.close(fd)
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise UnsafeDirectory(f"cannot lock {path}: {error.strerror}") from error
                raise AlreadyRunning(
                    f"a daemon (process {holder or 'unknown'}) already serves {path.with_suffix('')}; "
                    "`cupcake daemon status` asks it, `cupcake daemon stop` ends it"
                ) from None
            if _same_file(fd, path):
                break
            os.close(fd)  # somebody removed the file between open and lock
        self._fd = fd
        with contextlib.suppress(OSError):  # a full disk must not keep us from serving
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def remove_stale(path: Path) -> None:
    """Remove a socket file that a dead daemon left. Call with the lock held. Raises UnsafeDirectory for any other file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UnsafeDirectory(
            f"{path} is there and is no socket; move it away or give another --socket"
        )
    os.unlink(path)


def inode(path: Path) -> int:
    """0 when there is none."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0


def _read(fd: int) -> str:
    with contextlib.suppress(OSError):
        return os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    return ""


def _same_file(fd: int, path: Path) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False
    ours = os.fstat(fd)
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)
