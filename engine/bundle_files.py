"""The files of an OPA bundle, out of an archive or a folder, and what its manifest says. Hostile bytes are expected.

It never writes to disk and never unpacks: entries are read into memory by their names, within caps. It must not know what
is done with the files; whether they are signed is `bundle_signature`'s business.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

from cupcake.engine.errors import LoadError

MANIFEST, SIGNATURES, PATCH, WASM = ".manifest", ".signatures.json", "patch.json", "policy.wasm"
DATA = ("data.json", "data.yaml", "data.yml")
#: Last parts of the names that a bundle is read for; the rest of its files counts for signatures only.
_KNOWN = frozenset((MANIFEST, SIGNATURES, PATCH, WASM, "plan.json", *DATA))


@dataclass(frozen=True, slots=True)
class Caps:
    """How large a bundle may be: bytes of a file, bytes of all (unpacked, padding included), number of entries."""

    file_bytes: int = 256 << 20
    total_bytes: int = 512 << 20
    entries: int = 100_000


@dataclass(frozen=True, slots=True)
class Manifest:
    """`.manifest`. `roots`: paths without slashes at their ends, ("",) = all. `resolvers`: (entrypoint, module file) pairs."""

    roots: tuple[str, ...] = ("",)
    revision: str = ""
    resolvers: tuple[tuple[str, str], ...] = ()
    rego_version: int | None = None
    file_rego_versions: Mapping[str, int] = field(default_factory=dict)

    def permits(self, path: tuple[str, ...]) -> bool:
        """Whether a document at this path is the bundle's to give."""
        return any(_within(path, root) for root in self.roots)


def _within(path: tuple[str, ...], root: str) -> bool:
    steps = tuple(root.split("/")) if root else ()
    return path[: len(steps)] == steps


def read_files(path: Path, caps: Caps | None = None) -> dict[str, bytes]:
    """Contents by name ("a/b/data.json") of an archive (.tar.gz, .tar) or a folder. LoadError naming file and entry."""
    caps = caps or Caps()
    try:
        if path.is_dir():
            return _folder(path, caps)
        with path.open("rb") as file:
            return read_archive(file, str(path), caps)
    except OSError as e:
        raise LoadError(f"{path}: cannot read the bundle: {e.strerror or e}") from e


def read_archive(file: IO[bytes], name: str, caps: Caps | None = None) -> dict[str, bytes]:
    """As `read_files`, from the bytes of an archive."""
    caps = caps or Caps()
    head = file.read(2)
    file.seek(0)
    stream: Any = gzip.GzipFile(fileobj=file) if head == b"\x1f\x8b" else file
    found: dict[str, bytes] = {}
    count = 0
    try:
        # As a stream: nothing is sought, so that what was unpacked is counted once and for all.
        counted = _Counted(stream, caps.total_bytes, name)
        with tarfile.open(fileobj=counted, mode="r|") as archive:
            for member in archive:
                count += 1
                if count > caps.entries:
                    raise LoadError(f"{name}: the bundle has more than {caps.entries} entries")
                _take(archive, member, found, name, caps)
        while counted.read(1 << 16):  # to the end, where the checksum is
            pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as e:
        what = (
            "it is no .tar.gz archive, or it is damaged"
            if not count
            else "it is damaged or cut off"
        )
        reason = (str(e).splitlines() or [type(e).__name__])[0].rstrip(":")
        raise LoadError(f"{name}: cannot read the bundle: {what} ({reason})") from e
    except (ValueError, OverflowError, RecursionError, UnicodeError) as e:
        raise LoadError(f"{name}: cannot read the bundle: a header is damaged ({e})") from e
    if not count:
        raise LoadError(f"{name}: cannot read the bundle: it is empty, or no .tar.gz archive")
    return found


def _take(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    found: dict[str, bytes],
    name: str,
    caps: Caps,
) -> None:
    inside = _entry_name(member.name, name)
    if member.isdir():
        return
    if not member.isreg() or member.sparse is not None:
        # OPA passes over what is no file. A policy or document that was meant would be missing without a word.
        if _is_known(inside):
            kind = "a link" if member.issym() or member.islnk() else "no regular file"
            raise LoadError(f"{name}: {inside} is {kind}: pack the file itself (tar --dereference)")
        return
    if member.size > caps.file_bytes:
        raise LoadError(f"{name}: {inside} has {member.size} bytes, the limit is {caps.file_bytes}")
    if inside in found:
        raise LoadError(
            f"{name}: {inside} is in the archive twice: which one counts is not certain"
        )
    content = archive.extractfile(member)
    data = content.read() if content else b""
    if len(data) != member.size:
        raise LoadError(f"{name}: {inside} is cut off: {len(data)} of {member.size} bytes")
    found[inside] = data


def _entry_name(written: str, archive: str) -> str:
    try:
        written.encode()
    except UnicodeEncodeError:
        raise LoadError(f"{archive}: an entry's name is not UTF-8: {written!r}") from None
    if "\0" in written or "\\" in written:
        raise LoadError(f"{archive}: an entry's name holds a NUL or a backslash: {written!r}")
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LoadError(f"{archive}: an entry's name leads out of the bundle: {written!r}")
    return "/".join(parts)


def _is_known(name: str) -> bool:
    base = PurePosixPath(name).name
    return base in _KNOWN or base.endswith(".rego")


class _Counted(io.RawIOBase):
    """A stream that ends with a LoadError when more than `left` bytes were read from it."""

    def __init__(self, inner: Any, left: int, name: str) -> None:
        super().__init__()
        self._inner, self._left, self._name = inner, left, name
        self._limit = left

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._inner.read(size if 0 <= size <= self._left else self._left + 1)
        self._left -= len(data)
        if self._left < 0:
            raise LoadError(f"{self._name}: the bundle unpacks to more than {self._limit} bytes")
        return data


