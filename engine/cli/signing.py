"""Signs the files of a bundle as `opa sign` does: a token in .signatures.json that holds the hash of each.

The cryptography is that of the builtins `io.jwt.encode_sign_raw` and `crypto.parse_private_keys`: this file asks them by a
query. It must not verify.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cupcake.engine.cli.files import LoadProblem, parse_json, read_text
from cupcake.engine.cli.output import NumberText, read_exact
from cupcake.engine.errors import EvaluationError

_FILE = "/.signatures.json"
_STRUCTURED = ("data.json", ".manifest")
_QUERY = "token := io.jwt.encode_sign_raw(input.header, input.payload, input.key)"
_KEYS = "key := crypto.parse_private_keys(input)[0]"
_RSA = "key := crypto.x509.parse_rsa_private_key(input)"
_CURVES = {"ES256": ("P-256", 32), "ES384": ("P-384", 48), "ES512": ("P-521", 66)}


@dataclass(frozen=True, slots=True)
class Signing:
    """`key` is the secret itself for HS256, HS384 and HS512, else the path of a PEM file with a private key."""

    key: str
    algorithm: str = "RS256"
    key_id: str = "default"
    claims_file: str = ""


def sign(files: Mapping[str, bytes], signing: Signing) -> dict[str, bytes]:
    """The files and their signature. LoadProblem for a key or claims that cannot be used; CompileErrors where the
    library for it is not installed."""
    from cupcake.engine.api import query

    payload: dict[str, Any] = {
        "files": [
            {"name": name.lstrip("/"), "hash": _hash(name, data), "algorithm": "SHA-256"}
            for name, data in sorted(files.items())
        ],
        **_claims(signing),
    }
    header = {"alg": signing.algorithm, "kid": signing.key_id, "typ": "JWT"}
    asked = {
        "header": json.dumps(header, separators=(",", ":")),
        "payload": json.dumps(payload, separators=(",", ":")),
        "key": json.dumps(_jwk(signing)),
    }
    try:
        found = query(_QUERY, input=asked, strict_builtin_errors=True)
    except EvaluationError as error:
        raise LoadProblem(
            f"--signing-key, --signing-alg {signing.algorithm}: {error.message}"
        ) from None
    signatures = {"signatures": [found[0]["token"]]}
    return {**files, _FILE: json.dumps(signatures, separators=(",", ":")).encode()}


def _claims(signing: Signing) -> dict[str, Any]:
    if not signing.claims_file:
        return {"keyid": signing.key_id}
    claims = parse_json(read_text(Path(signing.claims_file)), signing.claims_file)
    if not isinstance(claims, dict):
        raise LoadProblem(f"{signing.claims_file}: the claims must be an object")
    return claims


def _jwk(signing: Signing) -> dict[str, Any]:
    if signing.algorithm.startswith("HS"):
        return {"kty": "oct", "k": _base64url(signing.key.encode())}
    path = Path(signing.key)
    if not path.is_file():
        raise LoadProblem(
            f"--signing-key {path}: no such file; for {signing.algorithm} it names a PEM file with a private key"
        )
    text = read_text(path)
    match signing.algorithm[:2]:
        case "ES" if signing.algorithm in _CURVES:
            curve, size = _CURVES[signing.algorithm]
            key = _asked(_KEYS, text, path)
            if isinstance(key, dict) and {"D", "X", "Y"} <= set(key):
                numbers = {n.lower(): _base64url(_bytes(key[n], size)) for n in ("D", "X", "Y")}
                return {"kty": "EC", "crv": curve, **numbers}
        case "Ed":
            key = _asked(_KEYS, text, path)
            if isinstance(key, str):  # the seed and the public key behind each other
                both = base64.b64decode(key)
                return {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "d": _base64url(both[:32]),
                    "x": _base64url(both[32:]),
                }
        case "RS" | "PS":
            found = _asked(_RSA, text, path)
            if isinstance(found, dict):
                return found
    raise LoadProblem(f"{path}: no private key for {signing.algorithm} is in it")


def _asked(text: str, pem: str, path: Path) -> Any:
    """The value of `key`, None when there is none."""
    from cupcake.engine.api import query

    try:
        found = query(text, input=pem, strict_builtin_errors=True)
    except EvaluationError as error:
        raise LoadProblem(f"{path}: no private key: {error.message}") from None
    return found[0]["key"] if found else None


def _bytes(number: Any, size: int) -> bytes:
    try:
        return int(number).to_bytes(size, "big")
    except (OverflowError, ValueError):
        raise LoadProblem("--signing-key: the key is on another curve than --signing-alg") from None


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _hash(name: str, data: bytes) -> str:
    """Documents are hashed by their value, so that writing them anew changes nothing; other files by their bytes."""
    if PurePosixPath(name).name in _STRUCTURED:
        data = _canonical(read_exact(data)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def _canonical(value: Any) -> str:
    match value:
        case NumberText():
            return str(value)
        case dict():
            members = (f"{_canonical(k)}:{_canonical(value[k])}" for k in sorted(value))
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ",".join(map(_canonical, value)) + "]"
        case _:
            text = json.dumps(value, ensure_ascii=False)
            return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
