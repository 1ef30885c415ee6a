"""What a policy asks of `http.send`, read and checked: an object of the policy to a frozen `Request`. No network.

Also the check of the members' names that `providers.aws.sign_req` shares.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.documents import number_text, one_line
from cupcake.engine.builtins.host.operands import failed, mapping
from cupcake.engine.builtins.host.times import duration_ns
from cupcake.engine.builtins.host.uris import Url, UrlError, parse_url
from cupcake.engine.builtins.texts import to_bytes
from cupcake.engine.builtins.values import (
    BuiltinError,
    RegoObject,
    Value,
    pairs,
    rego_set,
    type_name,
)

REQUIRED = ("method", "url")
_TEXTS = frozenset(
    [
        "method",
        "raw_body",
        "tls_ca_cert",
        "tls_ca_cert_env_variable",
        "tls_ca_cert_file",
        "tls_client_cert",
        "tls_client_cert_env_variable",
        "tls_client_cert_file",
        "tls_client_key",
        "tls_client_key_env_variable",
        "tls_client_key_file",
        "tls_server_name",
        "url",
    ]
)
_SWITCHES = ("enable_redirect", "tls_insecure_skip_verify", "tls_use_system_certs")
_MEMBERS = _TEXTS | frozenset(
    [
        *_SWITCHES,
        "body",
        "cache",
        "cache_ignored_headers",
        "caching_mode",
        "force_cache",
        "force_cache_duration_seconds",
        "force_json_decode",
        "force_yaml_decode",
        "headers",
        "max_retry_attempts",
        "raise_error",
        "timeout",
    ]
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_DURATION_MAX = 1 << 63
_INT32 = 1 << 31


@dataclass(frozen=True, slots=True)
class Tls:
    """Texts of certificates (PEM), names of files and variables that hold some; empty = not given."""

    ca_cert: str = ""
    ca_cert_file: str = ""
    ca_cert_variable: str = ""
    client_cert: str = ""
    client_cert_file: str = ""
    client_cert_variable: str = ""
    client_key: str = ""
    client_key_file: str = ""
    client_key_variable: str = ""
    server_name: str = ""
    skip_verify: bool = False
    system_certs: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` have Go's spelling of names. `seconds` is the timeout, `cached` whether later evaluations may have the answer,
    `cache_seconds` how long they may have it whatever the answer says (0 = as it says)."""

    method: str
    url: Url
    shown_url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    seconds: float = 5.0
    redirects: bool = False
    retries: int = 0
    force_json: bool = False
    force_yaml: bool = False
    cached: bool = False
    cache_seconds: int = 0
    tls: Tls = Tls()

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")

    def to(self, url: Url, shown: str) -> Request:
        return replace(self, url=url, shown_url=shown)


def listed(words: list[Value]) -> str:
    """A set of texts as Rego writes it."""
    return "{" + ", ".join(one_line(word) for word in rego_set(words)) + "}"


def operand_error(name: str, at: int, message: str) -> BuiltinError:
    return BuiltinError("type", f"{name}: operand {at} {message}")


def members_of(name: str, value: Value) -> dict[str, Value]:
    """The members of a request; BuiltinError if some are missing or unknown."""
    request = mapping(name, 1, value)
    keys = [key for key, _ in pairs(request)]
    unknown = [key for key in keys if not isinstance(key, str) or key not in _MEMBERS]
    if unknown or isinstance(request, RegoObject):
        raise operand_error(name, 1, f"invalid request parameters(s): {listed(unknown)}")
    missing: list[Value] = [key for key in REQUIRED if key not in request]
    if missing:
        message = f"missing required request parameters(s): {listed(missing)}"
        raise operand_error(name, 1, message)
    return request


def raises(name: str, value: Value) -> bool:
    """Whether a failure is an error, or a response with status code 0."""
    found = dict(pairs(mapping(name, 1, value))) if isinstance(value, dict) else {}
    answer = found.get("raise_error", True)
    if not isinstance(answer, bool):
        raise failed(name, "invalid value for raise_error field")
    return answer


def cache_key(name: str, members: dict[str, Value]) -> str:
    """What equal requests have in common: all but the headers to ignore."""
    headers, ignored = members.get("headers"), members.get("cache_ignored_headers")
    key = {k: v for k, v in members.items() if k != "cache_ignored_headers"}
    if headers is not None and ignored is not None:
        if not isinstance(ignored, list) or not all(isinstance(i, str) for i in ignored):
            raise failed(name, "cache_ignored_headers must be an array of strings")
        if isinstance(headers, dict):
            key["headers"] = {k: v for k, v in headers.items() if k not in ignored}
    return one_line(key)


