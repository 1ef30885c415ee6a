"""The daemon under load: round trip, throughput, a kill every 200 ms, reload, memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import policies
import zmq
from measure import Result, daemon, median, quantile

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.aio import AsyncClient
from cupcake.daemon.demo import Stage


def echo_broker(front: str, back: str) -> None:
    """A plain ROUTER/ROUTER relay: the floor for any broker written with pyzmq."""
    context = zmq.Context()
    clients, workers = context.socket(zmq.ROUTER), context.socket(zmq.ROUTER)
    clients.bind(front)
    workers.bind(back)
    poller = zmq.Poller()
    poller.register(clients, zmq.POLLIN)
    poller.register(workers, zmq.POLLIN)
    worker = workers.recv_multipart()[0]
    while True:
        for socket, _ in poller.poll():
            frames = socket.recv_multipart()
            if socket is clients:
                workers.send_multipart([worker, *frames])
            else:
                clients.send_multipart(frames[1:])


def echo_worker(back: str) -> None:
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(back)
    socket.send(b"ready")
    while True:
        socket.send_multipart(socket.recv_multipart())


def round_trip(scale: float) -> list[Result]:
    rounds = int(3000 * scale)
    with tempfile.TemporaryDirectory() as name, daemon(2) as stage:
        front, back = f"ipc://{name}/front", f"ipc://{name}/back"
        spawn = multiprocessing.get_context("spawn")
        processes = [
            spawn.Process(target=echo_broker, args=(front, back), daemon=True),
            spawn.Process(target=echo_worker, args=(back,), daemon=True),
        ]
        for process in processes:
            process.start()
        body = codec.encode_evaluate(
            m.Evaluate(
                str(stage.project), "claude", b'{"hook_event_name":"PreToolUse"' + b" " * 500 + b"}"
            )
        )
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(front)
        event = stage.bash("ls -la")
        ours, echo = [], []
        with stage.client() as client:
            for number in range(rounds + 100):
                header = codec.encode_header(m.Header(m.Kind.EVALUATE, os.urandom(16), 5000))
                started = time.perf_counter()
                socket.send_multipart([b"", header, body])
                socket.recv_multipart()
                middle = time.perf_counter()
                client.evaluate(event)
                ended = time.perf_counter()
                if number >= 100:
                    echo.append(middle - started)
                    ours.append(ended - middle)
        socket.close(0)
        for process in processes:
            process.terminate()
            process.join(5)
    value, floor = median(ours) * 1e6, median(echo) * 1e6
    return [
        Result(
            "round trip, one at a time, p50",
            value,
            "us",
            floor,
            "pyzmq echo",
            "<= 2.0x",
            value <= 2 * floor,
            {"p99_us": quantile(ours, 0.99) * 1e6},
        )
    ]


async def flood(stage: Stage, requests: int, in_flight: int) -> tuple[Counter[str], float]:
    """(verdicts, seconds). Half of the events must be denied; a wrong answer is counted as such."""
    bad, good = stage.bash("rm -rf /"), stage.bash("ls -la")
    verdicts: Counter[str] = Counter()
    numbers = iter(range(requests))

    async def ask(connection: AsyncClient) -> None:
        for number in numbers:
            decision = await connection.evaluate(bad if number % 2 else good)
            verdicts[
                "right" if decision.verdict == ("deny" if number % 2 else "allow") else "wrong"
            ] += 1

    async with AsyncClient(
        stage.project, socket=stage.socket, on_unavailable="raise", timeout=30, retry_after=30
    ) as client:
        await client.ping()
        started = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(in_flight)))
        return verdicts, time.perf_counter() - started


def throughput(scale: float) -> list[Result]:
    results = []
    for engines in (1, 2, 4):
        with daemon(engines) as stage:
            for in_flight in (1, 8, 64, 256):
                requests = int((1500 if in_flight == 1 else 10_000) * scale)
                verdicts, seconds = asyncio.run(flood(stage, requests, in_flight))
                if verdicts["right"] != requests:
                    raise SystemExit(f"wrong answers: {verdicts}")
                rate = requests / seconds
                barred = engines == 2 and in_flight == 64
                results.append(
                    Result(
                        f"throughput, {engines} engines, {in_flight} in flight",
                        rate,
                        "/s",
                        bar=">= 5,000/s" if barred else "",
                        met=rate >= 5000 if barred else None,
                    )
                )
    return results


def kill(scale: float) -> list[Result]:
    requests = int(5000 * scale)
    with daemon(2) as stage:
        stop = threading.Event()
        kills = [0]

        def killer() -> None:
            with stage.client() as client:
                while not stop.wait(0.2):
                    alive = [e["pid"] for e in client.status()["engines"] if e["pid"]]
                    if alive:
                        try:
                            os.kill(alive[kills[0] % len(alive)], signal.SIGKILL)
                            kills[0] += 1
                        except ProcessLookupError:
                            pass

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            verdicts, seconds = asyncio.run(flood(stage, requests, 16))
        finally:
            stop.set()
            thread.join()
    return [
        Result(
            f"right answers with {kills[0]} engines killed",
            verdicts["right"],
            "answers",
            bar=f"= {requests}",
            met=verdicts["right"] == requests and verdicts["wrong"] == 0,
            more={"seconds": seconds},
        )
    ]


def agents(project: str, socket: str, event: dict[str, object], stop: Any, failed: Any) -> None:
    """A process of its own: eight agents that ask every five milliseconds until told to stop; counts wrong answers."""

    async def run() -> None:
        async with AsyncClient(
            project, socket=socket, on_unavailable="raise", timeout=20
        ) as client:

            async def ask() -> None:
                while not stop.is_set():
                    try:
                        wrong = (await client.evaluate(event)).verdict != "deny"
                    except Exception as error:
                        print(f"failed under load: {error!r}", file=sys.stderr)
                        wrong = True
                    failed.value += wrong
                    await asyncio.sleep(0.005)

            await asyncio.gather(*(ask() for _ in range(8)))

    asyncio.run(run())


def reload(scale: float) -> list[Result]:
    """Save -> first decision of the new generation, while eight agents keep asking: the demo's project, and 50 policies more."""
    return [_reload(scale, 0), _reload(scale, 50)]


