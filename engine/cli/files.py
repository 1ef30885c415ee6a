"""Reads what a `cupcake rego` command was given: policies, data, inputs and bundles, laid out as `opa` lays them out.

It must not parse Rego. Everything that cannot be used is a LoadProblem that names the file.
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cupcake.engine.errors import EngineError, LoadError

if TYPE_CHECKING:
    from cupcake.engine.bundle_files import Manifest
    from cupcake.engine.bundle_signature import Verification

MAX_FILE = 64 * 1024 * 1024
MAX_BUNDLE = 256 * 1024 * 1024
_DATA = (".json", ".yaml", ".yml")
# Patterns that one pattern of a manifest may stand for.
_MOST_ALTERNATIVES = 1_000


class LoadProblem(EngineError):
    """A file that cannot be used; the message names it."""


class _NotJson(LoadProblem):
    """Text that does not follow JSON's grammar."""


class WrittenNumber(Decimal):
    """A number that prints as it was written: `1.50`, `1e-7`."""

    __slots__ = ("_written",)
    _written: str

    def __new__(cls, text: str) -> WrittenNumber:
        number = super().__new__(cls, text)
        number._written = text
        return number

    def __str__(self) -> str:
        return self._written


@dataclass(slots=True)
class Loaded:
    """Policy texts by name, the base document, the Rego version of policies whose bundle states one, and of bundles
    the manifests and signatures, as far as they have them. `documents`: names of data files and where in the base document they lie."""

    modules: dict[str, str] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Literal["v0", "v1", "v2"]] = field(default_factory=dict)
    manifests: list[dict[str, Any]] = field(default_factory=list)
    documents: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    signatures: dict[str, Any] = field(default_factory=dict)
    #: Of a bundle's policies: the paths that its manifest gives to it.
    roots: dict[str, tuple[str, ...]] = field(default_factory=dict)


def load_paths(paths: Sequence[str], ignore: Sequence[str] = ()) -> Loaded:
    """As `-d`: files and folders, `a.b:FILE` puts data below `data.a.b`. Data of a folder lies below its subfolders' names."""
    loaded = Loaded()
    for given in paths:
        prefix, path = _prefixed(given)
        if path.is_dir():
            for found in _files(path, ignore):
                below = found.relative_to(path).parts[:-1]
                _add(loaded, found, (*prefix, *below))
        elif path.exists():
            if path.suffix not in (".rego", *_DATA):
                raise LoadProblem(f"{path}: neither .rego, .json nor .yaml")
            _add(loaded, path, prefix)
        else:
            raise LoadProblem(f"{path}: no such file or folder")
    return loaded


def load_bundles(
    paths: Sequence[str], ignore: Sequence[str] = (), verification: Verification | None = None
) -> Loaded:
    """As `-b`: archives and folders in the layout of bundles, of which only data.json and data.yaml count as data. With
    `verification` each must be signed so."""
    loaded = Loaded()
    for given in paths:
        path = Path(given.removeprefix("file://"))
        if not path.exists():
            raise LoadProblem(f"{path}: no such bundle")
        _add_bundle(loaded, path, ignore, verification)
    return loaded


def merge_into(one: Loaded, other: Loaded) -> None:
    """Adds what `other` holds."""
    one.modules.update(other.modules)
    one.versions.update(other.versions)
    one.manifests += other.manifests
    one.roots.update(other.roots)
    _merge(one.data, other.data, "the bundles")


def policy_files(paths: Sequence[str], ignore: Sequence[str] = ()) -> dict[str, str]:
    """Only the policies."""
    texts: dict[str, str] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            texts |= {str(p): read_text(p) for p in _files(path, ignore) if p.suffix == ".rego"}
        elif path.exists():
            texts |= {str(path): read_text(path)} if path.suffix == ".rego" else {}
        else:
            raise LoadProblem(f"{path}: no such file or folder")
    return texts


def read_input(name: str | None, from_stdin: bool) -> tuple[bool, Any]:
    """(whether there is an input, its value). YAML by the file's ending; of stdin and files with another one whatever it is."""
    if from_stdin:
        return True, _either("<stdin>", sys.stdin.read())
    if name is None:
        return False, None
    path = Path(name)
    if not path.exists() or path.is_dir():
        raise LoadProblem(f"{path}: no such file")
    text = read_text(path)
    return True, _document(path, text) if path.suffix in _DATA else _either(str(path), text)


def _either(name: str, text: str) -> Any:
    """JSON or YAML. What is neither is reported as no JSON."""
    try:
        return parse_json(text, name)
    except _NotJson as problem:
        try:
            return _document(Path(f"{name}.yaml"), text) if text.strip() else None
        except LoadProblem:
            raise problem from None


