"""X.509 certificates, requests and keys in the JSON form that Go gives its structures, as OPA shows them.

Only shapes. Imported when a builtin of `certificates.py` is called.
"""

from __future__ import annotations

import base64
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from cupcake.engine.builtins.host.keys import PrivateKey
from cupcake.engine.builtins.values import Value

Json = dict[str, Value]
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

# Go's numbers of the signature algorithms, by OID; RSA-PSS depends on its hash.
_SIGNATURES: tuple[tuple[str, int], ...] = (
    ("1.2.840.113549.1.1.2", 1),
    ("1.2.840.113549.1.1.4", 2),
    ("1.2.840.113549.1.1.5", 3),
    ("1.2.840.113549.1.1.11", 4),
    ("1.2.840.113549.1.1.12", 5),
    ("1.2.840.113549.1.1.13", 6),
    ("1.2.840.10040.4.3", 7),
    ("2.16.840.1.101.3.4.3.2", 8),
    ("1.2.840.10045.4.1", 9),
    ("1.2.840.10045.4.3.2", 10),
    ("1.2.840.10045.4.3.3", 11),
    ("1.2.840.10045.4.3.4", 12),
    ("1.3.101.112", 16),
)
_PSS_OID = "1.2.840.113549.1.1.10"
_PSS: tuple[tuple[str, int], ...] = (("sha256", 13), ("sha384", 14), ("sha512", 15))

# Go's numbers of the extended key usages are the positions in this list.
USAGES: tuple[str, ...] = (
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.3",
    "1.3.6.1.5.5.7.3.4",
    "1.3.6.1.5.5.7.3.5",
    "1.3.6.1.5.5.7.3.6",
    "1.3.6.1.5.5.7.3.7",
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
    "1.3.6.1.4.1.311.10.3.3",
    "2.16.840.1.113730.4.1",
    "1.3.6.1.4.1.311.2.1.22",
    "1.3.6.1.4.1.311.61.1.1",
)
_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)
_NAME_PARTS: tuple[tuple[str, str], ...] = (
    ("2.5.4.6", "Country"),
    ("2.5.4.10", "Organization"),
    ("2.5.4.11", "OrganizationalUnit"),
    ("2.5.4.7", "Locality"),
    ("2.5.4.8", "Province"),
    ("2.5.4.9", "StreetAddress"),
    ("2.5.4.17", "PostalCode"),
)


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _arcs(dotted: str) -> list[Value]:
    return [int(arc) for arc in dotted.split(".")]


def _or_null(listed: list[Value]) -> Value:
    return listed or None


def _extension(extensions: x509.Extensions, kind: type[_Extension]) -> _Extension | None:
    try:
        return extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


# ---- parts ----


def _name(name: x509.Name) -> Json:
    attributes = list(name)
    parts: Json = {
        member: _or_null([_text(a.value) for a in attributes if a.oid.dotted_string == oid])
        for oid, member in _NAME_PARTS
    }
    for oid, member in (("2.5.4.3", "CommonName"), ("2.5.4.5", "SerialNumber")):
        found = [_text(a.value) for a in attributes if a.oid.dotted_string == oid]
        parts[member] = found[-1] if found else ""
    names: list[Value] = [
        {"Type": _arcs(a.oid.dotted_string), "Value": _text(a.value)} for a in attributes
    ]
    return {**parts, "Names": _or_null(names), "ExtraNames": None}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else _b64(value)


def _public_key(key: object) -> tuple[int, Value]:
    """Go's number of the algorithm and the key."""
    if isinstance(key, rsa.RSAPublicKey):
        return 1, {"N": key.public_numbers().n, "E": key.public_numbers().e}
    if isinstance(key, ec.EllipticCurvePublicKey):
        numbers = key.public_numbers()
        return 3, {"Curve": {}, "X": numbers.x, "Y": numbers.y}
    if isinstance(key, ed25519.Ed25519PublicKey):
        return 4, _b64(key.public_bytes_raw())
    return 0, None


def _signature_algorithm(signed: x509.Certificate | x509.CertificateSigningRequest) -> int:
    oid = signed.signature_algorithm_oid.dotted_string
    if oid == _PSS_OID:
        digest = signed.signature_hash_algorithm
        return dict(_PSS).get(digest.name if digest else "", 0)
    return dict(_SIGNATURES).get(oid, 0)


def _extensions(extensions: x509.Extensions) -> Value:
    return _or_null(
        [
            {
                "Id": _arcs(e.oid.dotted_string),
                "Critical": e.critical,
                "Value": _b64(e.value.public_bytes()),
            }
            for e in extensions
        ]
    )


def _url(text: str) -> Json:
    """Go's url.URL."""
    parts = urlsplit(text)
    _, at, host = parts.netloc.rpartition("@")
    opaque = "" if parts.netloc or parts.path.startswith("/") else parts.path
    path = "" if opaque else unquote(parts.path)
    return {
        "Scheme": parts.scheme,
        "Opaque": opaque,
        "User": {} if at else None,
        "Host": host,
        "Path": path,
        "Fragment": unquote(parts.fragment),
        "RawQuery": parts.query,
        "RawPath": "",
        "RawFragment": "",
        "ForceQuery": False,
        "OmitHost": False,
    }


