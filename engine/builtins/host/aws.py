"""Signatures of requests to AWS (version 4). Nothing here reaches a network."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import quote, urlsplit

from cupcake.engine.builtins.host.documents import one_line
from cupcake.engine.builtins.host.http_request import (
    REQUIRED,
    listed,
    members_of,
    operand_error,
)
from cupcake.engine.builtins.host.operands import failed, mapping, type_error
from cupcake.engine.builtins.texts import to_bytes
from cupcake.engine.builtins.values import RegoObject, Value, pairs

_UNSIGNED_HEADERS = frozenset({"authorization", "user-agent", "x-amzn-trace-id"})
_CREDENTIALS = ("aws_access_key", "aws_region", "aws_secret_access_key", "aws_service")
_INT64 = 1 << 63


# ---- AWS signature version 4 ----


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _credentials(name: str, config: dict[str, Value] | RegoObject) -> dict[str, Value]:
    members: dict[str, Value] = {k: v for k, v in pairs(config) if isinstance(k, str)}
    missing: list[Value] = [key for key in _CREDENTIALS if key not in members]
    if missing:
        message = f"missing required AWS config parameters(s): {listed(missing)}"
        raise operand_error(name, 2, message)
    wrong: list[Value] = [k for k in _CREDENTIALS if not isinstance(members[k], str)]
    if wrong:
        message = f"invalid values for required AWS config parameters(s): {listed(wrong)}"
        raise operand_error(name, 2, message)
    if not isinstance(members.get("disable_payload_signing", False), bool):
        message = "invalid value for 'disable_payload_signing' in AWS config"
        raise operand_error(name, 2, message)
    return members


def _moment(name: str, time_ns: Value) -> datetime:
    if isinstance(time_ns, bool) or not isinstance(time_ns, int | Decimal):
        raise type_error(name, 1, time_ns, "number")
    if time_ns != int(time_ns) or not 0 <= time_ns < _INT64:
        raise operand_error(name, 3, "could not convert time_ns value into a unix timestamp")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(time_ns) // 10**9)


def _sign_request(request: Value, config: Value, time_ns: Value) -> Value:
    name = "providers.aws.sign_req"
    mapping(name, 1, request)
    aws = _credentials(name, mapping(name, 1, config))
    moment = _moment(name, time_ns)
    members = members_of(name, request)
    wrong: list[Value] = [key for key in REQUIRED if not isinstance(members[key], str)]
    headers = members.get("headers", {})
    if not isinstance(headers, dict | RegoObject):
        raise type_error(name, 0, headers, "object")
    if wrong:
        message = f"invalid values for required request parameters(s): {listed(wrong)}"
        raise operand_error(name, 1, message)
    given = {_text(key): _text(value) for key, value in pairs(headers)}
    signed = {**given, **_signature_headers(name, members, given, aws, moment)}
    return {**members, "headers": dict(signed)}


def _body(members: dict[str, Value]) -> bytes:
    if "raw_body" in members:
        return to_bytes(_text(members["raw_body"]))
    if "body" in members:
        return to_bytes(one_line(members["body"]))
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
    path = quote(to_bytes(parts.path), safe="/%:@!$&'()*+,;=-._~[]")
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
    request_digest = hashlib.sha256(to_bytes(canonical)).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{request_digest}"
    key = to_bytes(f"AWS4{_text(aws['aws_secret_access_key'])}")
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, to_bytes(part), "sha256")
    signature = hmac.digest(key, to_bytes(to_sign), "sha256").hex()
    credential = f"{_text(aws['aws_access_key'])}/{scope}"
    ours["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential},"
        f"SignedHeaders={';'.join(names)},Signature={signature}"
    )
    return ours


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("providers.aws.sign_req", _sign_request),
)
