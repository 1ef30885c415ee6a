"""What the VM needs of a bundle: its WebAssembly modules, their entrypoints and the base document.

It must not write to disk, nor compile Rego.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cupcake.engine.bundle_files import (
    DATA,
    WASM,
    check_roots,
    json_document,
    manifest_of,
    read_files,
    refuse_delta,
)
from cupcake.engine.bundle_signature import Verification, verify_files
from cupcake.engine.errors import LoadError
from cupcake.engine.vm.text import dump_value, parse_value

MAX_MODULE = 256 << 20


@dataclass(frozen=True, slots=True)
class WasmBundle:
    """`modules`: each module with the entrypoints that the manifest gives to it, () = all that it has. `data` is the base
    document's JSON text."""

    modules: tuple[tuple[bytes, tuple[str, ...]], ...]
    data: bytes


def read_bundle(path: Path, verification: Verification | None = None) -> WasmBundle:
    """From a .wasm file, a bundle archive or a bundle's folder. LoadError naming what is wrong or missing; also when it does
    not stand up to `verification`."""
    name = str(path)
    if path.suffix == ".wasm" and not path.is_dir():
        if verification is not None:
            raise LoadError(f"{name}: a bare module carries no signature: give the signed bundle")
        return WasmBundle(((_module_file(path), ()),), b"{}")
    files = read_files(path)
    refuse_delta(files, name)
    if verification is not None:
        verify_files(files, verification, name, path.as_posix() if path.is_dir() else "")
    manifest = manifest_of(files, name)
    data = _base_document(files, name)
    if "" not in manifest.roots:
        check_roots(manifest, json_document(data, name), name)
    return WasmBundle(_modules(files, manifest.resolvers, name), data)


def _module_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_MODULE:
            raise LoadError(f"{path}: has more than {MAX_MODULE} bytes")
        return path.read_bytes()
    except OSError as e:
        raise LoadError(f"{path}: cannot read the module: {e.strerror or e}") from e


def _modules(
    files: dict[str, bytes], resolvers: tuple[tuple[str, str], ...], name: str
) -> tuple[tuple[bytes, tuple[str, ...]], ...]:
    if resolvers:
        wanted: dict[str, list[str]] = {}
        for entrypoint, module in resolvers:
            wanted.setdefault(module, []).append(entrypoint)
        return tuple((files[module], tuple(names)) for module, names in wanted.items())
    if WASM not in files:
        if any(file.endswith(".rego") for file in files):
            raise LoadError(
                f"{name}: the bundle has no policy.wasm, but policies as text: build it with -t wasm, or evaluate it "
                "with `cupcake rego eval -b`"
            )
        raise LoadError(
            f"{name}: the bundle has no policy.wasm: build it with `opa build -t wasm` or `cupcake rego build`"
        )
    return ((files[WASM], ()),)


def _base_document(files: dict[str, bytes], name: str) -> bytes:
    """The JSON text of all data files together; that of a lone data.json at the top as it is."""
    found = [path for path in files if PurePosixPath(path).name in DATA]
    for path in found:
        place = f"{name}:{path}"
        if path.endswith(".json"):
            top = json_document(files[path], place)
            if path == "data.json" and not isinstance(top, dict):
                raise LoadError(f"{place}: the document must be an object")
    if not found or found == ["data.json"]:
        return files.get("data.json", b"{}")
    merged: dict[str, Any] = {}
    for path in found:
        place = f"{name}:{path}"
        document: Any = _value(files[path], path, place)
        for step in reversed(PurePosixPath(path).parts[:-1]):
            document = {step: document}
        if not isinstance(document, dict):
            raise LoadError(f"{place}: the document must be an object")
        _merge(merged, document, place)
    return dump_value(merged).encode()


def _value(raw: bytes, path: str, place: str) -> Any:
    if path.endswith(".json"):
        return parse_value(raw.decode())
    from cupcake.engine.policy.yaml_text import YamlProblem, parse_yaml

    try:
        value = parse_yaml(raw.decode()).value
        dump_value(value)
    except (YamlProblem, UnicodeDecodeError, TypeError) as e:
        raise LoadError(f"{place}: not YAML of JSON's kinds: {e}") from None
    return value


def _merge(into: dict[str, Any], new: dict[str, Any], place: str) -> None:
    for key, value in new.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, dict):
            _merge(into[key], value, place)
        else:
            raise LoadError(f"{place}: `{key}` is in another data file of the bundle already")
