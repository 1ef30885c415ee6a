"""The decision whether a project is in its signed state. Pure: bytes, key, clock and history are handed in.

accept:      manifest bytes + key + now + last accepted generation -> Manifest, or a typed error
check_files: Manifest + the bytes that are about to be used        -> nothing, or a typed error
"""

from __future__ import annotations

from collections.abc import Mapping

from cupcake.trust.errors import (
    Expired,
    FileChanged,
    FileMissing,
    FileNotTrusted,
    ManifestMissing,
    Rollback,
    WrongProject,
)
from cupcake.trust.manifest import Manifest, entry_of, from_bytes


def accept(
    data: bytes | None, key: bytes, *, project: str, now: float, last_generation: int
) -> Manifest:
    """`data`: the content of `.cupcake/.trust` (None = absent); `last_generation`: the highest accepted so far."""
    if data is None:
        raise ManifestMissing(
            f"trust is on for {project}, but .cupcake/.trust is gone. Restore it, or look at .cupcake and run: cupcake trust update"
        )
    manifest = from_bytes(data, key)
    if manifest.project != project:
        raise WrongProject(
            f".cupcake/.trust was signed for {manifest.project}, not for {project}. Run: cupcake trust update"
        )
    if manifest.generation < last_generation:
        raise Rollback(
            f".cupcake/.trust has generation {manifest.generation}, but {last_generation} was accepted before: "
            "an old state was put back. Look at .cupcake, then run: cupcake trust update"
        )
    if manifest.expires is not None and now >= manifest.expires:
        raise Expired(
            ".cupcake/.trust has expired. Look at .cupcake, then run: cupcake trust update"
        )
    return manifest


def check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """`files`: path -> the very bytes that will be compiled or run; they must be exactly the signed set."""
    for path in sorted(files):
        signed = manifest.files.get(path)
        if signed is None:
            raise FileNotTrusted(
                f"{path} was not there when the project was signed. Look at it, then run: cupcake trust update"
            )
        found = entry_of(files[path])
        if found != signed:
            raise FileChanged(path, signed.sha256, found.sha256)
    for path in sorted(manifest.files):
        if path not in files:
            raise FileMissing(
                f"{path} was signed but is gone. Restore it, or run: cupcake trust update"
            )
