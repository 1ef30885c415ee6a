"""Whole daemons with engines that can be told to hang and crash: every accepted request gets one right answer."""

from __future__ import annotations

import os
import random
import signal
import socket as sockets
import time
from pathlib import Path

import pytest
from daemon_support import (
    Talk,
    children_of,
    daemon_in,
    event,
    is_running,
    project,
    start,
    until,
    write,
)

from cupcake.client import codec
from cupcake.client import messages as m


def verdict(answer: m.Answer | tuple[str, str]) -> str:
    return answer.verdict if isinstance(answer, m.Answer) else answer[0]


def test_a_request_is_judged_by_the_policies_of_its_own_project(tmp_path: Path) -> None:
    one = project(tmp_path, "deny rm", name="one")
    two = project(tmp_path, "deny ls", name="two")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert [verdict(talk.judge(r, c)) for r in (one, two) for c in ("rm", "ls")] == [
            "deny", "allow", "allow", "deny",
        ]  # fmt: skip
        status = talk.status()
        assert [p["root"] for p in status["projects"]] == [str(one), str(two)]
        assert all(p["state"] == "active" and p["generation"] == 1 for p in status["projects"])
        assert len(status["engines"]) == 2
        assert status["counters"]["denied"] == 2
        assert talk.ask(m.Kind.PING)["pid"] == daemon.process.pid == status["pid"]


def test_a_folder_without_policies_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        code, message = talk.judge(tmp_path / "nowhere", "ls")
        assert code == "NO_POLICY" and "cupcake init" in message
        code, message = talk.judge(Path("relative"), "ls")
        assert code == "BAD_REQUEST" and "absolute" in message


def test_a_project_that_never_built_denies_with_the_diagnostics_until_it_is_repaired(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, "deny rm", "nonsense here")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        answer = talk.judge(root, "ls")
        assert isinstance(answer, m.Answer) and answer.verdict == "deny"
        assert b"a.rego:2" in answer.response and b"nonsense" in answer.response
        (told,) = talk.status()["projects"]
        assert told["state"] == "failed" and told["diagnostics"][0]["row"] == 2
        write(root, "deny rm")
        until(lambda: verdict(talk.judge(root, "ls")) == "allow", "the repaired policy")


def test_killing_engines_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    root = project(tmp_path, "deny odd")
    wanted = 3000
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert verdict(talk.judge(root, "warm")) == "allow"
        bodies = (event(root, "even"), event(root, "odd"))
        open_: dict[bytes, int] = {}
        seen: list[bytes] = []
        sent = 0
        chance = random.Random(7)
        next_kill = time.monotonic()
        while len(seen) < wanted:
            while sent < wanted and len(open_) < 64:
                open_[talk.send(m.Kind.EVALUATE, bodies[sent % 2])] = sent % 2
                sent += 1
            header, body = talk.receive()
            assert not header.flags, codec.decode_error(body)
            expected = open_.pop(header.request_id)
            assert codec.decode_answer(body).verdict == ("deny" if expected else "allow")
            seen.append(header.request_id)
            if time.monotonic() >= next_kill:
                next_kill = time.monotonic() + 0.15
                os.kill(chance.choice(children_of(daemon.process.pid)), signal.SIGKILL)
        assert len(set(seen)) == wanted
        assert talk.quiet(0.2)
        assert talk.status()["counters"]["engine_deaths"] > 0


