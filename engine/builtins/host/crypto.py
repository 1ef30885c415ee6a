"""Digests and message authentication codes, as lower-case hex."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from cupcake.engine.builtins.host.operands import string
from cupcake.engine.builtins.values import Value


def _digest(algorithm: str) -> Callable[[Value], Value]:
    name = f"crypto.{algorithm}"

    def digest(x: Value) -> Value:
        return hashlib.new(
            algorithm, string(name, 1, x).encode(), usedforsecurity=False
        ).hexdigest()

    return digest


def _mac(algorithm: str) -> Callable[[Value, Value], Value]:
    name = f"crypto.hmac.{algorithm}"

    def mac(x: Value, key: Value) -> Value:
        message = string(name, 1, x).encode()
        return hmac.new(string(name, 2, key).encode(), message, algorithm).hexdigest()

    return mac


def _equal(a: Value, b: Value) -> Value:
    name = "crypto.hmac.equal"
    return hmac.compare_digest(string(name, 1, a).encode(), string(name, 2, b).encode())


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("crypto.md5", _digest("md5")),
    ("crypto.sha1", _digest("sha1")),
    ("crypto.sha256", _digest("sha256")),
    ("crypto.hmac.md5", _mac("md5")),
    ("crypto.hmac.sha1", _mac("sha1")),
    ("crypto.hmac.sha256", _mac("sha256")),
    ("crypto.hmac.sha512", _mac("sha512")),
    ("crypto.hmac.equal", _equal),
)
