"""Key and history on disk, outside every project; reading a project's files; signing. The impure half of trust.

    $XDG_STATE_HOME/cupcake/trust.key              32 random bytes, mode 0600
    $XDG_STATE_HOME/cupcake/trust/<project>.json   {"project": ..., "generation": n}: trust is on for this project
    <project>/.cupcake/.trust                      the signed manifest

The history entry, not the manifest, says that trust is on: deleting `.trust` must not switch it off.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cupcake.trust import manifest as m
from cupcake.trust.errors import FileNotTrusted, KeyUnusable, ManifestInvalid, NotInitialised
from cupcake.trust.trusted_state import accept, check_files

KEY_BYTES = 32
MAX_FILE = 16 * 1024 * 1024
MANIFEST = ".cupcake/.trust"
# Written by Cupcake itself while it runs, or never part of a decision.
LEFT_OUT = (".trust", "debug", "telemetry")


def state_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "cupcake"


def canonical_root(root: str | os.PathLike[str]) -> str:
    return os.path.realpath(root)


def load_key(folder: Path, *, create: bool = False) -> bytes:
    """The key; with `create` made when absent. Raises KeyUnusable."""
    path = folder / "trust.key"
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            temporary = folder / f".trust.key.{os.getpid()}"
            write_durably(temporary, os.urandom(KEY_BYTES))
            try:
                os.link(temporary, path)  # unlike rename, never replaces a key that is there
            finally:
                temporary.unlink()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise KeyUnusable(
            f"the trust key {path} cannot be read ({error.strerror}). "
            "Look at .cupcake, then run: cupcake trust update (for a project that was signed elsewhere: init)"
        ) from None
    with open(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if info.st_uid != os.getuid() or info.st_mode & 0o077 or not stat.S_ISREG(info.st_mode):
            raise KeyUnusable(
                f"the trust key {path} must be a file of yours that nobody else can read "
                f"(found owner {info.st_uid}, mode {stat.S_IMODE(info.st_mode):o}). "
                "Others may know it: remove it, look at your projects and run in each: cupcake trust update"
            )
        key = file.read(KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        raise KeyUnusable(
            f"the trust key {path} is not {KEY_BYTES} bytes. Remove it, and run in each project: cupcake trust update"
        )
    return key


def write_durably(path: Path, data: bytes) -> None:
    """Creates `path` (which must not exist) with mode 0600 and fsyncs it."""
    with open(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600),
        "wb",
    ) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Writes beside `path`, fsyncs, renames, fsyncs the folder: the old or the new content, never a mixture."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        write_durably(temporary, data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _history_path(folder: Path, root: str) -> Path:
    return (
        folder
        / "trust"
        / f"{hashlib.sha256(root.encode('utf-8', 'surrogateescape')).hexdigest()}.json"
    )


def last_generation(folder: Path, root: str) -> int | None:
    """The highest accepted generation of the project; None when trust is not on for it."""
    path = _history_path(folder, root)
    try:
        raw = json.loads(path.read_bytes())
        generation = raw["generation"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(
            f"the trust history {path} cannot be read ({error}). Run: cupcake trust update"
        ) from None
    if type(generation) is not int:
        raise ManifestInvalid(f"the trust history {path} is garbled. Run: cupcake trust update")
    return generation


def _remember(folder: Path, root: str, generation: int) -> None:
    path = _history_path(folder, root)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_durably(path, json.dumps({"project": root, "generation": generation}).encode())


def read_project_files(root: str) -> dict[str, bytes]:
    """Every file below `.cupcake` that can take part in a decision: path relative to the root -> bytes.

    Symlinks are refused (FileNotTrusted): what they point at can change without any signed byte changing. So is
    all else that is no regular file, and what is too large to be read whole. Raises OSError for what cannot be read.
    """
    base = os.path.join(root, ".cupcake")
    files: dict[str, bytes] = {}
    for folder, folders, names in os.walk(base, onerror=_raise):
        if folder == base:
            folders[:] = [name for name in folders if name not in LEFT_OUT]
            names = [name for name in names if name not in LEFT_OUT]
        for name in [*names, *folders]:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                raise FileNotTrusted(
                    f"{os.path.relpath(path, root)} is a symbolic link, which cannot be signed. Put the file itself there."
                )
        for name in names:
            path = os.path.join(folder, name)
            files[os.path.relpath(path, root)] = _read_whole(path, os.path.relpath(path, root))
    return files


def _raise(error: OSError) -> None:
    raise error


def _read_whole(path: str, shown: str) -> bytes:
    # O_NONBLOCK: a FIFO must not hold us up. What opening it does to a device is not for us to try.
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise FileNotTrusted(f"{shown} is not a regular file, so it cannot be signed. Remove it.")
    with open(
        os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK), "rb"
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FileNotTrusted(
                f"{shown} is not a regular file, so it cannot be signed. Remove it."
            )
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise FileNotTrusted(
            f"{shown} is larger than {MAX_FILE} bytes, so it cannot be signed. Move it out of .cupcake."
        )
    return data


def read_entries(root: str) -> dict[str, m.Entry]:
    """`read_project_files`, as a manifest holds them."""
    return {path: m.entry_of(data) for path, data in read_project_files(root).items()}


def sign(
    root: str,
    folder: Path,
    *,
    now: int,
    expires: int | None = None,
    files: Mapping[str, m.Entry] | None = None,
) -> m.Manifest:
    """Signs the project as it is now, one generation above the last; with `files`, as a person has seen it."""
    root = canonical_root(root)
    if not os.path.isdir(os.path.join(root, ".cupcake")):
        raise NotInitialised(f"{root} has no .cupcake folder. Run: cupcake init --harness claude")
    key = load_key(folder, create=True)
    if files is None:
        files = read_entries(root)
    try:
        generation = (last_generation(folder, root) or 0) + 1
    except ManifestInvalid:
        generation = now  # an unreadable history must not let an older manifest pass
    manifest = m.Manifest(root, generation, now, expires, files)
    replace_durably(Path(root, MANIFEST), m.to_bytes(manifest, key))
    _remember(folder, root, manifest.generation)
    return manifest


def read_manifest(root: str) -> bytes | None:
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(os.path.join(root, MANIFEST), flags)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ManifestInvalid(
                    f"{os.path.join(root, MANIFEST)} is not a regular file. Remove it, "
                    "look at .cupcake and run: cupcake trust update"
                )
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(m.MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ManifestInvalid(
            f"{os.path.join(root, MANIFEST)} cannot be read: {error.strerror}"
        ) from None


def accepted_manifest(root: str, folder: Path, *, now: float) -> m.Manifest | None:
    """The accepted manifest; None when trust is off (no history and no manifest). Raises TrustError."""
    root = canonical_root(root)
    known = last_generation(folder, root)
    data = read_manifest(root)
    if known is None and data is None:
        return None
    manifest = accept(data, load_key(folder), project=root, now=now, last_generation=known or 0)
    if known is None or manifest.generation > known:
        _remember(folder, root, manifest.generation)
    return manifest


def verify_sources(
    root: str, files: Mapping[str, bytes], folder: Path, *, now: float
) -> int | None:
    """For the builder: `files` (path relative to the root -> bytes read) are what will be compiled.

    Returns the manifest's generation, None when trust is off; raises TrustError when trust is on and any
    file is not as signed. Files that take no part in decisions are compared as they are on disk.
    """
    manifest = accepted_manifest(root, folder, now=now)
    if manifest is None:
        return None
    check_files(manifest, {**read_project_files(canonical_root(root)), **files})
    return manifest.generation
