"""OPA bundles: a gzip tar of policies, policy.wasm or plan.json, data.json and .manifest.

Writing is reproducible: no times, no names of users. It must not read files.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cupcake.engine.artifact import Artifact

#: Annotations of an entrypoint, as JSON-like Python.
Annotations = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `.manifest` says. `rego_version` of the policies, with exceptions by the path in the bundle."""

    revision: str = ""
    roots: tuple[str, ...] = ("",)
    rego_version: str = "v1"
    file_versions: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self, wasm: Sequence[Mapping[str, Any]] = ()) -> bytes:
        """The file; `wasm` are the entrypoints that policy.wasm serves."""
        shown: dict[str, Any] = {"revision": self.revision, "roots": list(self.roots)}
        if wasm:
            shown["wasm"] = list(wasm)
        shown["rego_version"] = _number(self.rego_version)
        if self.file_versions:
            shown["file_rego_versions"] = {
                path: _number(version) for path, version in sorted(self.file_versions.items())
            }
        if self.metadata:
            shown["metadata"] = self.metadata
        return json.dumps(shown, separators=(",", ":")).encode()


_MANIFEST = Manifest()


def module_files(
    artifact: Artifact,
    *,
    manifest: Manifest = _MANIFEST,
    annotations: Annotations | None = None,
) -> dict[str, bytes]:
    """The files of a bundle with a module, as OPA's SDKs and `load` read it, by path."""
    wasm: list[dict[str, Any]] = []
    for name in artifact.entrypoints:
        wasm.append({"entrypoint": name, "module": "/policy.wasm"})
        if annotations and annotations.get(name):
            wasm[-1]["annotations"] = list(annotations[name])
    return {
        "/data.json": artifact.data,
        "/policy.wasm": artifact.wasm,
        "/.manifest": manifest.to_json(wasm),
    }


def source_files(
    data: bytes,
    modules: Mapping[str, str],
    *,
    plan: bytes | None = None,
    manifest: Manifest = _MANIFEST,
) -> dict[str, bytes]:
    """The files of a bundle as `opa build -t rego` or, with a plan, `-t plan` makes it: the base document and the
    policies' text."""
    files = {"/data.json": data}
    for name, text in sorted(modules.items()):
        files[inside(name)] = text.encode()
    if plan is not None:
        files["/plan.json"] = plan
    files["/.manifest"] = manifest.to_json()
    return files


def inside(name: str) -> str:
    """The path in a bundle of a file that was read under a name."""
    return "/" + "/".join(part for part in Path(name).parts if part not in ("/", "..", "."))


def archive(files: Mapping[str, bytes]) -> bytes:
    """The gzip tar of files by path. Equal files give equal bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def _number(rego_version: str) -> int:
    return int(rego_version.removeprefix("v"))
