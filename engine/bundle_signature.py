"""`.signatures.json` of OPA's bundles: one JSON Web Token that lists every file with its hash. Verification; who signs is the command line.

Pure. The algorithm is the caller's choice, never the token's.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from cupcake.engine.bundle_files import DATA, MANIFEST, SIGNATURES
from cupcake.engine.errors import LoadError

_HASHES = {
    "MD5": "md5",
    "SHA-1": "sha1",
    "SHA-224": "sha224",
    "SHA-256": "sha256",
    "SHA-384": "sha384",
    "SHA-512": "sha512",
    "SHA-512-224": "sha512_224",
    "SHA-512-256": "sha512_256",
}
_SECRET = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """`key`: the secret (HS...) or a PEM text. `scope`: what the token must state, unless the caller says so."""

    key: str
    algorithm: str = "RS256"
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a bundle must stand up to. `key_id` "" takes the id that the token names, out of `keys`. `exclude`: file names, with
    `*` and `?` within a folder, that need not be signed."""

    keys: Mapping[str, VerificationKey]
    key_id: str = ""
    scope: str = ""
    exclude: Sequence[str] = field(default=())


def verify_files(
    files: Mapping[str, bytes], verification: Verification, name: str, folder: str = ""
) -> None:
    """LoadError unless a bundle's files are those that its token signs: all of them, no other ones, unchanged.

    `folder`: where a bundle that is a folder lies; `opa sign` writes names with it."""
    left = _signed_files(_token(files, name), verification, name)
    prefix = folder.strip("/") + "/"
    if folder and left and all(path.startswith(prefix) for path in left):
        left = {path.removeprefix(prefix): stated for path, stated in left.items()}
    for path, data in files.items():
        if PurePosixPath(path).name == SIGNATURES:
            continue
        if any(_matches(path, pattern) for pattern in verification.exclude):
            left.pop(path, None)
            continue
        stated = left.pop(path, None)
        if stated is None:
            raise LoadError(f"{name}: {path} is not in the bundle's signature")
        algorithm, wanted = stated
        if algorithm not in _HASHES:
            raise LoadError(f"{name}: {path}: unsupported hash algorithm {algorithm!r}")
        if not hmac.compare_digest(file_hash(path, data, algorithm, name), wanted):
            raise LoadError(
                f"{name}: {path} is not the file that was signed (its {algorithm} differs)"
            )
    if left:
        raise LoadError(f"{name}: signed, but not in the bundle: {', '.join(sorted(left))}")


def file_hash(path: str, data: bytes, algorithm: str, name: str) -> bytes:
    """The hash of a file as OPA takes it: documents and the manifest by their values, whatever their blanks."""
    if PurePosixPath(path).name in (*DATA, MANIFEST):
        data = _canonical(_document(path, data, f"{name}:{path}")).encode("utf-8", "replace")
    try:
        return hashlib.new(_HASHES[algorithm], data).digest()
    except ValueError:
        raise LoadError(f"{name}: {path}: this machine has no {algorithm}") from None


# -- the token ------------------------------------------------------------------------------------


def _token(files: Mapping[str, bytes], name: str) -> str:
    found = [path for path in files if PurePosixPath(path).name == SIGNATURES]
    if not found:
        raise LoadError(
            f"{name}: the bundle is not signed (no {SIGNATURES}): sign it with `opa sign` or `opa build --signing-key`"
        )
    if len(found) > 1:
        raise LoadError(
            f"{name}: the bundle has several signature files: {', '.join(sorted(found))}"
        )
    place = f"{name}:{found[0]}"
    stated = _json(files[found[0]], place)
    if not isinstance(stated, dict):
        raise LoadError(f"{place}: the signatures must be an object")
    if stated.get("plugin") not in (None, "", "_default"):
        raise LoadError(f"{place}: the verification plugin {stated['plugin']!r} is not served")
    match stated.get("signatures"):
        case [str(token)]:
            return token
        case _:
            raise LoadError(f"{place}: exactly one token is expected below `signatures`")