def _folder(root: Path, caps: Caps) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    left = caps.total_bytes
    for folder, folders, names in os.walk(root):
        folders.sort()
        for base in sorted(names):
            path = Path(folder, base)
            inside = path.relative_to(root).as_posix()
            info = path.lstat()
            if not stat.S_ISREG(info.st_mode):
                if _is_known(inside):
                    raise LoadError(
                        f"{path}: is no regular file: put the file itself into the bundle"
                    )
                continue
            left -= info.st_size
            if info.st_size > caps.file_bytes or left < 0 or len(found) >= caps.entries:
                raise LoadError(f"{path}: makes the bundle too large: {caps}")
            found[_entry_name(inside, str(root))] = path.read_bytes()
    return found


# -- what the files say ---------------------------------------------------------------------------


def manifest_of(files: Mapping[str, bytes], name: str) -> Manifest:
    """The manifest, or the default one when there is none. LoadError when it is damaged or contradicts itself."""
    raw = files.get(MANIFEST)
    if raw is None:
        return Manifest()
    stated = json_document(raw, f"{name}:{MANIFEST}")
    if not isinstance(stated, dict):
        raise LoadError(f"{name}:{MANIFEST}: the manifest must be an object")

    def wrong(what: str) -> LoadError:
        return LoadError(f"{name}:{MANIFEST}: {what}")

    given = stated.get("roots")
    if given is None:
        given = [""]
    if not isinstance(given, list) or not all(isinstance(root, str) for root in given):
        raise wrong("roots must be a list of paths")
    roots = tuple(root.strip("/") for root in given)
    for i, one in enumerate(roots):
        for other in roots[i + 1 :]:
            if _within(tuple(one.split("/")), other) or _within(tuple(other.split("/")), one):
                raise wrong(f"the roots {one!r} and {other!r} overlap")
    revision = stated.get("revision", "")
    if not isinstance(revision, str):
        raise wrong("revision must be a text")
    versions = stated.get("file_rego_versions") or {}
    if not isinstance(versions, dict):
        raise wrong("file_rego_versions must be an object")
    for version in (stated.get("rego_version"), *versions.values()):
        if version is not None and (version not in (0, 1, 2) or isinstance(version, bool)):
            raise wrong(f"a Rego version is {version}, not 0, 1 or 2")
    return Manifest(
        roots,
        revision,
        _resolvers(stated, files, roots, wrong),
        stated.get("rego_version"),
        versions,
    )


def _resolvers(
    stated: Mapping[str, Any], files: Mapping[str, bytes], roots: tuple[str, ...], wrong: Any
) -> tuple[tuple[str, str], ...]:
    listed = stated.get("wasm") or []
    if not isinstance(listed, list):
        raise wrong("wasm must be a list")
    found: dict[str, str] = {}
    for item in listed:
        match item:
            case {"entrypoint": str(entrypoint), "module": str(module)}:
                pass
            case _:
                raise wrong("each element of wasm must have an entrypoint and a module")
        module = module.strip("/")
        if module not in files:
            raise wrong(f"the module {module} is not in the bundle")
        if not any(_within(tuple(entrypoint.split("/")), root) for root in roots):
            raise wrong(f"the roots {list(roots)} do not permit the entrypoint {entrypoint}")
        if entrypoint in found:
            raise wrong(f"the entrypoint {entrypoint} is given to two modules")
        found[entrypoint] = module
    return tuple(found.items())


def check_roots(manifest: Manifest, document: Mapping[str, Any], name: str) -> None:
    """LoadError when the base document holds something outside of the manifest's roots."""
    if "" in manifest.roots:
        return
    waiting: list[tuple[tuple[str, ...], Any]] = [
        ((key,), value) for key, value in document.items()
    ]
    while waiting:
        path, value = waiting.pop()
        if manifest.permits(path):
            continue
        leads = any(_within(tuple(root.split("/")), "/".join(path)) for root in manifest.roots)
        if not (isinstance(value, dict) and leads):
            raise LoadError(
                f"{name}: the roots {list(manifest.roots)} do not permit data at /{'/'.join(path)}: "
                "check the folders of the bundle, or its manifest"
            )
        waiting += [((*path, key), inner) for key, inner in value.items()]


def is_delta(files: Mapping[str, bytes]) -> bool:
    """Whether the bundle holds changes of data (`patch.json`) and nothing by itself."""
    return any(PurePosixPath(name).name == PATCH for name in files)


def refuse_delta(files: Mapping[str, bytes], name: str) -> None:
    """LoadError for a delta bundle: there is no running server whose data it could change."""
    if is_delta(files):
        raise LoadError(
            f"{name}: this is a delta bundle (patch.json): it changes the data of a server that has loaded a "
            "snapshot bundle; load the snapshot"
        )


def json_document(raw: bytes, name: str) -> Any:
    """The value of JSON bytes; LoadError with row and column."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise LoadError(f"{name}: byte {e.start} is not UTF-8") from None
    try:
        return json.loads(text, parse_int=_whole, parse_constant=_no_constant)
    except json.JSONDecodeError as e:
        raise LoadError(f"{name}:{e.lineno}:{e.colno}: not JSON: {e.msg}") from None
    except RecursionError:
        raise LoadError(f"{name}: nested too deeply") from None
    except ValueError as e:
        raise LoadError(f"{name}: not JSON that can be used: {e}") from None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < 20 else digits  # never looked at


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
