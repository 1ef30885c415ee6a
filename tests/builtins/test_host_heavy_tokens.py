"""JSON Web Tokens: keys are made here, tokens are signed by the builtins and by hand, and attacks must fail."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from calling import call
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from cupcake.engine.builtins.host.tokens import NESTING_MAX, TOKEN_MAX
from cupcake.engine.builtins.values import BuiltinError

ASYMMETRIC = [f"{k}{n}" for k in ("RS", "PS", "ES") for n in (256, 384, 512)] + ["EdDSA"]
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int, size: int = 0) -> str:
    return base64url(value.to_bytes(size or (value.bit_length() + 7) // 8))


@dataclass(frozen=True)
class Pair:
    """One key as private JWK, public JWK and public PEM."""

    private: dict[str, Any]
    public: dict[str, Any]
    pem: str


def pair(alg: str, rsa_key: rsa.RSAPrivateKey) -> Pair:
    key: Any
    if alg == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
        x = base64url(key.public_key().public_bytes_raw())
        public = {"kty": "OKP", "crv": "Ed25519", "x": x}
        private = {**public, "d": base64url(key.private_bytes_raw())}
    elif alg.startswith("ES"):
        key = ec.generate_private_key(CURVES[alg])
        size = (key.key_size + 7) // 8
        point = key.public_key().public_numbers()
        public = {
            "kty": "EC",
            "crv": f"P-{key.key_size}",
            "x": number(point.x, size),
            "y": number(point.y, size),
        }
        private = {**public, "d": number(key.private_numbers().private_value, size)}
    else:
        key = rsa_key
        n = key.private_numbers()
        public = {"kty": "RSA", "n": number(n.public_numbers.n), "e": number(n.public_numbers.e)}
        private = {**public, "d": number(n.d), "p": number(n.p), "q": number(n.q)}
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Pair(private, public, pem.decode())


@pytest.fixture(scope="module")
def pairs() -> dict[str, Pair]:
    rsa_key = rsa.generate_private_key(65537, 2048)
    return {alg: pair(alg, rsa_key) for alg in ASYMMETRIC}


def sign(alg: str, key: dict[str, Any], claims: dict[str, Any], **header: Any) -> str:
    token = call("io.jwt.encode_sign", {"alg": alg, **header}, claims, key)
    assert isinstance(token, str)
    return token


def by_hand(header: dict[str, Any], claims: object, secret: bytes) -> str:
    """A token with an HMAC of SHA-256, whatever its header says."""
    text = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{base64url(hmac.digest(secret, text.encode(), 'sha256'))}"


def verify(alg: str, token: str, key: str) -> object:
    return call(f"io.jwt.verify_{alg.lower()}", token, key)


def full(token: str, **constraints: Any) -> Any:
    return call("io.jwt.decode_verify", token, {"time": 10**18, **constraints})


REFUSED = [False, {}, {}]
OCT = {"kty": "oct", "k": base64url(b"secret")}


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_what_is_signed_verifies_with_pem_jwk_and_set(alg: str, pairs: dict[str, Pair]) -> None:
    keys = pairs[alg]
    token = sign(alg, keys.private, {"a": 1})
    jwk_set = json.dumps({"keys": [OCT, {**keys.public, "alg": alg}]})
    for key in (keys.pem, json.dumps(keys.public), jwk_set):
        assert verify(alg, token, key) is True
        assert full(token, cert=key) == [True, {"alg": alg}, {"a": 1}]


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_a_changed_token_does_not_verify(alg: str, pairs: dict[str, Pair]) -> None:
    header, _, signature = sign(alg, pairs[alg].private, {"admin": False}).split(".")
    payload = base64url(b'{"admin":true}')
    forged = f"{header}.{payload}.{signature}"
    assert verify(alg, forged, pairs[alg].pem) is False
    assert full(forged, cert=pairs[alg].pem) == REFUSED
    for cut in ("", signature[:-8]):
        assert verify(alg, f"{header}.e30.{cut}", pairs[alg].pem) is False


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_every_algorithm_wants_its_own_kind_of_key(alg: str, pairs: dict[str, Pair]) -> None:
    token = sign(alg, pairs[alg].private, {})
    same = {a for a in ASYMMETRIC if a[:2] in ("RS", "PS") and alg[:2] in ("RS", "PS")} | {alg}
    for other in set(ASYMMETRIC) - same:
        assert verify(other, token, pairs[alg].pem) is False
        assert verify(alg, token, pairs[other].pem) is False
        with pytest.raises(BuiltinError, match="cannot sign"):
            sign(other, pairs[alg].private, {})


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_hmac_secret(alg: str, pairs: dict[str, Pair]) -> None:
    pem = pairs[alg].pem
    for secret in (pem.encode(), pem.strip().encode()):
        for claimed in ("HS256", alg):
            token = by_hand({"alg": claimed}, {"admin": True}, secret)
            assert verify(alg, token, pem) is False
        assert full(by_hand({"alg": "HS256"}, {}, secret), cert=pem) == REFUSED


@pytest.mark.parametrize("name", ["none", "None", "NONE", "", "HS1", "RS1024", "ES256K", "HS256 "])
def test_there_is_no_such_algorithm(name: str) -> None:
    unsigned = f"{base64url(json.dumps({'alg': name}).encode())}.{base64url(b'{}')}."
    for token in (unsigned, by_hand({"alg": name}, {}, b"secret")):
        if not name:
            assert full(token, secret="secret") == REFUSED
            continue
        with pytest.raises(BuiltinError, match="unknown JWS algorithm"):
            full(token, secret="secret")
    with pytest.raises(BuiltinError, match=r"algorithm|'alg'"):
        sign(name, OCT, {})


@pytest.mark.parametrize(
    ("claims", "constraints", "valid"),
    [
        ({}, {}, True),
        ({"exp": 10**9 + 1}, {}, True),
        ({"exp": 10**9}, {}, False),
        ({"nbf": 10**9}, {}, True),
        ({"nbf": 10**9 + 1}, {}, False),
        ({"iss": "me"}, {"iss": "me"}, True),
        ({"iss": "you"}, {"iss": "me"}, False),
        ({"iss": 1}, {"iss": "me"}, False),
        ({}, {"iss": "me"}, False),
        ({"aud": "a"}, {"aud": "a"}, True),
        ({"aud": ["b", "a"]}, {"aud": "a"}, True),
        ({"aud": ["b"]}, {"aud": "a"}, False),
        ({"aud": "a"}, {}, False),
        ({}, {"aud": "a"}, False),
        ({}, {"alg": "HS256"}, True),
        ({}, {"alg": "HS512"}, False),
        ({}, {"secret": "other"}, False),
    ],
)
def test_constraints(claims: dict[str, Any], constraints: dict[str, Any], valid: bool) -> None:
    found = full(sign("HS256", OCT, claims), **{"secret": "secret", **constraints})
    assert found == ([True, {"alg": "HS256"}, claims] if valid else REFUSED)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: full("a.b.c"), "no key constraint"),
        (lambda: full("a.b.c", secret="x", bad=1), "unknown token validation constraint: bad"),
        (lambda: full("a.b.c", secret=1), "secret constraint: must be a string"),
        (lambda: full("a.b.c", secret="x", time="1"), "must be a number"),
        (lambda: full("a.b.c", secret="x", time=-1), "must not be negative"),
        (lambda: full("a.b.c", secret="x", cert=json.dumps(OCT)), "duplicate key constraints"),
        (lambda: full("a.b.c", cert="{}"), "failed to parse a JWK key"),
        (lambda: full("a.b", secret="x"), "must have 3 sections, found 2"),
        (lambda: full("abc", secret="x"), "no period separators"),
        (lambda: full("!.b.c", secret="x"), "header had invalid encoding"),
        (lambda: full("e30.b.c", secret=""), "no key constraint"),
        (lambda: full(by_hand({"alg": 1}, {}, b"s"), secret="s"), "alg: must be a string"),
        (lambda: full(by_hand({"alg": "HS256", "crit": []}, {}, b"s"), secret="s"), "crit"),
        (lambda: full(by_hand({"alg": "HS256", "enc": "x"}, {}, b"s"), secret="s"), "JWE"),
        (lambda: full(by_hand({"alg": "HS256"}, [1], b"s"), secret="s"), "not an Object"),
        (lambda: full(by_hand({"alg": "HS256"}, {"exp": "1"}, b"s"), secret="s"), "exp value"),
        (lambda: verify("RS256", "a.b.c", "-----BEGIN X-----\nAAAA\n-----END X-----\n"), "extract"),
        (lambda: call("io.jwt.decode", "e30." + "A" * TOKEN_MAX + ".x"), "longer than"),
    ],
)
def test_errors(take: Callable[[], object], message: str) -> None:
    with pytest.raises(BuiltinError, match=message):
        take()


def test_an_unknown_critical_member_refuses_the_token() -> None:
    token = by_hand({"alg": "HS256", "crit": ["x"], "x": 1}, {}, b"secret")
    assert full(token, secret="secret") == REFUSED


def test_tokens_within_tokens_are_verified_one_by_one_and_bounded() -> None:
    inner = sign("HS256", OCT, {"a": 1})
    for _ in range(2):
        inner = call(
            "io.jwt.encode_sign_raw",
            '{"alg":"HS256","typ":"x","cty":"JWT"}',
            f'"{inner}"',
            json.dumps(OCT),
        )
    assert full(inner, secret="secret")[2] == {"a": 1}
    assert call("io.jwt.decode", inner)[1] == {"a": 1}
    header, payload, _ = inner.split(".")
    assert full(f"{header}.{payload}.{base64url(b'no')}", secret="secret") == REFUSED
    for _ in range(NESTING_MAX):
        inner = call(
            "io.jwt.encode_sign_raw",
            '{"alg":"HS256","typ":"x","cty":"JWT"}',
            inner,
            json.dumps(OCT),
        )
    for take in (lambda: full(inner, secret="secret"), lambda: call("io.jwt.decode", inner)):
        with pytest.raises(BuiltinError, match="nested too deeply"):
            take()


def test_the_key_that_the_token_names_is_the_only_one_tried(pairs: dict[str, Pair]) -> None:
    right = {**pairs["ES256"].public, "kid": "right"}
    wrong = {**pair("ES256", rsa.generate_private_key(65537, 2048)).public, "kid": "wrong"}
    keys = json.dumps({"keys": [wrong, right]})
    for kid, valid in (("right", True), ("wrong", False), ("neither", True)):
        token = sign("ES256", pairs["ES256"].private, {}, kid=kid)
        assert verify("ES256", token, keys) is valid


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "oct"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"crv": "secp256k1"},
        {"x": "AAAA"},
        {"y": "!"},
        {"d": "AAAA"},
        {"d": None},
    ],
)
def test_a_malformed_key_signs_nothing(changes: dict[str, Any], pairs: dict[str, Pair]) -> None:
    with pytest.raises(BuiltinError):
        sign("ES256", {**pairs["ES256"].private, **changes}, {})


@pytest.mark.parametrize("bits", [20_000, 100_000])
def test_huge_rsa_keys_are_refused(bits: int) -> None:
    for n, e in (((1 << bits) + 1, 65537), ((1 << 2047) + 1, (1 << 2000) + 1)):
        key = json.dumps({"kty": "RSA", "n": number(n), "e": number(e)})
        with pytest.raises(BuiltinError, match=r"larger than|too large"):
            verify("RS256", sign("HS256", OCT, {}), key)
