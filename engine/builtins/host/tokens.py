"""JSON Web Tokens: taking them apart, and the signatures that need no library (HMAC).

Everything that trusts a key to be of a certain kind is in `signatures.py`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.texts import from_bytes, read_json, to_bytes
from cupcake.engine.builtins.values import Value

TOKEN_MAX = 1 << 20  # characters
NESTING_MAX = 8  # tokens within tokens


@dataclass(frozen=True, slots=True)
class Token:
    """The three sections of a compact token, still encoded. `name` is the builtin, for messages."""

    name: str
    header_text: str
    payload_text: str
    signature_text: str

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return to_bytes(f"{self.header_text}.{self.payload_text}")

    def header(self) -> dict[str, Value]:
        try:
            raw = _section(self.header_text)
        except ValueError as error:
            raise failed(self.name, f"JWT header had invalid encoding: {error}") from None
        try:
            header = json_object(raw)
        except ValueError as error:
            raise failed(self.name, f"bad JWT header: {error}") from None
        if "enc" in header:
            raise failed(self.name, "JWT is a JWE object, which is not supported")
        return header

    def payload(self) -> bytes:
        try:
            return _section(self.payload_text)
        except ValueError as error:
            raise failed(self.name, f"JWT payload had invalid encoding: {error}") from None

    def claims(self) -> dict[str, Value]:
        raw = self.payload()
        try:
            return json_object(raw)
        except ValueError as error:
            raise failed(self.name, str(error)) from None

    def signature(self) -> bytes:
        try:
            return _section(self.signature_text)
        except ValueError as error:
            raise failed(self.name, f"JWT signature had invalid encoding: {error}") from None


def split_token(name: str, text: str) -> Token:
    """BuiltinError unless the text has three sections."""
    if len(text) > TOKEN_MAX:
        raise failed(name, f"encoded JWT is longer than {TOKEN_MAX} characters")
    parts = text.split(".")
    if len(parts) == 1:
        raise failed(name, "encoded JWT had no period separators")
    if len(parts) != 3:
        raise failed(name, f"encoded JWT must have 3 sections, found {len(parts)}")
    return Token(name, *parts)


def json_object(raw: bytes) -> dict[str, Value]:
    """The JSON object in `raw`; ValueError with the words of OPA. The last of equal keys counts."""
    found = json_value(from_bytes(raw))
    if not isinstance(found, dict):
        raise ValueError("decoded JSON type was not an Object")
    return found


def json_value(text: str) -> Value:
    """A JSON text as value; ValueError for anything that is no JSON, `NaN` included."""
    try:
        found: Value = read_json(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"invalid JSON: {error}") from None
    return found


def _no_constant(text: str) -> Value:
    raise ValueError(f"{text} is no JSON")


def _section(text: str) -> bytes:
    """The bytes of one base64url section, which may be padded or not."""
    if len(to_bytes(text)) % 4 == 1 and not text.endswith("="):
        raise ValueError(f"illegal base64url string: {text}")
    body = text.rstrip("=")
    bad = re.search(r"[^A-Za-z0-9_-]", body)
    if bad:
        raise ValueError(f"illegal base64 data at input byte {bad.start()}")
    if len(body) % 4 == 1:
        raise ValueError(f"illegal base64url string: {text}")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def unquoted(payload: bytes) -> str:
    """A token within a token: its text may be quoted."""
    return from_bytes(payload).strip("\"'")


def _decode(token: Value) -> Value:
    name = "io.jwt.decode"
    text = string(name, 1, token)
    for _ in range(NESTING_MAX):
        parts = split_token(name, text)
        header = parts.header()
        payload = parts.payload()
        if header.get("cty") != "JWT":
            return [header, parts.claims(), parts.signature().hex()]
        text = unquoted(payload)
    raise failed(name, "JWT is nested too deeply")


def _verify_hmac(digest: str, name: str, token: Value, secret: Value) -> Value:
    text, key = string(name, 1, token), string(name, 2, secret)
    parts = split_token(name, text)
    mac = hmac.digest(to_bytes(key), parts.signed, digest)
    return hmac.compare_digest(mac, parts.signature())


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("io.jwt.decode", _decode),
    ("io.jwt.verify_hs256", partial(_verify_hmac, "sha256", "io.jwt.verify_hs256")),
    ("io.jwt.verify_hs384", partial(_verify_hmac, "sha384", "io.jwt.verify_hs384")),
    ("io.jwt.verify_hs512", partial(_verify_hmac, "sha512", "io.jwt.verify_hs512")),
)
