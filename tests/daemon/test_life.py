"""Starting, stopping, locks, sockets, and what the service manager is told."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from daemon_support import Talk, daemon_in, event, is_running, project, start, until

from cupcake.client import codec
from cupcake.client import messages as m


def finish(daemon: object) -> str:
    process = daemon.process  # type: ignore[attr-defined]
    text: bytes = process.stderr.read()
    process.stderr.close()
    return text.decode()


def test_of_two_daemons_started_at_once_one_serves_and_one_says_so(tmp_path: Path) -> None:
    both = [start(tmp_path), start(tmp_path)]
    try:
        loser = until(
            lambda: [d for d in both if d.process.poll() is not None], "one of them to leave"
        )[0]
        (winner,) = [d for d in both if d is not loser]
        assert loser.process.returncode == 3
        message = finish(loser)
        assert (
            str(winner.process.pid) in message
            and "already serves" in message
            and "Traceback" not in message
        )
        with Talk(winner) as talk:
            assert talk.ask(m.Kind.PING)["pid"] == winner.process.pid
    finally:
        for d in both:
            if d.process.poll() is None:
                d.process.terminate()
                assert d.wait_for_exit() == 0
                finish(d)


def test_what_a_killed_daemon_left_is_replaced_and_its_engines_are_gone(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    first = start(tmp_path)
    with Talk(first) as talk:
        assert talk.judge(root, "rm").verdict == "deny"  # type: ignore[union-attr]
    family = first.children()
    assert len(family) >= 2
    first.process.kill()
    first.wait_for_exit()
    finish(first)
    assert first.socket.exists()
    until(
        lambda: not any(is_running(p) for p in family), "the engines to die with their supervisor"
    )
    first.folder.joinpath("log").unlink()
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        answer = talk.judge(root, "rm")
        assert isinstance(answer, m.Answer) and answer.verdict == "deny"


def test_a_daemon_that_stopped_leaves_no_socket(tmp_path: Path) -> None:
    with daemon_in(tmp_path, engines=1, standby_builder=True) as daemon:
        daemon.process.terminate()
        assert daemon.wait_for_exit() == 0
    assert [p.name for p in daemon.socket.parent.iterdir()] == ["d.sock.lock"]


def test_a_drain_finishes_what_was_accepted_and_refuses_the_rest(tmp_path: Path) -> None:
    root = project(tmp_path, "sleep slow 0.4")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        talk.judge(root, "ls")
        accepted = [talk.send(m.Kind.EVALUATE, event(root, "slow")) for _ in range(4)]
        talk.ask_later(m.Kind.PING)
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: daemon.events("draining"), "the drain to begin")
        refused = talk.send(m.Kind.EVALUATE, event(root, "ls"))
        replies = {h.request_id: (h, b) for h, b in (talk.receive() for _ in range(5))}
        assert codec.decode_error(replies[refused][1])[0] == "SHUTTING_DOWN"
        assert all(not replies[i][0].flags for i in accepted)
        assert daemon.wait_for_exit() == 0


def test_a_second_terminate_stops_at_once_and_still_answers(tmp_path: Path) -> None:
    root = project(tmp_path, "sleep slow 30")
    with (
        daemon_in(tmp_path, timing={"drain": 60.0, "hung_after": 60.0}) as daemon,
        Talk(daemon) as talk,
    ):
        talk.judge(root, "ls")
        sent = talk.send(m.Kind.EVALUATE, event(root, "slow"))
        talk.ask_later(m.Kind.PING)
        daemon.process.send_signal(signal.SIGTERM)
        until(lambda: daemon.events("draining"), "the drain to begin")
        daemon.process.send_signal(signal.SIGTERM)
        header, body = talk.receive()
        assert header.request_id == sent and codec.decode_error(body)[0] == "SHUTTING_DOWN"
        assert daemon.wait_for_exit() == 0


def test_an_unused_daemon_leaves_when_it_was_asked_to(tmp_path: Path) -> None:
    with daemon_in(tmp_path, idle_exit=0.3) as daemon:
        assert daemon.wait_for_exit() == 0
        assert daemon.events("idle")


def test_a_daemon_whose_socket_was_taken_away_leaves(tmp_path: Path) -> None:
    with daemon_in(tmp_path) as daemon:
        daemon.socket.unlink()
        assert daemon.wait_for_exit() == 0
        assert daemon.events("socket_gone")


def test_a_directory_open_to_others_is_refused_with_the_remedy(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    os.chmod(run, 0o755)
    daemon = start(tmp_path)
    assert daemon.wait_for_exit() == 4
    assert f"chmod 700 {run}" in finish(daemon)


def test_a_file_in_the_sockets_place_is_not_removed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    (run / "d.sock").write_text("precious")
    daemon = start(tmp_path)
    assert daemon.wait_for_exit() == 4
    assert "no socket" in finish(daemon)
    assert (run / "d.sock").read_text() == "precious"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_costs_the_log_and_not_the_answers(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    daemon = start(tmp_path, log_file="/dev/full")
    try:
        until(daemon.socket.exists, "the socket")
        with Talk(daemon) as talk:
            assert talk.judge(root, "rm").verdict == "deny"  # type: ignore[union-attr]
    finally:
        daemon.process.terminate()
        assert daemon.wait_for_exit() == 0
        finish(daemon)


def test_generations_that_cannot_be_written_go_beside_the_socket(tmp_path: Path) -> None:
    root = project(tmp_path, "deny rm")
    (tmp_path / "cache").write_text("a file where the cache should be")
    with daemon_in(tmp_path) as daemon, Talk(daemon) as talk:
        assert talk.judge(root, "rm").verdict == "deny"  # type: ignore[union-attr]


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_hears_ready_reloading_watchdog_and_stopping(
    tmp_path: Path, abstract: bool
) -> None:
    root = project(tmp_path, "deny rm")
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"@cupcake-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
        manager.bind("\0" + address[1:] if abstract else address)
        manager.settimeout(0.1)
        over = threading.Event()

        def listen() -> None:
            while not over.is_set():
                try:
                    heard.append(manager.recv(4096).decode())
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "400000"}
            with daemon_in(tmp_path, environment=environment) as daemon, Talk(daemon) as talk:
                talk.judge(root, "ls")
                until(lambda: sum("WATCHDOG=1" in h for h in heard) >= 2, "watchdog messages")
                before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
                talk.reload()
                pid = daemon.process.pid
            until(lambda: any("STOPPING=1" in h for h in heard), "the stop")
        finally:
            over.set()
            listener.join()
    ready = [i for i, h in enumerate(heard) if "READY=1" in h.splitlines()]
    reloading = next(i for i, h in enumerate(heard) if h.startswith("RELOADING=1\nMONOTONIC_USEC="))
    assert f"MAINPID={pid}" in heard[ready[0]] and "READY=1" not in "".join(heard[: ready[0]])
    assert int(heard[reloading].split("=")[-1]) >= before
    assert ready[0] < reloading < ready[1]
    assert any("STATUS=2 of 2 engines ready" in h for h in heard)


def test_the_watchdog_is_silent_when_no_engine_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        daemon = start(
            tmp_path,
            environment=environment,
            engine_module="/missing.py",
            timing={"backoff_first": 0.01},
        )
        until(lambda: daemon.events("engines_given_up"), "giving up")
        daemon.process.terminate()
        assert daemon.wait_for_exit() == 0
        finish(daemon)
        heard = b""
        with pytest.raises(BlockingIOError):
            while True:
                heard += manager.recv(4096) + b"\n"
        assert b"WATCHDOG" not in heard and b"READY" not in heard