def read_stdin() -> str:
    """All of stdin."""
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise LoadProblem(f"<stdin>: byte {error.start} is not UTF-8") from None


def read_document(path: Path) -> Any:
    """A document, YAML by the file's ending."""
    return _document(path, read_text(path))


def read_text(path: Path) -> str:
    """A file as UTF-8."""
    try:
        return _text(path.read_bytes(), str(path))
    except OSError as error:
        raise LoadProblem(f"{path}: {error.strerror}") from None


def parse_json(text: str, name: str) -> Any:
    """JSON with exact numbers (int, WrittenNumber)."""
    try:
        return json.loads(
            text,
            parse_float=WrittenNumber,
            parse_int=_whole if len(text) > 4300 else None,
            parse_constant=_no_constant,
        )
    except json.JSONDecodeError as error:
        raise _NotJson(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise LoadProblem(f"{name}: nested too deeply") from None
    except ArithmeticError:
        raise LoadProblem(f"{name}: a number is out of range: its exponent is too large") from None
    except ValueError as error:
        raise LoadProblem(f"{name}: not JSON that can be used: {error}") from None


def _whole(text: str) -> int | WrittenNumber:
    # Python refuses to convert longer ones, because that takes quadratic time.
    return int(text) if len(text) <= 4300 else WrittenNumber(text)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _prefixed(given: str) -> tuple[tuple[str, ...], Path]:
    plain = given.removeprefix("file://")
    if plain != given or Path(given).exists() or ":" not in given:
        return (), Path(plain)
    prefix, _, rest = given.partition(":")
    return tuple(prefix.split(".")), Path(rest.removeprefix("file://"))


def _files(folder: Path, ignore: Sequence[str]) -> Iterator[Path]:
    found = _walk(folder, (), {_identity(folder): folder}, ignore)
    yield from sorted(path for path in found if path.suffix in (".rego", *_DATA))


def _walk(
    folder: Path,
    below: tuple[str, ...],
    around: Mapping[tuple[int, int], Path],
    ignore: Sequence[str],
) -> Iterator[Path]:
    """The files in a folder and its folders, symbolic links followed as OPA does. `around`: the folders that it lies in."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise LoadProblem(f"{folder}: {error.strerror}") from None
    for path in entries:
        parts = (*below, path.name)
        if _is_ignored(parts, ignore):
            continue
        identity = _identity(path)
        if identity in around:
            raise LoadProblem(
                f"{path}: this symbolic link leads back to {around[identity]}, a folder that it lies in; remove it, or leave "
                f"it out with --ignore {path.name}"
            )
        if path.is_dir():
            yield from _walk(path, parts, {**around, identity: path}, ignore)
        elif path.is_file():
            yield path


def _identity(path: Path) -> tuple[int, int]:
    """Device and number of what a path leads to."""
    try:
        found = path.stat()
    except OSError as error:
        hint = ""
        if path.is_symlink():
            hint = f": a symbolic link to {path.readlink()}; leave it out with --ignore {path.name}"
        raise LoadProblem(f"{path}: {error.strerror}{hint}") from None
    return found.st_dev, found.st_ino


def _is_ignored(parts: Sequence[str], ignore: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in ignore)


def _text(data: bytes, name: str) -> str:
    if len(data) > MAX_FILE:
        raise LoadProblem(f"{name} is {len(data)} bytes, at most {MAX_FILE} are read")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LoadProblem(f"{name}: byte {error.start} is not UTF-8") from None


def _document(path: Path, text: str) -> Any:
    if path.suffix not in (".yaml", ".yml"):
        return parse_json(text, str(path))
    from cupcake.engine.policy.yaml_text import YamlProblem, parse_yaml

    try:
        return _plain(parse_yaml(text, first=True).value, str(path))  # as OPA takes it
    except YamlProblem as problem:
        raise LoadProblem(f"{path}:{problem.row}: {problem}") from None


def _plain(value: Any, name: str) -> Any:
    """YAML's values as JSON's."""
    match value:
        case dict():
            return {_key(k, name): _plain(v, name) for k, v in value.items()}
        case list():
            return [_plain(v, name) for v in value]
        case float() if not math.isfinite(value):
            raise LoadProblem(f"{name}: {value} is no number of JSON")
        case None | bool() | int() | float() | str():
            return value
    import datetime

    if isinstance(value, datetime.date):
        return value.isoformat()
    raise LoadProblem(f"{name}: a {type(value).__name__} is no value of JSON")


def _key(key: Any, name: str) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, (bool, int, float)):
        return json.dumps(key)
    raise LoadProblem(f"{name}: a key must be a text, not {key!r}")


def _add(loaded: Loaded, path: Path, below: tuple[str, ...]) -> None:
    text = read_text(path)
    if path.suffix == ".rego":
        loaded.modules[str(path)] = text
    else:
        _merge_document(loaded, _document(path, text), below, str(path))


def _merge_document(
    loaded: Loaded, document: Any, below: tuple[str, ...], name: str
) -> dict[str, Any]:
    """Adds a document below a path; returns it as it lies in the whole."""
    for part in reversed(below):
        document = {part: document}
    if not isinstance(document, dict):
        raise LoadProblem(f"{name}: the document must be an object")
    _merge(loaded.data, document, name)
    loaded.documents.append((name, below))
    return document


def _merge(into: dict[str, Any], new: dict[str, Any], name: str) -> None:
    for key, value in new.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, dict):
            _merge(into[key], value, name)
        else:
            raise LoadProblem(f"{name}: merge error: `{key}` is in another data file already")


def _add_bundle(
    loaded: Loaded, path: Path, ignore: Sequence[str], verification: Verification | None
) -> None:
    """A bundle's policies and data; `ignore` leaves files of a folder out, once they are verified."""
    # Only who reads bundles pays for this.
    from cupcake.engine.bundle_files import (
        DATA,
        MANIFEST,
        SIGNATURES,
        Caps,
        check_roots,
        manifest_of,
        read_files,
        refuse_delta,
    )
    from cupcake.engine.bundle_signature import verify_files

    is_folder = path.is_dir()
    try:
        files = read_files(path, Caps(MAX_FILE, MAX_BUNDLE))
        refuse_delta(files, str(path))
        if verification is not None:
            verify_files(files, verification, str(path), path.as_posix() if is_folder else "")
        manifest = manifest_of(files, str(path))
        if MANIFEST in files:
            stated = parse_json(_text(files[MANIFEST], f"{path}:{MANIFEST}"), f"{path}:{MANIFEST}")
            loaded.manifests.append(stated)
        if SIGNATURES in files:
            _signatures(loaded, _text(files[SIGNATURES], str(path)), f"{path}:{SIGNATURES}")
        inside_names: dict[str, str] = {}
        for inside, raw in files.items():
            parts = tuple(inside.split("/"))
            if is_folder and _is_ignored(parts, ignore):
                continue
            name = str(path / inside) if is_folder else inside
            place = name if is_folder else f"{path}:{inside}"
            if inside.endswith(".rego"):
                loaded.modules[name] = _text(raw, place)
                loaded.roots[name] = manifest.roots
                inside_names[name] = inside
            elif parts[-1] in DATA:
                document = _document(Path(place), _text(raw, place))
                whole = _merge_document(loaded, document, parts[:-1], place)
                check_roots(manifest, whole, str(path))
    except LoadError as error:
        hint = "; a policy or data file is read with -d" if path.suffix in (".rego", *_DATA) else ""
        raise LoadProblem(f"{error}{hint}") from None
    _versions(loaded, manifest, inside_names)


def _signatures(loaded: Loaded, text: str, name: str) -> None:
    stated = parse_json(text, name)
    if not isinstance(stated, dict):
        raise LoadProblem(f"{name}: must be an object")
    loaded.signatures = stated


def _versions(loaded: Loaded, manifest: Manifest, inside: Mapping[str, str]) -> None:
    """Notes the versions that a manifest gives: `rego_version`, and `file_rego_versions` by path or pattern, of which
    the first in the order of their text counts."""
    names: tuple[Literal["v0"], Literal["v1"], Literal["v2"]] = ("v0", "v1", "v2")
    patterns = [
        (one, version)
        for pattern, version in sorted(manifest.file_rego_versions.items())
        for one in _alternatives(pattern)
    ]
    for module, path in inside.items():
        version = manifest.rego_version
        for pattern, own in patterns:
            if fnmatch.fnmatchcase(f"/{path}", pattern) or fnmatch.fnmatchcase(path, pattern):
                version = own
                break
        if version is not None:
            loaded.versions[module] = names[version]


def _alternatives(pattern: str) -> list[str]:
    """The patterns that `a{b,c}d` stands for. Each group doubles them at the least, and a bundle may be anybody's."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        one = waiting.pop()
        found = re.search(r"\{([^{}]*)\}", one)
        if found is None:
            done.append(one)
        else:
            before, after = one[: found.start()], one[found.end() :]
            waiting += [f"{before}{part}{after}" for part in reversed(found[1].split(","))]
        if len(done) + len(waiting) > _MOST_ALTERNATIVES:
            raise LoadProblem(
                f".manifest: file_rego_versions: {pattern[:80]!r} stands for more than {_MOST_ALTERNATIVES} patterns: "
                "use * or name the files"
            )
    return done
