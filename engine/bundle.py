"""OPA bundles: a gzip tar of policy.wasm, data.json and .manifest. Writing is reproducible: no times, no names of users."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

from cupcake.engine.artifact import Artifact


def bundle_bytes(artifact: Artifact) -> bytes:
    """The bundle as OPA's SDKs and `load` read it. Equal artifacts give equal bytes."""
    manifest = {
        "revision": "",
        "roots": [""],
        "wasm": [{"entrypoint": name, "module": "/policy.wasm"} for name in artifact.entrypoints],
    }
    entries = {
        "/data.json": artifact.data,
        "/policy.wasm": artifact.wasm,
        "/.manifest": json.dumps(manifest, separators=(",", ":")).encode(),
    }
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def write_bundle(artifact: Artifact, path: Path) -> None:
    """Raises OSError."""
    path.write_bytes(bundle_bytes(artifact))
