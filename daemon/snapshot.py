"""A project's tree as one digest, and generations as directories: written whole, read back checked.

It must not parse policies or import the engine: supervisor, builder and engines all use it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cupcake.daemon.errors import SnapshotError

CUPCAKE = ".cupcake"
_MANIFEST = "generation.json"
_FORMAT = 1
_MOST_FILES = 20_000
_MOST_BYTES = 64 << 20


def folder_of(root: str) -> str:
    """The folder of a project that is hashed and watched."""
    return os.path.join(root, CUPCAKE)


def stat_digest(folder: str) -> str | None:
    """Digest of names, sizes and times: cheap, says when to look closer. None when there is no file at all."""
    summary = hashlib.blake2b(digest_size=16)
    found = False
    for name, path in _files(folder):
        try:
            s = os.stat(path)
        except OSError:
            continue
        found = True
        summary.update(
            f"{name}\0{s.st_size}\0{s.st_mtime_ns}\0{s.st_ctime_ns}\0{s.st_ino}\0{s.st_dev}\0".encode(
                "utf-8", "surrogateescape"
            )
        )
    return summary.hexdigest() if found else None


def content_digest(folder: str) -> str | None:
    """Digest of the names and bytes below `folder`; None when it has no file. Links are followed, each folder once.

    Past 64 MiB only names count: nobody can make this read without end."""
    summary = hashlib.blake2b(digest_size=16)
    found = False
    budget = _MOST_BYTES
    for name, path in _files(folder):
        try:
            size = os.stat(path).st_size
            data = b""
            if size <= budget:
                with open(path, "rb") as file:
                    data = file.read(budget)
        except OSError as error:
            data = f"unreadable {error.errno}".encode()
        budget -= len(data)
        found = True
        summary.update(len(data).to_bytes(8, "big"))
        summary.update(name.encode("utf-8", "surrogateescape") + b"\0" + data)
    return summary.hexdigest() if found else None


def _files(top: str) -> Iterator[tuple[str, str]]:
    """Regular files below `top` as (relative name, path), in an order that depends on the names alone."""
    seen: set[tuple[int, int]] = set()
    count = 0
    stack = [("", top)]
    while stack:
        prefix, folder = stack.pop()
        try:
            place = os.stat(folder)
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir():
                    stack.append((f"{prefix}{entry.name}/", entry.path))
                elif entry.is_file():
                    count += 1
                    if count > _MOST_FILES:
                        return
                    yield prefix + entry.name, entry.path
            except OSError:
                continue


@dataclass(frozen=True, slots=True)
class Generation:
    """A published generation: immutable, named by its number, found by its directory."""

    root: str
    number: int
    digest: str
    directory: Path


def project_folder(base: Path, root: str) -> Path:
    """Where the generations of a project lie below `base`."""
    name = hashlib.sha256(root.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return base / "generations" / name


def highest_number(base: Path, root: str) -> int:
    """The greatest generation number ever published there and still present, 0 without any."""
    try:
        names = os.listdir(project_folder(base, root))
    except OSError:
        return 0
    return max((int(n) for n in names if n.isascii() and n.isdigit() and len(n) < 12), default=0)


def publish(
    base: Path, root: str, number: int, digest: str, write: Callable[[Path], None]
) -> Generation:
    """Let `write` fill a fresh folder, then give it its final name in one step.

    Raises SnapshotError (with what to do) and leaves nothing behind when the disk is full or refuses."""
    folder = project_folder(base, root)
    temporary = folder / f".{number}.{os.getpid()}"
    final = folder / str(number)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        write(temporary)
        manifest = {"format": _FORMAT, "root": root, "number": number, "digest": digest}
        (temporary / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
        os.rename(temporary, final)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise SnapshotError(
            f"cannot write generation {number} to {folder}: {error.strerror or error}; "
            "free some space or give another --cache-dir"
        ) from error
    return Generation(root, number, digest, final)


def read_generation(directory: Path) -> Generation:
    """Raises SnapshotError when the folder is no published generation."""
    try:
        manifest: Any = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise SnapshotError(
                f"{directory} has format {manifest['format']}, this daemon reads {_FORMAT}"
            )
        return Generation(
            str(manifest["root"]), int(manifest["number"]), str(manifest["digest"]), directory
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{directory} is no published generation: {error}") from error


def sweep(base: Path, root: str, keep: frozenset[str]) -> None:
    """Remove older generations of a project but those in `keep` (paths); what cannot be removed stays."""
    folder = project_folder(base, root)
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        path = folder / name
        if str(path) not in keep:
            shutil.rmtree(path, ignore_errors=True)
