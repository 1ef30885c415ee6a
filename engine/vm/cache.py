"""Compiled modules on disk. wasmtime trusts what it deserializes, so a file counts only when it is ours: in a folder
that we own and nobody else can write, a regular file of ours, whole by its SHA-256.

Anything else is treated as absent. It must not be shared between users.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

_MAGIC = b"cupcake-module-1\n"
_HEAD = len(_MAGIC) + 32
MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class ModuleCache:
    """A folder of compiled modules, at most about `max_bytes` large: the least recently used go first."""

    folder: Path
    max_bytes: int = MAX_BYTES

    def path(self, key: str) -> Path:
        """Where the module of a key (any text) is kept."""
        return self.folder / (hashlib.sha256(key.encode()).hexdigest() + ".cwasm")

    def read(self, key: str) -> bytes | None:
        """The native code, or None when there is none that is ours and whole."""
        if not self._is_private():
            return None
        try:
            fd = os.open(self.path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as f:
            info = os.fstat(fd)
            if (
                not stat.S_ISREG(info.st_mode)
                or info.st_uid != os.geteuid()
                or info.st_mode & 0o022
            ):
                return None
            data = f.read()
        native = data[_HEAD:]
        if (
            data[: len(_MAGIC)] != _MAGIC
            or hashlib.sha256(native).digest() != data[len(_MAGIC) : _HEAD]
        ):
            return None
        with contextlib.suppress(OSError):
            os.utime(self.path(key))
        return native

    def write(self, key: str, native: bytes) -> Path | None:
        """Keep native code; None when the folder cannot serve (the cache is a help, never a need)."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_private():
                return None
            fd, name = tempfile.mkstemp(prefix=".new-", dir=self.folder)
            try:
                with os.fdopen(fd, "wb") as f:
                    f.write(_MAGIC + hashlib.sha256(native).digest() + native)
                os.replace(name, self.path(key))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            self._shrink()
        except OSError:
            return None
        return self.path(key)

    def _is_private(self) -> bool:
        try:
            info = os.lstat(self.folder)
        except OSError:
            return False
        return (
            stat.S_ISDIR(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o077
        )

    def _shrink(self) -> None:
        entries: list[tuple[float, int, str]] = []
        with os.scandir(self.folder) as listing:
            for entry in listing:
                with contextlib.suppress(OSError):
                    info = entry.stat(follow_symlinks=False)
                    entries.append((info.st_mtime, info.st_size, entry.path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.max_bytes:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size


def default_folder() -> Path:
    """`$XDG_CACHE_HOME/cupcake/modules`, or the same under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "cupcake" / "modules"