def test_a_stopped_engine_is_killed_and_its_work_done_elsewhere(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        talk.judge(root, "ls")
        victim = talk.status()["engines"][0]["pid"]
        os.kill(victim, signal.SIGSTOP)
        sent = [talk.send(m.Kind.EVALUATE, event(root, "rm")) for _ in range(20)]
        answered = [talk.receive() for _ in sent]
        assert sorted(h.request_id for h, _ in answered) == sorted(sent)
        assert {codec.decode_answer(b).verdict for _, b in answered} == {"deny"}
        until(lambda: not is_running(victim), "the stopped engine to be killed")
        assert talk.status()["counters"]["engine_hangs"] == 1
        until(
            lambda: [e["state"] for e in talk.status()["engines"]] == ["ready"] * 2, "a new engine"
        )


def test_an_idle_engine_that_stops_is_noticed_by_its_silence(tmp_path: Path) -> None:
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        victim = talk.status()["engines"][0]["pid"]
        os.kill(victim, signal.SIGSTOP)
        until(lambda: [e["pid"] for e in talk.status()["engines"] if e["state"] == "ready"] not in ([], [victim]),
              "another engine")  # fmt: skip


@pytest.mark.parametrize("how", ["crash", "hang"])
def test_a_request_that_ends_two_engines_is_given_up_and_quarantined(
    tmp_path: Path, how: str
) -> None:
    root = project(tmp_path, f"{how} poison", "deny rm")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert verdict(talk.judge(root, "rm")) == "deny"
        assert verdict(talk.judge(root, "poison")) == "ENGINE_CRASHED"
        deaths = talk.status()["counters"]["engine_deaths"]
        assert deaths == 2
        assert verdict(talk.judge(root, "poison")) == "ENGINE_CRASHED"
        assert talk.status()["counters"]["engine_deaths"] == deaths
        assert verdict(talk.judge(root, "rm")) == "deny"
        write(root, "deny poison")
        until(
            lambda: verdict(talk.judge(root, "poison")) == "deny",
            "the quarantine to end with new policies",
        )


def test_requests_behind_a_slow_one_are_given_to_another_engine(tmp_path: Path) -> None:
    root = project(tmp_path, "sleep slow 0.5")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        talk.judge(root, "ls")
        slow = talk.send(m.Kind.EVALUATE, event(root, "slow"))
        quick = {talk.send(m.Kind.EVALUATE, event(root, "ls")) for _ in range(8)}
        answered = [talk.receive()[0].request_id for _ in range(9)]
        assert set(answered) == quick | {slow} and answered[-1] == slow


def test_past_the_bound_a_request_is_refused_at_once_and_a_modest_client_still_served(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, "sleep slow 0.1")
    with (
        daemon_in(tmp_path, engines=1, queue_bound=8) as daemon,
        Talk(daemon) as greedy,
        Talk(daemon) as modest,
    ):
        greedy.judge(root, "ls")
        modest.ask(m.Kind.PING)
        for _ in range(30):
            greedy.send(m.Kind.EVALUATE, event(root, "slow"))
        header, body = greedy.receive()
        assert codec.decode_error(body)[0] == "OVERLOADED"
        assert verdict(modest.judge(root, "ls")) == "allow"
        rest = [greedy.receive() for _ in range(29)]
        refused = [h for h, _ in [(header, body), *rest] if h.flags & m.FLAG_ERROR]
        assert len(refused) >= 18
        assert greedy.quiet(0.1)
        assert greedy.status()["counters"]["overloaded"] == len(refused)


def test_what_expired_while_it_waited_costs_no_evaluation(tmp_path: Path) -> None:
    root = project(tmp_path, "sleep slow 0.4")
    with daemon_in(tmp_path, engines=1, window=1, window_most=1) as daemon, Talk(daemon) as talk:
        talk.judge(root, "ls")
        slow = talk.send(m.Kind.EVALUATE, event(root, "slow"))
        late = talk.send(m.Kind.EVALUATE, event(root, "ls"), deadline_ms=50)
        replies = {h.request_id: (h, b) for h, b in (talk.receive(), talk.receive())}
        assert codec.decode_error(replies[late][1])[0] == "EXPIRED"
        assert not replies[slow][0].flags
        assert talk.status()["engines"][0]["served"] == 2


def test_a_retry_with_the_same_id_is_evaluated_once_and_answered_once_a_connection(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, "sleep slow 0.3")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk, Talk(daemon) as other:
        talk.judge(root, "ls")
        body = event(root, "slow")
        sent = talk.send(m.Kind.EVALUATE, body)
        talk.send(m.Kind.EVALUATE, body, id=sent)
        time.sleep(0.05)
        other.send(m.Kind.EVALUATE, body, id=sent)
        assert talk.receive()[0].request_id == sent == other.receive()[0].request_id
        assert talk.quiet(0.4) and other.quiet(0.0)
        counters = talk.status()["counters"]
        assert counters["duplicates"] == 2 and counters["requests"] == 2


def test_the_same_id_for_another_event_is_never_answered_with_the_first_ones_decision(
    tmp_path: Path,
) -> None:
    root = project(tmp_path, "sleep slow 0.3", "deny rm")
    same = b"\0" * 16
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk, Talk(daemon) as other:
        talk.judge(root, "ls")
        talk.send(m.Kind.EVALUATE, event(root, "slow"), id=same)
        talk.send(m.Kind.EVALUATE, event(root, "rm"), id=same)
        time.sleep(0.05)
        assert verdict(other.judge(root, "rm", id=same)) == "deny"
        assert codec.decode_error(talk.receive()[1])[0] == "BAD_REQUEST"
        assert codec.decode_answer(talk.receive()[1]).verdict == "allow"


def test_garbage_on_the_socket_disturbs_nobody(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    header = codec.encode_header(m.Header(m.Kind.EVALUATE, b"i" * 16, 1000))
    junk = random.Random(3)
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk, Talk(daemon) as bad:
        talk.judge(root, "ls")
        silent = [
            [b"x"], [b"", b""], [b"", b"", b""], [b"x", header, b""], [b"", header, b"", b""], [b""] * 2000,
            [b"", header[:-1], b""], [b"", b"\x95" + b"\xff" * 30, b""], [b"", b"\x95" * 64, b""],
            *[[b"", junk.randbytes(25), junk.randbytes(99)] for _ in range(200)],
        ]  # fmt: skip
        for frames in silent:
            bad.socket.send_multipart(frames)
        assert verdict(talk.judge(root, "rm")) == "deny"
        answered = {
            "no map": (1, b"\xff\xff"),
            "no event": (1, codec.encode_body({"root": "/x", "harness": "claude"})),
            "deep": (1, b"\x91" * 5000),
            "kind": (63, b""),
            "reload": (4, codec.encode_body({"root": 3})),
            "big control": (3, b"x" * 100_000),
        }
        for name, (kind, body) in answered.items():
            sent = bad.send(kind, body)
            reply, text = bad.receive()
            assert reply.request_id == sent and codec.decode_error(text)[0] == "BAD_REQUEST", name
        assert codec.decode_error(bad.ask_raw(m.Kind.EXPLAIN))[0] == "UNSUPPORTED"
        wrong = codec.encode_header(m.Header(m.Kind.PING, b"v" * 16, 1000, version=9))
        bad.socket.send_multipart([b"", wrong, b""])
        assert "version 9" in codec.decode_error(bad.receive()[1])[1]
        counters = talk.status()["counters"]
        assert counters["bad_requests"] >= len(silent) - 5
        assert len(daemon.events("bad_request")) < 20
        with sockets.socket(sockets.AF_UNIX) as raw:
            raw.connect(str(daemon.socket))
            raw.sendall(junk.randbytes(5000))
        with sockets.socket(sockets.AF_UNIX) as raw:
            raw.connect(str(daemon.socket))
            raw.sendall(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03")
            assert verdict(talk.judge(root, "rm")) == "deny"


def test_giant_messages_are_refused_and_the_rest_served(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    with daemon_in(tmp_path, engines=1) as daemon, Talk(daemon) as talk:
        sent = talk.send(m.Kind.EVALUATE, b"x" * (m.MAX_MESSAGE_BYTES + 1))
        reply, text = talk.receive()
        assert reply.request_id == sent and codec.decode_error(text)[0] == "BAD_REQUEST"
        with Talk(daemon) as giant:
            giant.send(m.Kind.EVALUATE, b"x" * (20 << 20))
            assert giant.quiet(0.3)
        assert verdict(talk.judge(root, "x" * (7 << 20) + "rm")) == "deny"


def test_a_client_that_vanishes_or_never_reads_holds_nobody_up(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    with (
        daemon_in(tmp_path, queue_bound=100_000) as daemon,
        Talk(daemon) as talk,
        Talk(daemon) as deaf,
    ):
        talk.judge(root, "ls")
        deaf.socket.setsockopt(24, 1)  # ZMQ_RCVHWM
        with Talk(daemon) as gone:
            for _ in range(50):
                gone.send(m.Kind.EVALUATE, event(root, "ls"))
            gone.socket.poll(2000)
        for _ in range(3000):
            deaf.send(m.Kind.STATUS)
        assert verdict(talk.judge(root, "rm")) == "deny"


def test_every_engine_can_be_replaced_while_requests_flow(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        talk.judge(root, "ls")
        before = {e["pid"] for e in talk.status()["engines"]}
        daemon.process.send_signal(signal.SIGUSR1)

        def replaced() -> bool:
            assert verdict(talk.judge(root, "rm")) == "deny"
            now = talk.status()["engines"]
            return not before & {e["pid"] for e in now} and all(e["state"] == "ready" for e in now)

        until(replaced, "new engines")
        until(lambda: not any(is_running(p) for p in before), "the old ones to leave")
        assert talk.status()["counters"]["engine_deaths"] == 0


def test_engines_that_cannot_start_are_given_up_with_the_reason(tmp_path: Path) -> None:
    daemon = start(
        tmp_path, engine_module=str(tmp_path / "missing.py"), timing={"backoff_first": 0.01}
    )
    try:
        until(lambda: daemon.events("engines_given_up"), "giving up")
        assert "missing.py" in daemon.events("engines_given_up")[0]["reason"]
        with Talk(daemon) as talk:
            code, message = talk.judge(project(tmp_path, "deny rm"), "ls")
            assert code == "NO_ENGINE" and "missing.py" in message and "reload" in message
            until(lambda: talk.status()["engines"] == [], "the last start to fail")
            (tmp_path / "missing.py").write_text(
                Path(__file__).with_name("tiny_engine.py").read_text()
            )
            talk.reload()
            assert verdict(talk.judge(tmp_path / "project", "rm")) == "deny"
    finally:
        daemon.process.terminate()
        assert daemon.wait_for_exit() == 0
        assert daemon.process.stderr is not None
        daemon.process.stderr.close()