def _alternative_names(extensions: x509.Extensions) -> Json:
    names = _extension(extensions, x509.SubjectAlternativeName) or ()
    found: dict[str, list[Value]] = {
        "DNSNames": [n.value for n in names if isinstance(n, x509.DNSName)],
        "EmailAddresses": [n.value for n in names if isinstance(n, x509.RFC822Name)],
        "IPAddresses": [str(n.value) for n in names if isinstance(n, x509.IPAddress)],
        "URIs": [_url(n.value) for n in names if isinstance(n, x509.UniformResourceIdentifier)],
    }
    return {member: _or_null(values) for member, values in found.items()}


def uri_strings(certificate: x509.Certificate) -> Value:
    names = _extension(certificate.extensions, x509.SubjectAlternativeName) or ()
    return _or_null([n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)])


def _network(value: Any) -> Json:
    assert isinstance(value, IPv4Network | IPv6Network)
    return {"IP": str(value.network_address), "Mask": _b64(value.netmask.packed)}


def _constraints(extensions: x509.Extensions) -> Json:
    found: Json = {"PermittedDNSDomainsCritical": False}
    limits = _extension(extensions, x509.NameConstraints)
    if limits is not None:
        critical = extensions.get_extension_for_class(x509.NameConstraints).critical
        found["PermittedDNSDomainsCritical"] = critical
    for word, trees in (
        ("Permitted", limits.permitted_subtrees if limits else None),
        ("Excluded", limits.excluded_subtrees if limits else None),
    ):
        names = trees or []
        kinds: tuple[tuple[str, type[Any]], ...] = (
            ("DNSDomains", x509.DNSName),
            ("EmailAddresses", x509.RFC822Name),
            ("URIDomains", x509.UniformResourceIdentifier),
        )
        for member, kind in kinds:
            found[word + member] = _or_null([n.value for n in names if isinstance(n, kind)])
        ranges: list[Value] = [_network(n.value) for n in names if isinstance(n, x509.IPAddress)]
        found[f"{word}IPRanges"] = _or_null(ranges)
    return found


def _usages(extensions: x509.Extensions) -> Json:
    bits = _extension(extensions, x509.KeyUsage)
    number = 0
    if bits is not None:
        number = sum(1 << i for i, name in enumerate(_KEY_USAGES) if getattr(bits, name))
        if bits.key_agreement:
            number |= (128 if bits.encipher_only else 0) | (256 if bits.decipher_only else 0)
    listed = [oid.dotted_string for oid in _extension(extensions, x509.ExtendedKeyUsage) or ()]
    return {
        "KeyUsage": number,
        "ExtKeyUsage": _or_null([USAGES.index(oid) for oid in listed if oid in USAGES]),
        "UnknownExtKeyUsage": _or_null([_arcs(oid) for oid in listed if oid not in USAGES]),
    }


def _policies(extensions: x509.Extensions) -> Json:
    listed = [
        policy.policy_identifier.dotted_string
        for policy in _extension(extensions, x509.CertificatePolicies) or ()
    ]
    limits = _extension(extensions, x509.PolicyConstraints)
    inhibited = _extension(extensions, x509.InhibitAnyPolicy)
    numbers: tuple[tuple[str, int | None], ...] = (
        ("RequireExplicitPolicy", limits.require_explicit_policy if limits else None),
        ("InhibitPolicyMapping", limits.inhibit_policy_mapping if limits else None),
        ("InhibitAnyPolicy", inhibited.skip_certs if inhibited else None),
    )
    found: Json = {
        "Policies": _or_null(list(listed)),
        "PolicyIdentifiers": _or_null([_arcs(oid) for oid in listed]),
        "PolicyMappings": None,
    }
    for member, number in numbers:
        found[member] = number or 0
        found[f"{member}Zero"] = number == 0
    return found


def _sources(extensions: x509.Extensions) -> Json:
    access = _extension(extensions, x509.AuthorityInformationAccess) or ()
    found: dict[str, list[Value]] = {"OCSPServer": [], "IssuingCertificateURL": []}
    for entry in access:
        if isinstance(entry.access_location, x509.UniformResourceIdentifier):
            if entry.access_method == AuthorityInformationAccessOID.OCSP:
                found["OCSPServer"].append(entry.access_location.value)
            elif entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
                found["IssuingCertificateURL"].append(entry.access_location.value)
    points = _extension(extensions, x509.CRLDistributionPoints) or ()
    found["CRLDistributionPoints"] = [
        name.value
        for point in points
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    ]
    return {member: _or_null(values) for member, values in found.items()}


def unhandled(extensions: x509.Extensions) -> list[str]:
    """The critical extensions that nobody here understands."""
    return [
        e.oid.dotted_string
        for e in extensions
        if e.critical and isinstance(e.value, x509.UnrecognizedExtension)
    ]


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- wholes ----


