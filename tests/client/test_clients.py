"""`Client` and `AsyncClient` against a real ROUTER, used in the ways that go wrong."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.aio import AsyncClient
from cupcake.client.decision import Decision
from cupcake.client.errors import ClientError
from cupcake.client.sync import Client

EVENT = {"hook_event_name": "PreToolUse"}


@dataclass
class Peer:
    path: str
    delay: float = 0.0
    headers: list[m.Header] = field(default_factory=list)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    folder = Path("/tmp") / f"ck-c-{os.getpid()}-{abs(hash(tmp_path)) % 100000}"
    folder.mkdir(mode=0o700)
    peer = Peer(f"{folder}/d.sock")
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(f"ipc://{peer.path}")
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            if not router.poll(20):
                continue
            identity, _, raw, _ = router.recv_multipart()
            time.sleep(peer.delay)
            header = codec.decode_header(raw)
            peer.headers.append(header)
            reply = m.Header(header.kind + m.REPLY, header.request_id, 0, 0)
            body = codec.encode_answer(m.Answer("allow", b"{}"))
            router.send_multipart([identity, b"", codec.encode_header(reply), body])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield peer
    finally:
        stop.set()
        thread.join()
        router.close(0)
        context.term()
        Path(peer.path).unlink(missing_ok=True)
        folder.rmdir()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors cannot be counted")
def test_the_connection_of_a_thread_goes_with_the_thread(peer: Peer) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with Client(socket=peer.path) as client:
        client.evaluate(EVENT)
        verdicts: list[str] = []
        before = descriptors()
        for _ in range(10):
            thread = threading.Thread(
                target=lambda: verdicts.append(client.evaluate(EVENT).verdict)
            )
            thread.start()
            thread.join()
        assert verdicts == ["allow"] * 10
        # Sockets are closed in the background.
        limit = time.monotonic() + 10
        while descriptors() > before + 3 and time.monotonic() < limit:
            time.sleep(0.02)
        assert descriptors() <= before + 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_process_gets_a_connection_of_its_own(peer: Peer) -> None:
    with Client(socket=peer.path) as client:
        client.evaluate(EVENT)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.write(write, client.evaluate(EVENT, timeout=5).verdict.encode())
                client.close()
            finally:
                os._exit(0)
        os.close(write)
        limit = time.monotonic() + 20
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > limit:
                os.kill(child, 9)
                os.waitpid(child, 0)
                pytest.fail("the child hangs")
            time.sleep(0.02)
        assert os.read(read, 100) == b"allow"
        os.close(read)
        assert client.evaluate(EVENT).verdict == "allow"


@pytest.mark.parametrize("timeout", [1e10, float("inf")])
def test_a_time_without_end_is_a_deadline_that_the_protocol_holds(
    peer: Peer, timeout: float
) -> None:
    with Client(socket=peer.path, timeout=timeout) as client:
        assert client.evaluate(EVENT).verdict == "allow"
    assert peer.headers[0].deadline_ms == (1 << 32) - 1


def test_no_number_is_no_time(peer: Peer) -> None:
    with Client(socket=peer.path) as client, pytest.raises(ValueError, match="timeout"):
        client.evaluate(EVENT, timeout=float("nan"))


def test_a_late_answer_is_not_the_answer_to_the_next_question(peer: Peer) -> None:
    with Client(socket=peer.path) as client:
        peer.delay = 0.3
        assert client.evaluate(EVENT, timeout=0.05).verdict == "deny"
        peer.delay = 0.0
        assert client.evaluate(EVENT).verdict == "allow"
    with pytest.raises(ClientError, match="closed"):
        client.evaluate(EVENT)


def test_a_cancelled_call_leaves_nothing_behind(peer: Peer) -> None:
    async def scenario() -> None:
        async with AsyncClient(socket=peer.path) as client:
            peer.delay = 0.2
            calls = [asyncio.create_task(client.evaluate(EVENT)) for _ in range(3)]
            await asyncio.sleep(0.05)
            for call in calls[:2]:
                call.cancel()
            results = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(r) for r in results[:2]] == [asyncio.CancelledError] * 2
            assert isinstance(results[2], Decision)
            assert results[2].verdict == "allow"
            peer.delay = 0.0
            assert (await client.evaluate(EVENT)).verdict == "allow"
            peer.delay = 0.3
            last = asyncio.create_task(client.evaluate(EVENT))
            await asyncio.sleep(0.05)
        assert (await last).verdict == "deny"

    asyncio.run(scenario())


def test_what_counts_as_allowed() -> None:
    def allowed(verdict: str) -> bool:
        return Decision(m.Answer(verdict, b"{}")).allowed

    assert [v for v in ("halt", "deny", "block", "ask", "", "new") if allowed(v)] == []
    assert all(allowed(v) for v in ("modify", "allow_override", "allow"))