def _signed_files(
    token: str, verification: Verification, name: str
) -> dict[str, tuple[str, bytes]]:
    """File name -> (hash algorithm, hash) of a token whose signature and scope are right."""
    place = f"{name}:{SIGNATURES}"
    parts = token.split(".")
    if len(parts) != 3:
        raise LoadError(f"{place}: the token is no JSON Web Token")
    header, payload = (_json(_decoded(part, place), place) for part in parts[:2])
    if not isinstance(header, dict) or not isinstance(payload, dict):
        raise LoadError(f"{place}: the token's header and payload must be objects")
    key_id = verification.key_id or _text(header.get("kid")) or _text(payload.get("keyid"))
    key = verification.keys.get(key_id)
    if key is None:
        raise LoadError(f"{place}: there is no verification key with the id {key_id!r}")
    signed = f"{parts[0]}.{parts[1]}".encode()
    if not _verified(key, signed, _decoded(parts[2], place)):
        raise LoadError(f"{place}: the signature is not one of the verification key {key_id!r}")
    scope = verification.scope or key.scope
    if _text(payload.get("scope")) != scope:
        raise LoadError(f"{place}: the scope is {payload.get('scope')!r}, not {scope!r}")
    found: dict[str, tuple[str, bytes]] = {}
    listed = payload.get("files")
    for item in listed if isinstance(listed, list) else ():
        match item:
            case {"name": str(path), "hash": str(digest), "algorithm": str(algorithm)}:
                try:
                    found[path] = algorithm, bytes.fromhex(digest)
                except ValueError:
                    raise LoadError(f"{place}: the hash of {path} is no hexadecimal text") from None
            case _:
                raise LoadError(f"{place}: a file of the token lacks its name, hash or algorithm")
    return found


def _verified(key: VerificationKey, signed: bytes, signature: bytes) -> bool:
    if key.algorithm in _SECRET:
        wanted = hmac.digest(key.key.encode(), signed, _SECRET[key.algorithm])
        return bool(key.key) and hmac.compare_digest(wanted, signature)
    _need_library(key.algorithm)
    from cupcake.engine.builtins.host import bundle_keys

    return bundle_keys.verify(key.algorithm, key.key, signed, signature)


def _need_library(algorithm: str) -> None:
    if importlib.util.find_spec("cryptography") is None:
        raise LoadError(f"{algorithm} needs a library: pip install 'cupcake-policy[full]'")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _decoded(part: str, place: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]*", part):
        raise LoadError(f"{place}: the token is no base64url text")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise LoadError(f"{place}: the token is no base64url text") from None


def _matches(path: str, pattern: str) -> bool:
    steps, wanted = path.split("/"), pattern.split("/")
    return len(steps) == len(wanted) and all(
        fnmatch.fnmatchcase(step, want.replace("[^", "[!"))
        for step, want in zip(steps, wanted, strict=True)
    )


# -- documents, as Go writes them -----------------------------------------------------------------


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _json(raw: bytes, place: str) -> Any:
    try:
        return json.loads(raw.decode("utf-8"), parse_float=_Number, parse_int=_Number)
    except (ValueError, RecursionError) as e:
        raise LoadError(f"{place}: not JSON: {e}") from None


def _document(path: str, data: bytes, place: str) -> Any:
    if not path.endswith((".yaml", ".yml")):
        return _json(data, place)
    from cupcake.engine.policy.yaml_text import YamlProblem, parse_yaml

    try:
        return parse_yaml(data.decode("utf-8")).value
    except (YamlProblem, UnicodeDecodeError) as e:
        raise LoadError(f"{place}: not YAML: {e}") from None


def _canonical(value: Any) -> str:
    match value:
        case _Number():
            return str.__str__(value)
        case str():
            return _quoted(value)
        case dict():
            return (
                "{"
                + ",".join(
                    f"{_quoted(str(k))}:{_canonical(value[k])}" for k in sorted(value, key=str)
                )
                + "}"
            )
        case list():
            return "[" + ",".join(map(_canonical, value)) + "]"
        case _:
            return json.dumps(value)


def _quoted(text: str) -> str:
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
