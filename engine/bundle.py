"""OPA bundles: a gzip tar of policy.wasm or plan.json, data.json and .manifest. Writing is reproducible: no times, no names of users."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from cupcake.engine.artifact import Artifact


def bundle_bytes(artifact: Artifact, *, revision: str = "") -> bytes:
    """The bundle as OPA's SDKs and `load` read it. Equal artifacts give equal bytes."""
    manifest = {
        "revision": revision,
        "roots": [""],
        "wasm": [{"entrypoint": name, "module": "/policy.wasm"} for name in artifact.entrypoints],
    }
    entries = {
        "/data.json": artifact.data,
        "/policy.wasm": artifact.wasm,
        "/.manifest": json.dumps(manifest, separators=(",", ":")).encode(),
    }
    return _archive(entries)


def plan_bundle_bytes(
    plan: bytes,
    data: bytes,
    modules: Mapping[str, str],
    *,
    revision: str = "",
    rego_version: str = "v1",
) -> bytes:
    """A bundle as `opa build -t plan` makes it: plan.json, the base document and the policies' text."""
    version = 0 if rego_version == "v0" else 1
    manifest = {"revision": revision, "roots": [""], "rego_version": version}
    entries = {"/data.json": data}
    for name, text in sorted(modules.items()):
        parts = [part for part in Path(name).parts if part not in ("/", "..", ".")]
        entries["/" + "/".join(parts)] = text.encode()
    entries["/plan.json"] = plan
    entries["/.manifest"] = json.dumps(manifest, separators=(",", ":")).encode()
    return _archive(entries)


def _archive(entries: Mapping[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)
