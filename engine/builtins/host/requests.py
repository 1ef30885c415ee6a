"""Requests to the outside: signed for AWS, and otherwise refused. Nothing here reaches a network."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from cupcake.engine.builtins.host.documents import one_line
from cupcake.engine.builtins.host.operands import failed, mapping, string, type_error
from cupcake.engine.builtins.values import BuiltinError, RegoObject, Value, pairs, rego_set
from cupcake.engine.errors import EvaluationError

_REQUIRED = ("method", "url")
_MEMBERS = frozenset(
    [
        "body",
        "cache",
        "cache_ignored_headers",
        "caching_mode",
        "enable_redirect",
        "force_cache",
        "force_cache_duration_seconds",
        "force_json_decode",
        "force_yaml_decode",
        "headers",
        "max_retry_attempts",
        "method",
        "raise_error",
        "raw_body",
        "timeout",
        "tls_ca_cert",
        "tls_ca_cert_env_variable",
        "tls_ca_cert_file",
        "tls_client_cert",
        "tls_client_cert_env_variable",
        "tls_client_cert_file",
        "tls_client_key",
        "tls_client_key_env_variable",
        "tls_client_key_file",
        "tls_insecure_skip_verify",
        "tls_server_name",
        "tls_use_system_certs",
        "url",
    ]
)
_UNSIGNED_HEADERS = frozenset({"authorization", "user-agent", "x-amzn-trace-id"})
_CREDENTIALS = ("aws_access_key", "aws_region", "aws_secret_access_key", "aws_service")
_INT64 = 1 << 63


def _listed(words: list[Value]) -> str:
    """A set of texts as Rego writes it."""
    return "{" + ", ".join(one_line(word) for word in rego_set(words)) + "}"


def _operand_error(name: str, at: int, message: str) -> BuiltinError:
    return BuiltinError("type", f"{name}: operand {at} {message}")


def _request(name: str, value: Value) -> dict[str, Value]:
    """The members of a request; BuiltinError if some are missing or unknown."""
    request = mapping(name, 1, value)
    keys = [key for key, _ in pairs(request)]
    unknown = [key for key in keys if not isinstance(key, str) or key not in _MEMBERS]
    if unknown or isinstance(request, RegoObject):
        raise _operand_error(name, 1, f"invalid request parameters(s): {_listed(unknown)}")
    missing: list[Value] = [key for key in _REQUIRED if key not in request]
    if missing:
        message = f"missing required request parameters(s): {_listed(missing)}"
        raise _operand_error(name, 1, message)
    return request


def _send(request: Value) -> Value:
    _request("http.send", request)
    # No BuiltinError: the rule would become undefined, which may mean "allowed".
    message = "http.send: policies have no access to the network; gather the data with a signal"
    raise EvaluationError("eval_builtin_error", message)


def _lookup(name: Value) -> Value:
    builtin = "net.lookup_ip_addr"
    host = string(builtin, 1, name)
    if host.lower().removesuffix(".") == "localhost":  # needs no lookup, says RFC 6761
        return rego_set(["127.0.0.1", "::1"])
    try:
        return rego_set([str(ip_address(host))])
    except ValueError:
        pass
    message = f"{builtin}: policies have no access to the network, {host!r} is not looked up"
    raise EvaluationError("eval_builtin_error", message)


# ---- AWS signature version 4 ----


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _credentials(name: str, config: dict[str, Value] | RegoObject) -> dict[str, Value]:
    members: dict[str, Value] = {k: v for k, v in pairs(config) if isinstance(k, str)}
    missing: list[Value] = [key for key in _CREDENTIALS if key not in members]
    if missing:
        message = f"missing required AWS config parameters(s): {_listed(missing)}"
        raise _operand_error(name, 2, message)
    wrong: list[Value] = [k for k in _CREDENTIALS if not isinstance(members[k], str)]
    if wrong:
        message = f"invalid values for required AWS config parameters(s): {_listed(wrong)}"
        raise _operand_error(name, 2, message)
    if not isinstance(members.get("disable_payload_signing", False), bool):
        message = "invalid value for 'disable_payload_signing' in AWS config"
        raise _operand_error(name, 2, message)
    return members


def _moment(name: str, time_ns: Value) -> datetime:
    if isinstance(time_ns, bool) or not isinstance(time_ns, int | Decimal):
        raise type_error(name, 1, time_ns, "number")
    if time_ns != int(time_ns) or not 0 <= time_ns < _INT64:
        raise _operand_error(name, 3, "could not convert time_ns value into a unix timestamp")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(time_ns) // 10**9)


def _sign_request(request: Value, config: Value, time_ns: Value) -> Value:
    name = "providers.aws.sign_req"
    mapping(name, 1, request)
    aws = _credentials(name, mapping(name, 1, config))
    moment = _moment(name, time_ns)
    members = _request(name, request)
    wrong: list[Value] = [key for key in _REQUIRED if not isinstance(members[key], str)]
    headers = members.get("headers", {})
    if not isinstance(headers, dict | RegoObject):
        raise type_error(name, 0, headers, "object")
    if wrong:
        message = f"invalid values for required request parameters(s): {_listed(wrong)}"
        raise _operand_error(name, 1, message)
    given = {_text(key): _text(value) for key, value in pairs(headers)}
    signed = {**given, **_signature_headers(name, members, given, aws, moment)}
    return {**members, "headers": dict(signed)}


def _body(members: dict[str, Value]) -> bytes:
    if "raw_body" in members:
        return _text(members["raw_body"]).encode("utf-8", "replace")
    if "body" in members:
        return one_line(members["body"]).encode("utf-8", "replace")
    return b""


def _signature_headers(
    name: str,
    members: dict[str, Value],
    given: dict[str, str],
    aws: dict[str, Value],
    moment: datetime,
) -> dict[str, str]:
    url = _text(members["url"])
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise failed(name, f"parse {one_line(url)}: net/url: invalid control character in URL")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise failed(name, f"parse {one_line(url)}: {error}") from None
    digest = hashlib.sha256(_body(members)).hexdigest()
    if aws.get("disable_payload_signing"):
        digest = "UNSIGNED-PAYLOAD"
    service, region = _text(aws["aws_service"]), _text(aws["aws_region"])
    stamp, day = moment.strftime("%Y%m%dT%H%M%SZ"), moment.strftime("%Y%m%d")
    ours = {"host": parts.netloc.rpartition("@")[2], "x-amz-date": stamp}
    if service in ("s3", "glacier"):
        ours["x-amz-content-sha256"] = digest
    if token := _text(aws.get("aws_session_token")):
        ours["x-amz-security-token"] = token
    covered = ours | {
        key.lower(): value for key, value in given.items() if key.lower() not in _UNSIGNED_HEADERS
    }
    names = sorted(covered)
    path = quote(parts.path, safe="/%:@!$&'()*+,;=-._~[]")
    canonical = "\n".join(
        [
            _text(members["method"]),
            path,
            parts.query,
            *(f"{key}:{covered[key]}" for key in names),
            "",
            ";".join(names),
            digest,
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    request_digest = hashlib.sha256(canonical.encode("utf-8", "replace")).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{request_digest}"
    key = f"AWS4{_text(aws['aws_secret_access_key'])}".encode("utf-8", "replace")
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode("utf-8", "replace"), "sha256")
    signature = hmac.digest(key, to_sign.encode("utf-8", "replace"), "sha256").hex()
    credential = f"{_text(aws['aws_access_key'])}/{scope}"
    ours["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential},"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return ours


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("http.send", _send),
    ("net.lookup_ip_addr", _lookup),
    ("providers.aws.sign_req", _sign_request),
)
