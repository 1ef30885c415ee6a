"""Keys as text: PEM blocks and JSON Web Keys, to key objects of the `cryptography` library.

Imported only when a builtin that needs the library is called. It must not verify or sign.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cupcake.engine.builtins.host.tokens import json_object
from cupcake.engine.builtins.texts import to_bytes
from cupcake.engine.builtins.values import Value

RSA_BITS_MAX = 8192
RSA_EXPONENT_MAX = (1 << 31) - 1

PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
Key: TypeAlias = PublicKey | PrivateKey | bytes

_CURVES: tuple[tuple[str, Callable[[], ec.EllipticCurve]], ...] = (
    ("P-256", ec.SECP256R1),
    ("P-384", ec.SECP384R1),
    ("P-521", ec.SECP521R1),
)
_ALGORITHMS = frozenset(
    f"{family}{bits}" for family in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512)
) | {"EdDSA", "none", ""}
_PEM = re.compile(
    r"^-----BEGIN ([A-Z0-9 ]{1,64})-----[ \t]*\r?\n"
    r"((?:(?!-----)[^\n]*\n)*)-----END \1-----[ \t]*(?:\r?\n|\Z)",
    re.MULTILINE,
)
_PEM_HEADER = re.compile(r"^[^\n:]+:[^\n]*\n", re.MULTILINE)


class KeyTextError(ValueError):
    """A text holds no key that can be used; the message is for the author of the policy."""


@dataclass(frozen=True, slots=True)
class Pem:
    """One block of a PEM text. `rest` is what stands behind it."""

    kind: str
    der: bytes
    rest: str


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key with what its JWK says of it ("" where it says nothing)."""

    key: Key
    alg: str = ""
    kid: str = ""


def pem_block(text: str) -> Pem | None:
    """The first well-formed block of a text; what stands before it is skipped."""
    for found in _PEM.finditer(text):
        body = _PEM_HEADER.sub("", found.group(2))
        try:
            der = base64.b64decode("".join(body.split()), validate=True)
        except ValueError:
            continue
        return Pem(found.group(1), der, text[found.end() :])
    return None


def pem_blocks(text: str) -> Iterator[Pem]:
    """All well-formed blocks."""
    block = pem_block(text)
    while block is not None:
        yield block
        block = pem_block(block.rest)


def verification_keys(text: str) -> list[NamedKey]:
    """The keys of a PEM certificate, a PEM public key, a JWK or a JWK set; KeyTextError."""
    block = pem_block(text)
    if block is None:
        try:
            return jwk_keys(text)
        except ValueError as error:
            raise KeyTextError(f"failed to parse a JWK key (set): {error}") from None
    if block.rest:
        raise KeyTextError("extra data after a PEM certificate block")
    try:
        if block.kind == "CERTIFICATE":
            what = "certificate"
            return [NamedKey(_supported(x509.load_der_x509_certificate(block.der).public_key()))]
        if block.kind == "PUBLIC KEY":
            what = "public key"
            return [NamedKey(_supported(load_der_public_key(block.der)))]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyTextError(f"failed to parse a PEM {what}: {error}") from None
    raise KeyTextError("failed to extract a Key from the PEM certificate")


def _supported(key: object) -> PublicKey:
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(key.public_numbers())
        return key
    if isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        return key
    raise KeyTextError(f"keys of the type {type(key).__name__.lstrip('_')} are not supported")


def _check_rsa(numbers: rsa.RSAPublicNumbers) -> None:
    if numbers.n.bit_length() > RSA_BITS_MAX or numbers.e > RSA_EXPONENT_MAX:
        raise KeyTextError(f"RSA key is larger than {RSA_BITS_MAX} bits, or its exponent is")


def jwk_keys(text: str) -> list[NamedKey]:
    """The keys of a JWK, or of a set of them; ValueError."""
    document = json_object(to_bytes(text))
    members = document.get("keys")
    if not isinstance(members, list) or not members:
        return [_jwk(document)]
    found: list[NamedKey] = []
    for member in members:
        if not isinstance(member, dict):
            raise KeyTextError("a key of the set is no object")
        if member.get("alg", "") in _ALGORITHMS:  # keys for encryption are of no use here
            found.append(_jwk(member))
    return found


def _jwk(document: dict[str, Value]) -> NamedKey:
    labels = [document.get(label, "") for label in ("alg", "kid")]
    alg, kid = (label if isinstance(label, str) else "" for label in labels)
    match document.get("kty"):
        case "RSA":
            key: Key = _rsa(document)
        case "EC":
            key = _ec(document)
        case "OKP":
            key = _okp(document)
        case "oct":
            key = _bytes(document, "k")
        case _:
            raise KeyTextError("unrecognized key type")
    return NamedKey(key, alg, kid)


def _bytes(document: dict[str, Value], member: str) -> bytes:
    text = document.get(member)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*={0,2}", text):
        raise KeyTextError(f"key parameter {member} is missing or is no base64url text")
    body = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except binascii.Error as error:
        raise KeyTextError(f"key parameter {member}: {error}") from None


def _number(document: dict[str, Value], member: str) -> int:
    raw = _bytes(document, member)
    if len(raw) > RSA_BITS_MAX // 8 + 1:
        raise KeyTextError(f"key parameter {member} is too large")
    return int.from_bytes(raw)


def _rsa(document: dict[str, Value]) -> rsa.RSAPublicKey | rsa.RSAPrivateKey:
    public = rsa.RSAPublicNumbers(_number(document, "e"), _number(document, "n"))
    _check_rsa(public)
    if "d" not in document:
        return public.public_key()
    d, p, q = (_number(document, member) for member in "dpq")
    given = [member in document for member in ("dp", "dq", "qi")]
    if all(given):
        dp, dq, qi = (_number(document, member) for member in ("dp", "dq", "qi"))
    else:
        if min(p, q) < 3:
            raise KeyTextError("key parameters p and q are no primes")
        dp, dq, qi = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, public).private_key()


def _ec(document: dict[str, Value]) -> ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey:
    curve = next((make() for name, make in _CURVES if name == document.get("crv")), None)
    if curve is None:
        raise KeyTextError(f"invalid curve name {document.get('crv')}")
    x, y = _number(document, "x"), _number(document, "y")
    public = ec.EllipticCurvePublicNumbers(x, y, curve)
    if "d" not in document:
        return public.public_key()
    raw = _bytes(document, "d")
    if len(raw) != (curve.key_size + 7) // 8:
        raise KeyTextError("key parameter d has a length that does not fit the curve")
    return ec.EllipticCurvePrivateNumbers(int.from_bytes(raw), public).private_key()


def _okp(document: dict[str, Value]) -> ed25519.Ed25519PublicKey | ed25519.Ed25519PrivateKey:
    if document.get("crv") != "Ed25519":
        raise KeyTextError(f"invalid curve name {document.get('crv')}")
    if "d" in document:
        return ed25519.Ed25519PrivateKey.from_private_bytes(_bytes(document, "d"))
    return ed25519.Ed25519PublicKey.from_public_bytes(_bytes(document, "x"))
