"""The manifest: what was signed. Canonical bytes, HMAC, parsing. Pure: no disk, no clock, no randomness."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cupcake.trust.errors import ManifestForged, ManifestInvalid

FORMAT = "cupcake-trust/1"
MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """Size in bytes and SHA-256 (hex) of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`project`: canonical root; `generation` grows by one with each signing; `created` and `expires`: seconds
    since 1970 (None = never); `files`: path relative to the root -> Entry."""

    project: str
    generation: int
    created: int
    expires: int | None
    files: Mapping[str, Entry]


def entry_of(data: bytes) -> Entry:
    return Entry(len(data), hashlib.sha256(data).hexdigest())


def canonical(manifest: Manifest) -> bytes:
    """The signed bytes: JSON with sorted keys, no blanks, ASCII only. Equal manifests give equal bytes."""
    return json.dumps(
        {
            "format": FORMAT,
            "project": manifest.project,
            "generation": manifest.generation,
            "created": manifest.created,
            "expires": manifest.expires,
            "files": {
                path: {"size": e.size, "sha256": e.sha256} for path, e in manifest.files.items()
            },
        },
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=True,
    ).encode("ascii")


def mac(manifest: Manifest, key: bytes) -> str:
    return hmac.new(key, canonical(manifest), hashlib.sha256).hexdigest()


def to_bytes(manifest: Manifest, key: bytes) -> bytes:
    """The file's content: `{"hmac": ..., "manifest": {...}}`, canonical, one line."""
    return (
        b'{"hmac":"' + mac(manifest, key).encode() + b'","manifest":' + canonical(manifest) + b"}\n"
    )


def from_bytes(data: bytes, key: bytes) -> Manifest:
    """Raises ManifestInvalid or ManifestForged. The signature is compared in constant time, over the
    canonical form of what was parsed, so that no two readings of the same bytes can exist."""
    if len(data) > MAX_BYTES:
        raise ManifestInvalid(
            f".cupcake/.trust is {len(data)} bytes, at most {MAX_BYTES} are allowed"
        )
    try:
        outer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(
            f".cupcake/.trust is not JSON ({error}). Run: cupcake trust update"
        ) from None
    if not (isinstance(outer, dict) and outer.keys() == {"hmac", "manifest"}):
        raise ManifestInvalid(
            ".cupcake/.trust lacks `hmac` and `manifest`. Run: cupcake trust update"
        )
    manifest = _parse(outer["manifest"])
    signature = outer["hmac"]
    # isascii: compare_digest raises TypeError on other text, which would not be a typed refusal.
    if not (isinstance(signature, str) and signature.isascii()) or not hmac.compare_digest(
        signature, mac(manifest, key)
    ):
        raise ManifestForged(
            ".cupcake/.trust was altered or signed with another key: its signature does not fit. "
            "Look at what changed in .cupcake, then run: cupcake trust update"
        )
    return manifest


def _parse(raw: Any) -> Manifest:
    try:
        if raw["format"] != FORMAT or raw.keys() != {
            "format",
            "project",
            "generation",
            "created",
            "expires",
            "files",
        }:
            raise ManifestInvalid(
                f".cupcake/.trust is not of format {FORMAT}. Run: cupcake trust update"
            )
        files = {}
        for path, entry in raw["files"].items():
            if entry.keys() != {"size", "sha256"}:
                raise ManifestInvalid(
                    f".cupcake/.trust: entry {path!r} is garbled. Run: cupcake trust update"
                )
            files[_text(path)] = Entry(_number(entry["size"]), _text(entry["sha256"]))
        expires = raw["expires"]
        return Manifest(
            _text(raw["project"]),
            _number(raw["generation"]),
            _number(raw["created"]),
            None if expires is None else _number(expires),
            files,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ManifestInvalid(
            f".cupcake/.trust is garbled ({error!r}). Run: cupcake trust update"
        ) from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is no count")
    return value
