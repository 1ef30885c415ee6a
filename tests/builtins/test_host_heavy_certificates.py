"""Certificates, requests and private keys: made here, parsed by the builtins; OPA shows the same."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from calling import call
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from test_calls import needs_opa

from cupcake.engine.builtins.values import BuiltinError

OPA = shutil.which("opa")
START = datetime(2030, 1, 1)
NOW_NS = 1_900_000_000 * 10**9  # in March 2030
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
CHAIN = "crypto.x509.parse_and_verify_certificates_with_options"


def opa(function: str, *operands: object) -> Any:
    """What OPA answers; the message when that is an error."""
    call = f"{function}({','.join(f'input[{i}]' for i in range(len(operands)))})"
    done = subprocess.run(
        [str(OPA), "eval", "--format", "json", "--strict-builtin-errors", "--stdin-input", call],
        input=json.dumps(operands),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    answer = json.loads(done.stdout)
    if "result" not in answer:
        return answer["errors"][0]["message"]
    return answer["result"][0]["expressions"][0]["value"]


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(PEM).decode()

    def key_pem(self, form: Any = serialization.PrivateFormat.PKCS8) -> str:
        raw: bytes = self.key.private_bytes(PEM, form, serialization.NoEncryption())
        return raw.decode()


def name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "AQ"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Penguins & Sons"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Ice"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, "77"),
        ]
    )


def issue(
    common: str,
    issuer: Issued | None = None,
    *,
    key: Any = None,
    ca: bool = False,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    days: int = 365,
) -> Issued:
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer.certificate.subject if issuer else name(common))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(START + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    if ca:
        usage = x509.KeyUsage(*(i in (5, 6) for i in range(9)))
        builder = builder.add_extension(usage, True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signer, digest), key)


ALTERNATIVES = x509.SubjectAlternativeName(
    [
        x509.DNSName("host.example"),
        x509.DNSName("*.wild.example"),
        x509.IPAddress(ip_address("10.1.2.3")),
        x509.IPAddress(ip_address("fe80::1")),
        x509.RFC822Name("a@host.example"),
        x509.UniformResourceIdentifier("https://u@host.example:8443/p%20q?a=b#c"),
    ]
)
RICH: tuple[tuple[x509.ExtensionType, bool], ...] = (
    (ALTERNATIVES, False),
    (
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, x509.ObjectIdentifier("1.2.3.4")]),
        False,
    ),
    (x509.KeyUsage(True, False, True, False, True, False, False, True, False), True),
    (
        x509.NameConstraints(
            [x509.DNSName("host.example"), x509.IPAddress(ip_network("10.0.0.0/8"))],
            [x509.DNSName("no.example")],
        ),
        True,
    ),
    (
        x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.5"), None)]),
        False,
    ),
    (x509.PolicyConstraints(2, 0), True),
    (x509.InhibitAnyPolicy(3), True),
    (
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP,
                    x509.UniformResourceIdentifier("http://ocsp.example"),
                ),
                x509.AccessDescription(
                    AuthorityInformationAccessOID.CA_ISSUERS,
                    x509.UniformResourceIdentifier("http://ca.example"),
                ),
            ]
        ),
        False,
    ),
    (
        x509.CRLDistributionPoints(
            [
                x509.DistributionPoint(
                    [x509.UniformResourceIdentifier("http://crl.example")], None, None, None
                )
            ]
        ),
        False,
    ),
    (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.9"), b"\x05\x00"), True),
)


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "p256": ec.generate_private_key(ec.SECP256R1()),
        "p521": ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
    }


@dataclass(frozen=True)
class Chain:
    root: Issued
    middle: Issued
    leaf: Issued

    def text(self) -> str:
        return self.root.pem + self.middle.pem + self.leaf.pem


@pytest.fixture(scope="module")
def chain() -> Chain:
    root = issue("root", ca=True)
    middle = issue("middle", root, ca=True)
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    leaf = issue("leaf", middle, extensions=((ALTERNATIVES, False), (usages, False)))
    return Chain(root, middle, leaf)


def test_a_certificate_shows_its_parts(keys: dict[str, Any]) -> None:
    issued = issue("host.example", key=keys["p256"], extensions=RICH)
    [shown] = call("crypto.x509.parse_certificates", issued.pem)
    expected = {
        "Version": 3,
        "SerialNumber": issued.certificate.serial_number,
        "NotBefore": "2030-01-01T00:00:00Z",
        "DNSNames": ["host.example", "*.wild.example"],
        "EmailAddresses": ["a@host.example"],
        "IPAddresses": ["10.1.2.3", "fe80::1"],
        "URIStrings": ["https://u@host.example:8443/p%20q?a=b#c"],
        "KeyUsage": 1 + 4 + 16 + 128,
        "ExtKeyUsage": [1],
        "UnknownExtKeyUsage": [[1, 2, 3, 4]],
        "UnhandledCriticalExtensions": [[1, 2, 3, 9]],
        "PermittedDNSDomains": ["host.example"],
        "PermittedIPRanges": [{"IP": "10.0.0.0", "Mask": "/wAAAA=="}],
        "ExcludedDNSDomains": ["no.example"],
        "Policies": ["1.2.5"],
        "RequireExplicitPolicy": 2,
        "InhibitPolicyMappingZero": True,
        "InhibitAnyPolicy": 3,
        "OCSPServer": ["http://ocsp.example"],
        "IssuingCertificateURL": ["http://ca.example"],
        "CRLDistributionPoints": ["http://crl.example"],
        "IsCA": False,
        "MaxPathLen": -1,
        "PublicKeyAlgorithm": 3,
        "SignatureAlgorithm": 10,
    }
    assert {key: shown[key] for key in expected} == expected
    assert shown["Subject"]["CommonName"] == "host.example"
    assert shown["Subject"]["Organization"] == ["Penguins & Sons"]
    assert shown["Subject"]["Locality"] is None


@needs_opa
@pytest.mark.parametrize("kind", ["rsa", "p256", "p521", "ed25519"])
def test_opa_shows_the_same(kind: str, keys: dict[str, Any]) -> None:
    issued = issue("host.example", key=keys[kind], extensions=RICH)
    for function, operands in (
        ("crypto.x509.parse_certificates", (issued.pem + issued.pem,)),
        ("crypto.x509.parse_keypair", (issued.pem, issued.key_pem())),
        ("crypto.parse_private_keys", (issued.key_pem(),)),
    ):
        assert call(function, *operands) == opa(function, *operands)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name("asking"))
        .add_extension(ALTERNATIVES, False)
        .sign(keys[kind], None if kind == "ed25519" else hashes.SHA384())
    )
    function = "crypto.x509.parse_certificate_request"
    ours = call(function, request.public_bytes(PEM).decode())
    theirs = opa(function, request.public_bytes(PEM).decode())
    for shown in (ours, theirs):
        shown.pop("Attributes")  # a deprecated view of the extensions
    assert ours == theirs


@pytest.mark.parametrize("form", ["pem", "base64 of pem", "der", "several in der"])
def test_forms_of_certificates(form: str, chain: Chain) -> None:
    der = chain.root.certificate.public_bytes(DER)
    text = {
        "pem": chain.root.pem,
        "base64 of pem": base64.b64encode(chain.root.pem.encode()).decode(),
        "der": base64.b64encode(der).decode(),
        "several in der": base64.b64encode(der + der).decode(),
    }[form]
    found = call("crypto.x509.parse_certificates", text)
    assert [c["Subject"]["CommonName"] for c in found] == ["root"] * (2 if "several" in form else 1)


@pytest.mark.parametrize(
    ("options", "valid"),
    [
        ({}, True),
        ({"KeyUsages": ["KeyUsageServerAuth"]}, True),
        ({"KeyUsages": ["KeyUsageClientAuth"]}, False),
        ({"KeyUsages": ["KeyUsageClientAuth", "KeyUsageServerAuth"]}, True),
        ({"KeyUsages": ["KeyUsageAny"]}, True),
        ({"DNSName": "host.example"}, True),
        ({"DNSName": "HOST.example."}, True),
        ({"DNSName": "x.wild.example"}, True),
        ({"DNSName": "y.x.wild.example"}, False),
        ({"DNSName": "wild.example"}, False),
        ({"DNSName": "other.example"}, False),
        ({"DNSName": "10.1.2.3"}, True),
        ({"DNSName": "[fe80::1]"}, True),
        ({"DNSName": "10.1.2.4"}, False),
        ({"CurrentTime": 10**18}, False),
        ({"CurrentTime": 3 * 10**18}, False),
        ({"MaxConstraintComparisons": 100}, True),
    ],
)
def test_chains_with_options(options: dict[str, Any], valid: bool, chain: Chain) -> None:
    options = {"CurrentTime": NOW_NS, **options}
    found = call(CHAIN, chain.text(), options)
    names = [c["Subject"]["CommonName"] for c in found[1]]
    assert (found[0], names) == (valid, ["leaf", "middle", "root"] if valid else [])


@needs_opa
def test_opa_verifies_the_same_chain(chain: Chain) -> None:
    for options in ({"CurrentTime": NOW_NS}, {"CurrentTime": NOW_NS, "DNSName": "host.example"}):
        assert call(CHAIN, chain.text(), options) == opa(CHAIN, chain.text(), options)


@pytest.mark.parametrize(
    "attack",
    ["no middle", "wrong order", "another root", "leaf signs", "only one", "garbage", "critical"],
)
def test_bad_chains_are_not_verified(attack: str, chain: Chain) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.9"), b"\x05\x00")
    text = {
        "no middle": lambda: chain.root.pem + chain.leaf.pem,
        "wrong order": lambda: chain.leaf.pem + chain.middle.pem + chain.root.pem,
        "another root": lambda: issue("root", ca=True).pem + chain.middle.pem + chain.leaf.pem,
        "leaf signs": lambda: chain.text() + issue("below", chain.leaf).pem,
        "only one": lambda: chain.root.pem,
        "garbage": lambda: "x" + chain.text(),
        "critical": lambda: (
            chain.root.pem + issue("leaf", chain.root, extensions=((unknown, True),)).pem
        ),
    }[attack]()
    assert call(CHAIN, text, {"CurrentTime": NOW_NS, "KeyUsages": ["KeyUsageAny"]}) == [False, []]
    assert call("crypto.x509.parse_and_verify_certificates", text) == [False, []]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"DNSName": 1}, "'DNSName' should be a string"),
        ({"CurrentTime": "now"}, "'CurrentTime' should be a number"),
        ({"CurrentTime": 10**40}, "out of range"),
        ({"KeyUsages": "any"}, "'KeyUsages' should be an Array or Set"),
        ({"KeyUsages": ["a", "b"]}, r"invalid entries for 'KeyUsages' found: \[a b\]"),
        ({"Other": 1}, "invalid key option"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, chain: Chain) -> None:
    with pytest.raises(BuiltinError, match=message):
        call(CHAIN, chain.text(), options)


@pytest.mark.parametrize("kind", ["rsa", "p256", "p521", "ed25519"])
def test_private_keys_become_jwks_that_sign(kind: str, keys: dict[str, Any]) -> None:
    issued = issue("signer", key=keys[kind])
    jwk = call("crypto.x509.parse_rsa_private_key", issued.key_pem())
    alg = {"rsa": "RS256", "p256": "ES256", "p521": "ES512", "ed25519": "EdDSA"}[kind]
    token = call("io.jwt.encode_sign", {"alg": alg}, {}, jwk)
    assert call(f"io.jwt.verify_{alg.lower()}", token, issued.pem) is True


def test_private_keys_in_their_older_forms(keys: dict[str, Any]) -> None:
    older = serialization.PrivateFormat.TraditionalOpenSSL
    texts = [issue("x", key=keys[kind]).key_pem(older) for kind in ("rsa", "p256")]
    assert [text.split("-----")[1] for text in texts] == [
        "BEGIN RSA PRIVATE KEY",
        "BEGIN EC PRIVATE KEY",
    ]
    found = call("crypto.parse_private_keys", "".join(texts))
    assert [sorted(key) for key in found] == [
        ["D", "E", "N", "Precomputed", "Primes"],
        ["Curve", "D", "X", "Y"],
    ]
    assert call("crypto.parse_private_keys", "") is None
    assert call("crypto.parse_private_keys", "no key") == []


@pytest.mark.parametrize(
    ("function", "operands", "message"),
    [
        ("crypto.x509.parse_certificates", ("!",), "illegal base64 data at input byte 0"),
        ("crypto.x509.parse_certificates", ("AAAA",), "x509: malformed certificate"),
        ("crypto.x509.parse_certificates", ("MIIA",), "x509: malformed certificate"),
        ("crypto.x509.parse_certificates", ("MAAw" * 400,), "malformed certificate"),
        (
            "crypto.x509.parse_certificates",
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",),
            "PEM block type is 'PRIVATE KEY', expected CERTIFICATE",
        ),
        ("crypto.x509.parse_certificate_request", ("AAAA",), "asn1: structure error"),
        ("crypto.x509.parse_rsa_private_key", ("",), "input PEM data was empty"),
        ("crypto.x509.parse_rsa_private_key", ("!",), "illegal base64"),
        (
            "crypto.parse_private_keys",
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",),
            "failed to parse private key",
        ),
    ],
)
def test_errors(function: str, operands: tuple[str, ...], message: str) -> None:
    with pytest.raises(BuiltinError, match=message):
        call(function, *operands)


def test_a_key_must_belong_to_its_certificate(keys: dict[str, Any]) -> None:
    one, other = issue("one", key=keys["p256"]), issue("other")
    assert call("crypto.x509.parse_keypair", one.pem, one.key_pem())["Leaf"]["Version"] == 3
    with pytest.raises(BuiltinError, match="private key does not match public key"):
        call("crypto.x509.parse_keypair", one.pem, other.key_pem())
