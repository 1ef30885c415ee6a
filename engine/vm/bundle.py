"""OPA bundles as far as the VM needs them: `policy.wasm` and `data.json` out of a .tar.gz or a folder.

It must not write to disk, nor unpack by the paths in an archive.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from cupcake.engine.errors import LoadError

MAX_MEMBER = 256 << 20


@dataclass(frozen=True, slots=True)
class WasmBundle:
    """`data` is the base document's JSON text."""

    wasm: bytes
    data: bytes


def read_bundle(path: Path) -> WasmBundle:
    """From a .wasm file, a bundle archive or a bundle's folder. LoadError naming what is missing."""
    try:
        if path.is_dir():
            return _pick({n: (path / n).read_bytes() for n in _NAMES if (path / n).is_file()}, path)
        if path.suffix == ".wasm":
            return WasmBundle(path.read_bytes(), b"{}")
        with tarfile.open(path, "r:*") as archive:
            found: dict[str, bytes] = {}
            for member in archive:
                name = member.name.removeprefix("./").lstrip("/")
                if name in _NAMES and member.isfile():
                    if member.size > MAX_MEMBER:
                        raise LoadError(
                            f"{path}: {name} has {member.size} bytes, the limit is {MAX_MEMBER}"
                        )
                    content = archive.extractfile(member)
                    found[name] = content.read() if content else b""
            return _pick(found, path)
    except (OSError, tarfile.TarError, EOFError) as e:
        raise LoadError(f"{path}: cannot read the bundle: {e}") from e


_NAMES = ("policy.wasm", "data.json")


def _pick(found: dict[str, bytes], path: Path) -> WasmBundle:
    wasm = found.get("policy.wasm")
    if wasm is None:
        raise LoadError(
            f"{path}: the bundle has no policy.wasm: build it with `opa build -t wasm` or `cupcake rego build`"
        )
    return WasmBundle(wasm, found.get("data.json", b"{}"))
