"""The crypto.x509 builtins and private keys: parsing, and verification of chains that the caller gives whole.

Imported only when one of them is called. Nothing is trusted but the first certificate of the
operand; no store of the machine is consulted.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from cupcake.engine.builtins.host.certificate_json import (
    USAGES,
    Json,
    certificate_to_json,
    private_key_to_json,
    private_key_to_jwk,
    request_to_json,
    unhandled,
    uri_strings,
)
from cupcake.engine.builtins.host.keys import RSA_BITS_MAX, PrivateKey, pem_block, pem_blocks
from cupcake.engine.builtins.host.operands import failed, mapping, string
from cupcake.engine.builtins.texts import from_bytes, to_bytes
from cupcake.engine.builtins.values import BuiltinError, RegoSet, Value, pairs

CERTIFICATES_MAX = 64
_BEGIN = "-----BEGIN"
_BAD_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_USAGE_NAMES = (
    "KeyUsageAny",
    "KeyUsageServerAuth",
    "KeyUsageClientAuth",
    "KeyUsageCodeSigning",
    "KeyUsageEmailProtection",
    "KeyUsageIPSECEndSystem",
    "KeyUsageIPSECTunnel",
    "KeyUsageIPSECUser",
    "KeyUsageTimeStamping",
    "KeyUsageOCSPSigning",
    "KeyUsageMicrosoftServerGatedCrypto",
    "KeyUsageNetscapeServerGatedCrypto",
    "KeyUsageMicrosoftCommercialCodeSigning",
    "KeyUsageMicrosoftKernelCodeSigning",
)
_SERVER_AUTH = "1.3.6.1.5.5.7.3.1"
_ANY_USAGE = "2.5.29.37.0"


def _base64(name: str, text: str) -> bytes:
    body = text.replace("\r", "").replace("\n", "")
    bare = body.rstrip("=")
    bad = _BAD_BASE64.search(bare)
    if bad or len(body) % 4 or len(body) - len(bare) > 2:
        at = bad.start() if bad else len(bare) // 4 * 4
        raise failed(name, f"illegal base64 data at input byte {at}")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise failed(name, f"illegal base64 data: {error}") from None


# ---- certificates ----


def _split_der(raw: bytes) -> list[bytes]:
    """The values that stand one behind the other; ValueError."""
    found: list[bytes] = []
    while raw:
        if len(raw) < 2 or raw[0] != 0x30:
            raise ValueError("no sequence")
        size, head = raw[1], 2
        if size & 0x80:
            count = size & 0x7F
            head += count
            if not 1 <= count <= 4 or len(raw) < head:
                raise ValueError("bad length")
            size = int.from_bytes(raw[2:head])
        if len(raw) < head + size:
            raise ValueError("too short")
        found.append(raw[: head + size])
        raw = raw[head + size :]
        if len(found) > CERTIFICATES_MAX:
            raise ValueError(f"more than {CERTIFICATES_MAX} certificates")
    return found


def _certificates(name: str, text: str) -> list[x509.Certificate]:
    raw = b""
    if not text.startswith(_BEGIN):
        raw = _base64(name, text)
        if raw.startswith(_BEGIN.encode()):
            text = from_bytes(raw)
    if text.startswith(_BEGIN):
        blocks = list(pem_blocks(text))
        for block in blocks:
            if block.kind != "CERTIFICATE":
                raise failed(name, f"PEM block type is '{block.kind}', expected CERTIFICATE")
        raw = b"".join(block.der for block in blocks)
    try:
        return [x509.load_der_x509_certificate(der) for der in _split_der(raw)]
    except ValueError as error:
        raise failed(name, f"x509: malformed certificate: {error}") from None


def _shown(name: str, certificate: x509.Certificate) -> Json:
    try:
        return certificate_to_json(certificate)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise failed(name, f"x509: malformed certificate: {error}") from None


def _with_uris(name: str, certificate: x509.Certificate) -> Json:
    return {**_shown(name, certificate), "URIStrings": uri_strings(certificate)}


def _parse_certificates(certs: Value) -> Value:
    name = "crypto.x509.parse_certificates"
    return [_with_uris(name, c) for c in _certificates(name, string(name, 1, certs))]


def _parse_request(csr: Value) -> Value:
    name = "crypto.x509.parse_certificate_request"
    text = string(name, 1, csr)
    raw = to_bytes(text) if text.startswith("-----BEGIN CERTIFICATE REQUEST-----") else b""
    raw = raw or _base64(name, text)
    block = pem_block(raw.decode("latin-1"))
    if block is not None:
        if block.kind != "CERTIFICATE REQUEST":
            raise failed(name, "invalid PEM-encoded certificate signing request")
        raw = block.der
    try:
        return request_to_json(x509.load_der_x509_csr(raw))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise failed(name, f"asn1: structure error: {error}") from None


# ---- chains ----


@dataclass(slots=True)
class _Options:
    """What a chain must be good for."""

    name: str
    host: str = ""
    moment: datetime | None = None
    usages: list[str] = field(default_factory=list)

    def set(self, key: Value, value: Value) -> None:
        match key, value:
            case "DNSName", str():
                self.host = value.strip('"')
            case "DNSName", _:
                raise failed(self.name, "'DNSName' should be a string")
            case "CurrentTime", int() if not isinstance(value, bool):
                try:
                    self.moment = datetime(1970, 1, 1) + timedelta(microseconds=value // 1000)
                except OverflowError:
                    raise failed(self.name, "'CurrentTime' is out of range") from None
            case "CurrentTime", _:
                raise failed(self.name, "'CurrentTime' should be a number")
            case "MaxConstraintComparisons", int() if not isinstance(value, bool):
                pass  # the library has a bound of its own
            case "MaxConstraintComparisons", _:
                raise failed(self.name, "'MaxConstraintComparisons' should be a number")
            case "KeyUsages", list() | RegoSet():
                self._set_usages(value)
            case "KeyUsages", _:
                raise failed(self.name, "'KeyUsages' should be an Array or Set")
            case str(), _:
                raise failed(self.name, "invalid key option")

    def _set_usages(self, value: list[Value] | RegoSet) -> None:
        words = [word.strip('"') for word in value if isinstance(word, str)]
        wrong = [word for word in words if word not in _USAGE_NAMES]
        if wrong:
            listed = " ".join(wrong)
            raise failed(self.name, f"invalid entries for 'KeyUsages' found: [{listed}]")
        self.usages += [USAGES[_USAGE_NAMES.index(word)] for word in words]

    def verify(self, certificates: list[x509.Certificate]) -> list[x509.Certificate] | None:
        """The chain from the last certificate to the first, None if there is none."""
        if len(certificates) < 2:
            return None
        root, *intermediates, leaf = certificates
        # The leaf's own extensions are judged below: it need not be one of the web.
        builder = (
            PolicyBuilder()
            .store(Store([root]))
            .time(self.moment or datetime.now(UTC).replace(tzinfo=None))
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca(),
                ee_policy=ExtensionPolicy.permit_all(),
            )
        )
        try:
            chain = builder.build_client_verifier().verify(leaf, intermediates).chain
            if unhandled(leaf.extensions) or not self._usable(chain):
                return None
        except (VerificationError, ValueError, UnsupportedAlgorithm):
            return None
        if self.host and not _names_host(leaf, self.host):
            return None
        return chain

    def _usable(self, chain: list[x509.Certificate]) -> bool:
        """Whether one of the usages is allowed by every certificate of the chain."""
        wanted = set(self.usages or [_SERVER_AUTH])
        if _ANY_USAGE in wanted:
            return True
        for certificate in chain:
            try:
                listed = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
            except x509.ExtensionNotFound:
                continue
            allowed = {oid.dotted_string for oid in listed.value}
            if _ANY_USAGE not in allowed:
                wanted &= allowed
        return bool(wanted)


def _names_host(leaf: x509.Certificate, host: str) -> bool:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        labels = host.lower().removesuffix(".").split(".")
        patterns = names.get_values_for_type(x509.DNSName)
        return "" not in labels and any(_label_match(p.lower(), labels) for p in patterns)
    return address in names.get_values_for_type(x509.IPAddress)


def _label_match(pattern: str, labels: list[str]) -> bool:
    """`*` stands for the whole first label and nothing else."""
    wanted = pattern.removesuffix(".").split(".")
    if len(wanted) != len(labels) or wanted[1:] != labels[1:]:
        return False
    return wanted[0] in ("*", labels[0]) and "" not in wanted


def _verify(certs: Value) -> Value:
    name = "crypto.x509.parse_and_verify_certificates"
    text = string(name, 1, certs)
    try:
        chain = _Options(name).verify(_certificates(name, text))
    except BuiltinError:
        chain = None
    return [False, []] if chain is None else [True, [_with_uris(name, c) for c in chain]]


def _verify_with_options(certs: Value, options: Value) -> Value:
    name = "crypto.x509.parse_and_verify_certificates_with_options"
    text = string(name, 1, certs)
    listed = pairs(mapping(name, 2, options))
    try:
        certificates = _certificates(name, text)
    except BuiltinError:
        return [False, []]
    wanted = _Options(name)
    for key, value in listed:
        wanted.set(key, value)
    chain = wanted.verify(certificates)
    return [False, []] if chain is None else [True, [_shown(name, c) for c in chain]]


# ---- private keys ----


def _private_key(name: str, der: bytes) -> PrivateKey:
    try:
        key = load_der_private_key(der, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise failed(name, f"x509: failed to parse private key: {error}") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size <= RSA_BITS_MAX:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise failed(name, "x509: private keys of this type or size are not supported")


def _private_keys(name: str, text: str) -> list[PrivateKey]:
    kinds = ("RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY")
    return [_private_key(name, b.der) for b in pem_blocks(text) if b.kind in kinds]


def _parse_private_keys(keys: Value) -> Value:
    name = "crypto.parse_private_keys"
    text = string(name, 1, keys)
    if not text:
        return None
    try:
        text = from_bytes(_base64(name, text))
    except BuiltinError:
        pass  # then it is PEM as it stands
    return [private_key_to_json(key) for key in _private_keys(name, text)]


def _parse_rsa_private_key(pem: Value) -> Value:
    name = "crypto.x509.parse_rsa_private_key"
    text = string(name, 1, pem)
    if not text:
        raise failed(name, "input PEM data was empty")
    if not text.startswith(_BEGIN):
        text = from_bytes(_base64(name, text))
    keys = _private_keys(name, text)
    return private_key_to_jwk(keys[0]) if keys else None


def _parse_keypair(cert: Value, pem: Value) -> Value:
    name = "crypto.x509.parse_keypair"
    chain, text = string(name, 1, cert), string(name, 1, pem)
    certificates = _certificates(name, chain)
    if not text.startswith(_BEGIN):
        raw = _base64(name, text)
        text = from_bytes(raw)
        keys = _private_keys(name, text) if raw.startswith(b"-----") else [_private_key(name, raw)]
    else:
        keys = _private_keys(name, text)
    if not certificates:
        raise failed(name, "tls: failed to find any PEM data in certificate input")
    if not keys:
        raise failed(name, "tls: failed to find any PEM data in key input")
    leaf = certificates[0]
    if leaf.public_key() != keys[0].public_key():
        raise failed(name, "tls: private key does not match public key")
    shown = [_shown(name, certificate) for certificate in certificates]
    return {
        "Certificate": [certificate["Raw"] for certificate in shown],
        "Leaf": shown[0],
        "PrivateKey": private_key_to_json(keys[0]),
        "OCSPStaple": None,
        "SignedCertificateTimestamps": None,
        "SupportedSignatureAlgorithms": None,
    }


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("crypto.parse_private_keys", _parse_private_keys),
    ("crypto.x509.parse_and_verify_certificates", _verify),
    ("crypto.x509.parse_and_verify_certificates_with_options", _verify_with_options),
    ("crypto.x509.parse_certificate_request", _parse_request),
    ("crypto.x509.parse_certificates", _parse_certificates),
    ("crypto.x509.parse_keypair", _parse_keypair),
    ("crypto.x509.parse_rsa_private_key", _parse_rsa_private_key),
)
