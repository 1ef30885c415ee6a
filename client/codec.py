"""Frames <-> messages. The only importer of msgpack in the client; limits are checked before unpacking.

It must not do I/O. See PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgpack

from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError

_HEADER_LIMIT = 64


def encode_header(header: m.Header) -> bytes:
    return bytes(
        msgpack.packb(
            [header.version, header.kind, header.request_id, header.deadline_ms, header.flags],
            use_bin_type=True,
        )
    )


def decode_header(frame: bytes) -> m.Header:
    """Raises ProtocolError for anything but a well-formed header of at most 64 bytes."""
    if len(frame) > _HEADER_LIMIT:
        raise ProtocolError(f"header of {len(frame)} bytes, at most {_HEADER_LIMIT} are allowed")
    try:
        raw = msgpack.unpackb(frame, use_list=True, raw=False, max_array_len=8, max_map_len=0)
    except Exception as error:
        raise ProtocolError(f"header is not msgpack: {error}") from error
    if not (isinstance(raw, list) and len(raw) == 5):
        raise ProtocolError("header is not an array of five")
    version, kind, request_id, deadline, flags = raw
    numbers = (version, kind, deadline, flags)
    if not all(type(n) is int and 0 <= n < 1 << 32 for n in numbers):
        raise ProtocolError(
            "header fields version, kind, deadline and flags must be unsigned 32-bit"
        )
    if not (isinstance(request_id, bytes) and len(request_id) == m.REQUEST_ID_BYTES):
        raise ProtocolError(f"request id is not {m.REQUEST_ID_BYTES} bytes")
    return m.Header(kind, request_id, deadline, flags, version)


def encode_body(body: dict[str, Any]) -> bytes:
    return bytes(msgpack.packb(body, use_bin_type=True))


def decode_body(frame: bytes) -> dict[str, Any]:
    """Raises ProtocolError when over the limits or no map with text keys."""
    if len(frame) > m.MAX_MESSAGE_BYTES:
        raise ProtocolError(
            f"message of {len(frame)} bytes, at most {m.MAX_MESSAGE_BYTES} are allowed"
        )
    try:
        # msgpack itself bounds its stack (about 1,000 levels) and every length by the frame's size.
        body = msgpack.unpackb(frame, raw=False, strict_map_key=True)
    except Exception as error:
        raise ProtocolError(f"body is not msgpack: {error}") from error
    if not isinstance(body, dict):
        raise ProtocolError("body is not a map")
    check_depth(body)
    return body


def check_depth(value: object, room: int = m.MAX_DEPTH) -> None:
    """Raises ProtocolError when containers nest deeper than `room` (msgpack itself stops at about 1,000)."""
    if isinstance(value, dict):
        items: Iterable[object] = value.values()
    elif isinstance(value, list):
        items = value
    else:
        return
    if not room:
        raise ProtocolError(f"body is nested deeper than {m.MAX_DEPTH}")
    for item in items:
        if item.__class__ is dict or item.__class__ is list:
            check_depth(item, room - 1)


def encode_evaluate(request: m.Evaluate) -> bytes:
    return encode_body({"root": request.root, "harness": request.harness, "event": request.event})


def decode_evaluate(frame: bytes) -> m.Evaluate:
    body = decode_body(frame)
    root, harness, event = body.get("root"), body.get("harness"), body.get("event")
    if not (isinstance(root, str) and isinstance(harness, str) and isinstance(event, bytes)):
        raise ProtocolError("EVALUATE needs root (text), harness (text) and event (bytes)")
    return m.Evaluate(root, harness, event)


def encode_answer(answer: m.Answer) -> bytes:
    """Keys in this order: the hook reads exit, stderr and response with a reader of its own."""
    return encode_body(
        {
            "exit": answer.exit_code,
            "stderr": answer.stderr,
            "response": answer.response,
            "verdict": answer.verdict,
            "generation": answer.generation,
            "decision": answer.decision,
            "timings": answer.timings,
            "warnings": list(answer.warnings),
        }
    )


def decode_answer(frame: bytes) -> m.Answer:
    body = decode_body(frame)
    try:
        return m.Answer(
            verdict=str(body["verdict"]),
            response=bytes(body["response"]),
            exit_code=int(body["exit"]),
            stderr=str(body["stderr"]),
            decision=dict(body["decision"]),
            generation=int(body["generation"]),
            timings=dict(body["timings"]),
            warnings=tuple(body["warnings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"answer lacks or garbles a field: {error}") from error


def encode_error(code: str, message: str) -> bytes:
    return encode_body({"error": [code, message]})


def decode_error(frame: bytes) -> tuple[str, str]:
    error = decode_body(frame).get("error")
    if not (isinstance(error, list) and len(error) == 2):
        raise ProtocolError("error reply without [code, message]")
    return str(error[0]), str(error[1])


def split_request(frames: Sequence[bytes]) -> tuple[m.Header, bytes]:
    """[empty delimiter, header, body] as a DEALER sends them -> (header, body)."""
    if len(frames) != 3 or frames[0]:
        raise ProtocolError("a request is three frames: empty, header, body")
    return decode_header(frames[1]), frames[2]