def certificate_to_json(certificate: x509.Certificate) -> Json:
    """ValueError when an extension is malformed."""
    extensions = certificate.extensions
    key = certificate.public_key()
    algorithm, shown = _public_key(key)
    basic = _extension(extensions, x509.BasicConstraints)
    length = 0 if basic is None else -1 if basic.path_length is None else basic.path_length
    subject_key = _extension(extensions, x509.SubjectKeyIdentifier)
    authority = _extension(extensions, x509.AuthorityKeyIdentifier)
    authority_key = authority.key_identifier if authority else None
    return {
        "Raw": _b64(certificate.public_bytes(serialization.Encoding.DER)),
        "RawTBSCertificate": _b64(certificate.tbs_certificate_bytes),
        "RawSubjectPublicKeyInfo": _b64(_spki(key)),
        "RawSubject": _b64(certificate.subject.public_bytes()),
        "RawIssuer": _b64(certificate.issuer.public_bytes()),
        "Signature": _b64(certificate.signature),
        "SignatureAlgorithm": _signature_algorithm(certificate),
        "PublicKeyAlgorithm": algorithm,
        "PublicKey": shown,
        "Version": certificate.version.value + 1,
        "SerialNumber": certificate.serial_number,
        "Issuer": _name(certificate.issuer),
        "Subject": _name(certificate.subject),
        "NotBefore": _time(certificate.not_valid_before_utc),
        "NotAfter": _time(certificate.not_valid_after_utc),
        "Extensions": _extensions(extensions),
        "ExtraExtensions": None,
        "UnhandledCriticalExtensions": _or_null([_arcs(oid) for oid in unhandled(extensions)]),
        "BasicConstraintsValid": basic is not None,
        "IsCA": basic is not None and basic.ca,
        "MaxPathLen": length,
        "MaxPathLenZero": basic is not None and length == 0,
        "SubjectKeyId": _b64(subject_key.digest) if subject_key else None,
        "AuthorityKeyId": _b64(authority_key) if authority_key else None,
        **_usages(extensions),
        **_alternative_names(extensions),
        **_constraints(extensions),
        **_policies(extensions),
        **_sources(extensions),
    }


def _spki(key: Any) -> bytes:
    raw: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return raw


def request_to_json(request: x509.CertificateSigningRequest) -> Json:
    """ValueError when an extension is malformed."""
    key = request.public_key()
    algorithm, shown = _public_key(key)
    return {
        "Raw": _b64(request.public_bytes(serialization.Encoding.DER)),
        "RawTBSCertificateRequest": _b64(request.tbs_certrequest_bytes),
        "RawSubjectPublicKeyInfo": _b64(_spki(key)),
        "RawSubject": _b64(request.subject.public_bytes()),
        "Version": 0,
        "Signature": _b64(request.signature),
        "SignatureAlgorithm": _signature_algorithm(request),
        "PublicKeyAlgorithm": algorithm,
        "PublicKey": shown,
        "Subject": _name(request.subject),
        "Attributes": None,
        "Extensions": _extensions(request.extensions),
        "ExtraExtensions": None,
        **_alternative_names(request.extensions),
    }


def private_key_to_json(key: PrivateKey) -> Value:
    """Go's JSON of the key."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        public = numbers.public_numbers
        return {
            "N": public.n,
            "E": public.e,
            "D": numbers.d,
            "Primes": [numbers.p, numbers.q],
            "Precomputed": {
                "Dp": numbers.dmp1,
                "Dq": numbers.dmq1,
                "Qinv": numbers.iqmp,
                "CRTValues": [],
            },
        }
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        secret = key.private_numbers().private_value
        return {"Curve": {}, "X": point.x, "Y": point.y, "D": secret}
    return _b64(key.private_bytes_raw() + key.public_key().public_bytes_raw())


def _base64url(number: int | bytes, size: int = 0) -> str:
    if isinstance(number, int):
        number = number.to_bytes(size or (number.bit_length() + 7) // 8 or 1)
    return base64.urlsafe_b64encode(number).rstrip(b"=").decode()


def private_key_to_jwk(key: PrivateKey) -> Json:
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        members = {
            "n": numbers.public_numbers.n,
            "e": numbers.public_numbers.e,
            "d": numbers.d,
            "p": numbers.p,
            "q": numbers.q,
            "dp": numbers.dmp1,
            "dq": numbers.dmq1,
            "qi": numbers.iqmp,
        }
        return {"kty": "RSA", **{member: _base64url(n) for member, n in members.items()}}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        size = (key.curve.key_size + 7) // 8
        return {
            "kty": "EC",
            "crv": f"P-{key.curve.key_size}",
            "x": _base64url(point.x, size),
            "y": _base64url(point.y, size),
            "d": _base64url(key.private_numbers().private_value, size),
        }
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _base64url(key.public_key().public_bytes_raw()),
        "d": _base64url(key.private_bytes_raw()),
    }