def read_request(gate: Gate, name: str, members: dict[str, Value]) -> Request:
    """BuiltinError for members that make no request."""
    for key in sorted(_TEXTS & members.keys()):
        if not isinstance(members[key], str):
            raise failed(name, f'"{key}" must be a string')
    switches = {key: _switch(name, members, key) for key in _SWITCHES}
    shown = _text(members, "url")
    force_cache = _flag(name, members, "force_cache")
    headers = _headers(name, members)
    return Request(
        method=_method(name, members),
        url=_url(name, shown),
        shown_url=shown,
        headers=headers,
        body=_body(members),
        seconds=_timeout(gate, name, members),
        redirects=switches["enable_redirect"],
        retries=_retries(name, members),
        force_json=_flag(name, members, "force_json_decode"),
        force_yaml=_flag(name, members, "force_yaml_decode"),
        cached=_flag(name, members, "cache") or force_cache,
        cache_seconds=_cache_seconds(name, members) if force_cache else 0,
        tls=Tls(
            ca_cert=_text(members, "tls_ca_cert").replace("\\n", "\n"),
            ca_cert_file=_text(members, "tls_ca_cert_file"),
            ca_cert_variable=_text(members, "tls_ca_cert_env_variable"),
            client_cert=_text(members, "tls_client_cert"),
            client_cert_file=_text(members, "tls_client_cert_file"),
            client_cert_variable=_text(members, "tls_client_cert_env_variable"),
            client_key=_text(members, "tls_client_key"),
            client_key_file=_text(members, "tls_client_key_file"),
            client_key_variable=_text(members, "tls_client_key_env_variable"),
            server_name=_text(members, "tls_server_name") or dict(headers).get("Host", ""),
            skip_verify=switches["tls_insecure_skip_verify"],
            system_certs=switches["tls_use_system_certs"],
        ),
    )


def _text(members: dict[str, Value], key: str) -> str:
    value = members.get(key, "")
    return value.strip('"') if isinstance(value, str) else ""


def _method(name: str, members: dict[str, Value]) -> str:
    method = _text(members, "method").upper() or "GET"
    if not _TOKEN.fullmatch(method):
        raise failed(name, f"net/http: invalid method {one_line(method)}")
    return method


def _url(name: str, text: str) -> Url:
    try:
        url = parse_url(text)
    except UrlError as error:
        raise failed(name, f"parse {one_line(text)}: {error}") from None
    if url.scheme == "unix":
        raise failed(name, "sockets of the file system are not served: use http or https")
    return url


def _switch(name: str, members: dict[str, Value], key: str) -> bool:
    """As Go reads a truth value from a text."""
    value = members.get(key, False)
    if isinstance(value, bool):
        return value
    shown = one_line(value)
    if shown in ("1", "0"):
        return shown == "1"
    raise failed(name, f"strconv.ParseBool: parsing {one_line(shown)}: invalid syntax")


def _flag(name: str, members: dict[str, Value], key: str) -> bool:
    value = members.get(key, False)
    if not isinstance(value, bool):
        raise failed(name, f'invalid value for "{key}" field')
    return value


def _headers(name: str, members: dict[str, Value]) -> tuple[tuple[str, str], ...]:
    headers = members.get("headers", {})
    if not isinstance(headers, dict | RegoObject):
        raise failed(name, "invalid type for headers key")
    found: dict[str, str] = {}
    for key, value in pairs(headers):
        word = key if isinstance(key, str) else one_line(key)
        if not isinstance(value, str):
            raise failed(name, f"invalid type for headers value {one_line(value)}")
        # A line break would be the start of a header, or a request, of somebody else's.
        if not _TOKEN.fullmatch(word):
            raise failed(name, f"net/http: invalid header field name {one_line(word)}")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise failed(name, f'net/http: invalid header field value for "{word}"')
        found["-".join(part.capitalize() for part in word.split("-"))] = value
    return tuple(found.items())


def _body(members: dict[str, Value]) -> bytes:
    if "raw_body" in members:
        return to_bytes(_text(members, "raw_body"))
    if "body" in members:
        return to_bytes(one_line(members["body"]))
    return b""


def _timeout(gate: Gate, name: str, members: dict[str, Value]) -> float:
    value = members.get("timeout")
    match value:
        case None if "timeout" not in members:
            return gate.effects.request_seconds
        case bool() | None | list() | dict() | RegoObject():
            message = f"'timeout' must be one of {{string, number}} but got {type_name(value)}"
            raise operand_error(name, 1, message)
        case str():
            if re.fullmatch(r"[+-]?[0-9]{1,18}", value):
                nanoseconds = int(value)
            else:
                try:
                    nanoseconds = duration_ns(name, value)
                except BuiltinError as error:
                    reason = error.message.removeprefix(f"{name}: ")
                    message = f"invalid timeout value {one_line(value)}: {reason}"
                    raise failed(name, message) from None
        case int() | Decimal():
            if isinstance(value, Decimal) or not -_DURATION_MAX <= value < _DURATION_MAX:
                shown = number_text(value)
                raise failed(name, f"invalid timeout number value {shown}, must be int64")
            nanoseconds = value
        case _:
            raise operand_error(name, 1, "'timeout' must be one of {string, number} but got set")
    # Zero is "none" for Go: the evaluation's own limit remains.
    return nanoseconds / 1e9 if nanoseconds > 0 else gate.seconds_left()


def _retries(name: str, members: dict[str, Value]) -> int:
    value = members.get("max_retry_attempts", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        shown = one_line(value)
        raise failed(name, f'invalid value {shown} for field "max_retry_attempts"')
    return value


def _cache_seconds(name: str, members: dict[str, Value]) -> int:
    value = members.get("force_cache_duration_seconds")
    if value is None:
        message = "'force_cache' set but 'force_cache_duration_seconds' parameter is missing"
        raise failed(name, message)
    if isinstance(value, bool) or not isinstance(value, int):
        shown = one_line(one_line(value))
        raise failed(name, f"strconv.ParseInt: parsing {shown}: invalid syntax")
    if not -_INT32 <= value < _INT32:
        raise failed(name, f'strconv.ParseInt: parsing "{value}": value out of range')
    return value
