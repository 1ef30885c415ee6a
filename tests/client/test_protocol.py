"""PROTOCOL.md's examples are what the codec and the hook really produce and read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cupcake.client import codec, hook
from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.client.session import Session

PAGE = Path(__file__).parents[2] / "client" / "PROTOCOL.md"
ID = bytes(range(16))


def examples() -> list[list[bytes]]:
    """The indented hex blocks below `## Examples`: a list of lines, as bytes, a block."""
    text = PAGE.read_text(encoding="utf-8").split("## Examples")[1]
    blocks = re.findall(r"(?:^    .+\n?)+", text, re.M)
    return [
        [
            bytes.fromhex(re.sub(r"\(31 zero bytes\)", "00" * 31, line))
            for line in block.splitlines()
        ]
        for block in blocks
    ]


EVALUATE, ANSWER, ERROR, PING, ZMTP = examples()
ALLOW = m.Answer("allow", b"{}", 0, "", {"Allow": {"context": []}}, 1)


def test_evaluate_example_is_what_the_codec_writes() -> None:
    assert codec.encode_header(m.Header(m.Kind.EVALUATE, ID, 5000)) == EVALUATE[0]
    assert codec.encode_evaluate(m.Evaluate("/p", "claude", b"{}")) == EVALUATE[1]


def test_evaluate_example_reads_back() -> None:
    assert codec.decode_header(EVALUATE[0]) == m.Header(1, ID, 5000)
    assert codec.decode_evaluate(EVALUATE[1]) == m.Evaluate("/p", "claude", b"{}")


def test_answer_example_is_what_the_codec_writes_and_reads() -> None:
    assert codec.encode_header(m.Header(m.Kind.EVALUATE + m.REPLY, ID)) == ANSWER[0]
    assert codec.encode_answer(ALLOW) == ANSWER[1]
    assert codec.decode_answer(ANSWER[1]) == ALLOW


def test_the_hook_reads_the_answer_example() -> None:
    assert hook.read_answer(0, ANSWER[1]) == (0, "", b"{}")


def test_error_example() -> None:
    assert codec.decode_header(ERROR[0]).flags == m.FLAG_ERROR
    assert codec.decode_error(ERROR[1]) == ("OVERLOADED", "try ")
    with pytest.raises(hook.Trouble, match="OVERLOADED"):
        hook.read_answer(1, ERROR[1])


def test_ping_example() -> None:
    assert [codec.encode_header(m.Header(m.Kind.PING, ID, 1000)), codec.encode_body({})] == PING


def test_zmtp_example_is_what_the_hook_sends() -> None:
    assert [hook.GREETING, hook.READY] == ZMTP


@pytest.mark.parametrize("size", [0, 1, 200, 255, 256, 70_000])
def test_the_hooks_request_reads_back_with_the_codec(size: int) -> None:
    event = b"x" * size
    wire = hook.request_bytes("/p/ä", "claude", event, ID, 5000)
    frames, at = [], 0
    while at < len(wire):
        flags, at = wire[at], at + 1
        width = 8 if flags & 2 else 1
        length = int.from_bytes(wire[at : at + width], "big")
        frames.append(wire[at + width : at + width + length])
        at += width + length
    header, body = codec.split_request(frames)
    assert header == m.Header(1, ID, 5000)
    assert codec.decode_evaluate(body) == m.Evaluate("/p/ä", "claude", event)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"", "not msgpack"),
        (b"\x95\x01", "not msgpack"),
        (b"\x94\x01\x01\x01\x01", "array of five"),
        (b"\x95\x01\x01\xa1x\x01\x00", "16 bytes"),
        (b"\x95\xff\x01\xc4\x10" + ID + b"\x01\x00", "unsigned"),
        (b"\x95" + b"\x00" * 80, "at most 64"),
        (b"\x80", "array of five"),
    ],
)
def test_a_bad_header_is_a_protocol_error(frame: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        codec.decode_header(frame)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"\xc1", "not msgpack"),
        (b"\x90", "not a map"),
        (b"\x81\xa1a" + b"\x91" * 70 + b"\xc0", "nested deeper"),
        (b"\x81\xa1a" + b"\x91" * 5000 + b"\xc0", "not msgpack"),
        (b"\xdf\xff\xff\xff\xff", "not msgpack"),
        (b"\x81\x01\x02", "not msgpack"),
    ],
)
def test_a_bad_body_is_a_protocol_error(frame: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        codec.decode_body(frame)


def test_an_oversized_request_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ProtocolError, match="at most"):
        Session().start(m.Kind.EVALUATE, ID, bytes(m.MAX_MESSAGE_BYTES + 1), 0.0, 1.0)


def reply(
    request_id: bytes, body: bytes = b"\x80", kind: int = m.Kind.PING + m.REPLY, flags: int = 0
) -> list[bytes]:
    return [b"", codec.encode_header(m.Header(kind, request_id, 0, flags)), body]


def test_a_reply_completes_its_request_and_a_second_one_is_ignored() -> None:
    session = Session()
    request, _ = session.start(m.Kind.PING, ID, b"\x80", 0.0, 5.0)
    assert session.receive(reply(ID)) is request
    assert request.result() == b"\x80"
    assert session.receive(reply(ID)) is None


def test_a_silent_daemon_is_asked_again_with_the_same_id_then_given_up() -> None:
    session = Session(retry_after=1.0, max_sends=3)
    request, first = session.start(m.Kind.PING, ID, b"\x80", 0.0, 5.0)
    again = [session.tick(t)[0] for t in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)]
    assert [len(frames) for frames in again] == [0, 1, 0, 1, 0, 0]
    assert (
        codec.decode_header(again[1][0][1]).request_id == codec.decode_header(first[1]).request_id
    )
    assert codec.decode_header(again[1][0][1]).deadline_ms == 4000
    assert session.tick(5.0)[1] == [request]
    with pytest.raises(Exception, match="no answer"):
        request.result()


def test_a_reply_of_the_wrong_kind_is_an_error() -> None:
    session = Session()
    request, _ = session.start(m.Kind.PING, ID, b"\x80", 0.0, 5.0)
    session.receive(reply(ID, kind=m.Kind.STATUS + m.REPLY))
    with pytest.raises(ProtocolError, match="kind"):
        request.result()