def _reload(scale: float, further: int) -> Result:
    rounds = max(int(40 * scale), 8)
    samples: list[float] = []
    spawn = multiprocessing.get_context("spawn")
    with daemon(2) as stage:
        policy = stage.policies / "shell.rego"
        original = policy.read_text()
        if further:
            for name, text in policies.modules(further).items():
                path = stage.project / ".cupcake" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            time.sleep(5.0)
        stop, failed = spawn.Event(), spawn.Value("i", 0)
        load = spawn.Process(
            target=agents,
            args=(str(stage.project), stage.socket, stage.bash("rm -rf /"), stop, failed),
        )
        load.start()
        try:
            time.sleep(1.0)
            with stage.client() as client:
                for number in range(rounds):
                    event = stage.bash(f"word{number}")
                    saved = time.perf_counter()
                    policy.write_text(
                        original
                        + '\ndeny contains {"reason": "w", "severity": "LOW", "rule_id": "W"} if {\n'
                        + f'\tinput.tool_input.command == "word{number}"\n}}\n'
                    )
                    while client.evaluate(event).verdict != "deny":
                        if time.perf_counter() - saved > 20:
                            raise SystemExit("the edit never took effect")
                    samples.append(time.perf_counter() - saved)
                    time.sleep(4.0 if further else 1.0)
        finally:
            stop.set()
            load.join(30)
    value = quantile(samples, 0.95) * 1e3
    return Result(
        f"save -> first new decision under load{f', {further} policies' if further else ''}, p95",
        value,
        "ms",
        bar="<= 150 ms, no failed request",
        met=value <= 150 and failed.value == 0,
        more={"p50_ms": median(samples) * 1e3, "failed": failed.value},
    )


def memory(scale: float) -> list[Result]:
    if not Path("/proc/self/statm").exists():
        return []
    page = os.sysconf("SC_PAGE_SIZE")

    def resident(pid: int) -> float:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page / 1e6

    with daemon(2) as stage:
        asyncio.run(flood(stage, int(5000 * scale), 64))
        with stage.client() as client:
            status = client.status()
            results = [Result("memory of the supervisor", resident(status["pid"]), "MB")]
        results += [
            Result(f"memory of engine {n + 1}", resident(e["pid"]), "MB")
            for n, e in enumerate(status["engines"])
        ]
    return results
