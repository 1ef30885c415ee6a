"""JSON Web Tokens: verification with asymmetric keys, full verification, and signing.

Imported only when such a builtin is called. An algorithm works with its own kind of key and, for
ECDSA, its own curve; a token never chooses how a key is used: a public key is no HMAC secret, and
`none` is no algorithm.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.documents import one_line, spaced_line
from cupcake.engine.builtins.host.keys import (
    Key,
    KeyTextError,
    NamedKey,
    jwk_keys,
    verification_keys,
)
from cupcake.engine.builtins.host.operands import failed, mapping, string
from cupcake.engine.builtins.host.tokens import (
    NESTING_MAX,
    Token,
    json_value,
    split_token,
    unquoted,
)
from cupcake.engine.builtins.texts import to_bytes
from cupcake.engine.builtins.values import RegoObject, Value, pairs


class WrongKeyError(Exception):
    """The key is not of the kind that the algorithm works with."""


@dataclass(frozen=True, slots=True)
class _Algorithm:
    """One JWS algorithm. `family` is RS, PS, ES, HS or Ed."""

    family: str
    hash: hashes.HashAlgorithm
    curve: str = ""

    def verify(self, key: Key, signed: bytes, signature: bytes) -> bool:
        """WrongKeyError if the key does not fit."""
        try:
            match self.family, key:
                case (("RS" | "PS"), rsa.RSAPublicKey()):
                    key.verify(signature, signed, self._padding(padding.PSS.AUTO), self.hash)
                case "ES", ec.EllipticCurvePublicKey() if key.curve.name == self.curve:
                    size = (key.curve.key_size + 7) // 8
                    if len(signature) != 2 * size:
                        return False
                    r, s = (int.from_bytes(part) for part in (signature[:size], signature[size:]))
                    der = utils.encode_dss_signature(r, s)
                    key.verify(der, signed, ec.ECDSA(self.hash))
                case "Ed", ed25519.Ed25519PublicKey():
                    key.verify(signature, signed)
                case "HS", bytes():
                    return hmac.compare_digest(self._mac(key, signed), signature)
                case _:
                    raise WrongKeyError
        except (InvalidSignature, ValueError):
            return False
        return True

    def sign(self, key: Key, data: bytes) -> bytes:
        """WrongKeyError if the key does not fit."""
        match self.family, key:
            case (("RS" | "PS"), rsa.RSAPrivateKey()):
                return key.sign(data, self._padding(padding.PSS.DIGEST_LENGTH), self.hash)
            case "ES", ec.EllipticCurvePrivateKey() if key.curve.name == self.curve:
                size = (key.curve.key_size + 7) // 8
                r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(self.hash)))
                return r.to_bytes(size) + s.to_bytes(size)
            case "Ed", ed25519.Ed25519PrivateKey():
                return key.sign(data)
            case "HS", bytes() if key:
                return self._mac(key, data)
        raise WrongKeyError

    def _padding(self, salt: Any) -> padding.AsymmetricPadding:
        """`salt`: its length for PSS. RFC 7518 wants that of the digest; OPA accepts any."""
        if self.family == "RS":
            return padding.PKCS1v15()
        return padding.PSS(padding.MGF1(self.hash), salt)

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.hash.name)


def algorithm_named(name: str) -> _Algorithm | None:
    if name == "EdDSA":
        return _Algorithm("Ed", hashes.SHA512())
    digests: tuple[tuple[str, hashes.HashAlgorithm, str], ...] = (
        ("256", hashes.SHA256(), "secp256r1"),
        ("384", hashes.SHA384(), "secp384r1"),
        ("512", hashes.SHA512(), "secp521r1"),
    )
    for bits, digest, curve in digests:
        if name[2:] == bits and name[:2] in ("RS", "PS", "ES", "HS"):
            return _Algorithm(name[:2], digest, curve)
    return None


def _fits(algorithm: _Algorithm, key: Key, token: Token, signature: bytes) -> bool:
    try:
        return algorithm.verify(key, token.signed, signature)
    except WrongKeyError:
        return False


def _keys(name: str, text: str) -> list[NamedKey]:
    try:
        return verification_keys(text)
    except KeyTextError as error:
        raise failed(name, str(error)) from None


def _label(name: str, header: dict[str, Value], member: str) -> str:
    value = header.get(member, "")
    if not isinstance(value, str):
        raise failed(name, f"{member}: must be a string")
    return value


def _verified_by_any(
    keys: Sequence[NamedKey], algorithm: _Algorithm, alg: str, kid: str, token: Token
) -> bool:
    """By the key that the token names if there is one of that name, else by any that is for its algorithm."""
    signature = token.signature()
    if kid:
        for key in keys:
            if key.kid == kid:
                return _fits(algorithm, key.key, token, signature)
    return any(_fits(algorithm, key.key, token, signature) for key in keys if key.alg in ("", alg))


# ---- verify ----


def _verify(alg: str, name: str, token: Value, certificate: Value) -> Value:
    parts = split_token(name, string(name, 1, token))
    keys = _keys(name, string(name, 2, certificate))
    header = parts.header()
    _check_header(name, header)
    algorithm = algorithm_named(alg)
    assert algorithm is not None
    kid = _label(name, header, "kid")
    return _verified_by_any(keys, algorithm, _label(name, header, "alg"), kid, parts)


def _check_header(name: str, header: dict[str, Value]) -> frozenset[str]:
    """The members that are critical; BuiltinError for members of wrong types."""
    for member in ("alg", "kid", "typ", "cty"):
        _label(name, header, member)
    if "crit" not in header:
        return frozenset()
    crit = header["crit"]
    if not isinstance(crit, list):
        raise failed(name, "crit: must be a list")
    texts = frozenset(item for item in crit if isinstance(item, str))
    if len(texts) == 0 or not all(isinstance(item, str) for item in crit):
        raise failed(name, "crit: must be a nonempty list of strings")
    return texts


# ---- decode_verify ----


@dataclass(slots=True)
class _Constraints:
    """What decode_verify must find. `time` is in nanoseconds."""

    name: str
    keys: list[NamedKey] | None = None
    secret: str = ""
    alg: str = ""
    iss: str = ""
    aud: str = ""
    time: Decimal | int = 0

    def set(self, key: Value, value: Value) -> None:
        match key, value:
            case "cert", str():
                self.keys = _keys(self.name, value)
            case "secret", str():
                self.secret = value
            case "alg", str():
                self.alg = value
            case "iss", str():
                self.iss = value
            case "aud", str():
                self.aud = value
            case (("cert" | "secret" | "alg" | "iss" | "aud"), _):
                raise failed(self.name, f"{key} constraint: must be a string")
            case "time", _:
                if isinstance(value, bool) or not isinstance(value, int | Decimal):
                    raise failed(self.name, "token time constraint: must be a number")
                if value < 0:
                    raise failed(self.name, "token time constraint: must not be negative")
                self.time = value
            case _:
                shown = key if isinstance(key, str) else one_line(key)
                raise failed(self.name, f"unknown token validation constraint: {shown}")

    def verify(self, token: Token, alg: str, kid: str) -> bool:
        algorithm = algorithm_named(alg)
        if algorithm is None:
            raise failed(self.name, f"unknown JWS algorithm: {alg}")
        if self.keys is not None:
            return _verified_by_any(self.keys, algorithm, alg, kid, token)
        try:
            return algorithm.verify(to_bytes(self.secret), token.signed, token.signature())
        except WrongKeyError:
            raise failed(self.name, "incorrect public key type") from None

    def allow(self, claims: dict[str, Value]) -> bool:
        """Whether issuer, audience and times of a token are as wanted."""
        if self.iss and claims.get("iss") != self.iss:
            return False
        if "aud" in claims:
            audience = claims["aud"]
            if self.aud not in (audience if isinstance(audience, list) else [audience]):
                return False
        elif self.aud:
            return False
        seconds = Decimal(repr(float(self.time) / 1e9))
        expires = self._time_claim(claims, "exp")
        if expires is not None and seconds >= expires:
            return False
        begins = self._time_claim(claims, "nbf")
        return begins is None or seconds >= begins

    def _time_claim(self, claims: dict[str, Value], claim: str) -> int | Decimal | None:
        if claim not in claims:
            return None
        value = claims[claim]
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise failed(self.name, f"{claim} value must be a number")
        return value


def _constraints(name: str, options: dict[str, Value] | RegoObject, now_ns: int) -> _Constraints:
    found = _Constraints(name, time=now_ns)
    for key, value in pairs(options):
        found.set(key, value)
    if found.keys is not None and found.secret:
        raise failed(name, "duplicate key constraints")
    if found.keys is None and not found.secret:
        raise failed(name, "no key constraint")
    return found


_KNOWN = frozenset({"alg", "kid", "typ", "cty", "crit"})


def _decode_verify(gate: Gate, token: Value, options: Value) -> Value:
    name = "io.jwt.decode_verify"
    unverified: Value = [False, {}, {}]
    constraints = _constraints(name, mapping(name, 2, options), gate.now_ns())
    text = string(name, 1, token)
    for _ in range(NESTING_MAX):
        parts = split_token(name, text)
        header = parts.header()
        critical = _check_header(name, header)
        alg = _label(name, header, "alg")
        if not alg or critical & (header.keys() - _KNOWN):
            return unverified
        if constraints.alg and constraints.alg != alg:
            return unverified
        if not constraints.verify(parts, alg, _label(name, header, "kid")):
            return unverified
        if _label(name, header, "cty").upper() == "JWT":
            text = unquoted(parts.payload())
            continue
        claims = parts.claims()
        return [True, header, claims] if constraints.allow(claims) else unverified
    raise failed(name, "JWT is nested too deeply")


# ---- encode_sign ----


def _encode_sign(gate: Gate, headers: Value, payload: Value, key: Value) -> Value:
    name = "io.jwt.encode_sign"
    write = spaced_line if gate.rego_version == "v0" else one_line
    texts = [write(v) for v in (headers, payload, key)]
    return _signed(gate, name, *texts)


def _encode_sign_raw(gate: Gate, headers: Value, payload: Value, key: Value) -> Value:
    name = "io.jwt.encode_sign_raw"
    jwk = string(name, 3, key)
    return _signed(gate, name, string(name, 1, headers), string(name, 2, payload), jwk)


def _signed(gate: Gate, name: str, headers: str, payload: str, jwk: str) -> str:
    if gate.rego_version == "v0":
        _check_header_as_before_v1(name, headers)
    try:
        key = next(iter(jwk_keys(jwk)), None)
    except ValueError as error:
        raise failed(name, f"failed to parse a JWK key (set): {error}") from None
    if key is None:
        raise failed(name, "the JWK set holds no key to sign with")
    header = _header_to_sign(name, headers)
    alg = header.get("alg", "")
    algorithm = algorithm_named(alg) if isinstance(alg, str) else None
    if "alg" not in header:
        raise failed(name, "missing or invalid 'alg' header: jwsbb: header \"alg\" not found")
    if algorithm is None:
        raise failed(name, f"unknown JWS algorithm: {alg}")
    if header.get("typ", "") in ("", "JWT"):
        try:
            json_value(payload)
        except ValueError:
            raise failed(name, "type is JWT but payload is not JSON") from None
    sections = (to_bytes(text) for text in (headers, payload))
    data = ".".join(map(_base64url, sections))
    try:
        signature = algorithm.sign(key.key, data.encode())
    except WrongKeyError:
        raise failed(name, f"the key cannot sign with {alg}") from None
    except ValueError as error:
        raise failed(name, f"the key cannot sign: {error}") from None
    return f"{data}.{_base64url(signature)}"


def _check_header_as_before_v1(name: str, text: str) -> None:
    """The words that OPA had before 1.0."""
    if not text.strip():
        raise failed(name, "unexpected end of JSON input")
    try:
        header = json_value(text)
    except ValueError as error:
        raise failed(name, f"invalid character in the header: {error}") from None
    if not isinstance(header, dict) or "alg" not in header:
        raise failed(name, "unsupported signature algorithm: ")
    alg = header["alg"]
    if not isinstance(alg, str) or algorithm_named(alg) is None:
        raise failed(name, "unknown signature algorithm")


def _header_to_sign(name: str, text: str) -> dict[str, Value]:
    if not text:
        message = "missing or invalid 'alg' header: cannot parse JSON: cannot parse empty string"
        raise failed(name, message)
    if re.fullmatch(r"[-+0-9.eE]+", text):  # taken for a number
        return {}
    try:
        header = json_value(text)
    except ValueError as error:
        message = f"missing or invalid 'alg' header: cannot parse JSON: {error}"
        raise failed(name, message) from None
    return header if isinstance(header, dict) else {}


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    *(
        (f"io.jwt.verify_{alg.lower()}", partial(_verify, alg, f"io.jwt.verify_{alg.lower()}"))
        for alg in (
            *(f"{kind}{n}" for kind in ("RS", "PS", "ES") for n in (256, 384, 512)),
            "EdDSA",
        )
    ),
)

GATED: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("io.jwt.decode_verify", _decode_verify),
    ("io.jwt.encode_sign", _encode_sign),
    ("io.jwt.encode_sign_raw", _encode_sign_raw),
)
