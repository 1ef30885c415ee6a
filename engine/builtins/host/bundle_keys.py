"""Signatures of bundles: one JWS algorithm, one PEM key. Imported only when a bundle is verified with such a key.

It must not know what is signed. Secrets (HMAC) are `bundle_signature`'s, which needs no library for them.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from cupcake.engine.builtins.host.signatures import WrongKeyError, algorithm_named
from cupcake.engine.errors import LoadError


def verify(algorithm: str, pem: str, signed: bytes, signature: bytes) -> bool:
    """Whether the signature is right. LoadError when the key is none, or none for this algorithm."""
    known = algorithm_named(algorithm)
    if known is None:
        raise LoadError(f"unknown signature algorithm: {algorithm}")
    try:
        return known.verify(_public(pem), signed, signature)
    except WrongKeyError:
        raise LoadError(f"the verification key is no key for {algorithm}") from None


def _public(pem: str) -> Any:
    data = pem.encode()
    try:
        if "CERTIFICATE" in pem:
            return x509.load_pem_x509_certificate(data).public_key()
        if "PRIVATE KEY" in pem:
            return load_pem_private_key(data, None).public_key()
        return load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LoadError(
            f"the verification key cannot be read, a PEM text is wanted: {error}"
        ) from None
