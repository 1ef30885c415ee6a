"""An engine process: takes generations and requests from the supervisor over one socket, evaluates, answers.

Started with spawn, configured by one JSON line on standard input; it has one thread and one loop. It never reads a
project's files, builds, or decides what is current: generations come published. When the supervisor is gone, so is it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import time
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import zmq

from cupcake.client import codec
from cupcake.client import messages as m
from cupcake.client.errors import ProtocolError
from cupcake.daemon import wire

_PR_SET_PDEATHSIG = 1
_EVENTS = int(zmq.EVENTS)
_POLLIN = int(zmq.POLLIN)
_SNDMORE = int(zmq.SNDMORE)
_BATCH = 16
_HOLD = 0.002
_SLOW = 0.002
_TELL_AGAIN = 60.0
"""Seconds between two answers that tell the user that the last edit is not in effect."""


def load_module(name: str) -> ModuleType:
    """A module by dotted name, or by path when it ends in `.py`."""
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def die_with_parent(parent: int) -> None:
    """Ask the kernel to end us with the process that started us (Linux); leave at once when it is gone already."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


class Project:
    """One project in this engine: an evaluator, or the reason why everything is denied."""

    __slots__ = ("evaluator", "failure", "generation", "notices", "patience", "slow", "tell_at")

    def __init__(
        self,
        evaluator: Any,
        generation: int,
        failure: str,
        notices: tuple[str, ...],
        patience: float = 0.0,
    ) -> None:
        self.evaluator = evaluator
        self.generation = generation
        self.failure = failure
        self.notices = notices
        self.patience = patience
        self.slow = patience > 0
        """Its evaluations may take long: commands to run, or the last one did."""
        self.tell_at = 0.0
        """When the user is to see `notices` (again) with an answer."""


class Worker:
    def __init__(
        self, socket: zmq.Socket[bytes], module: ModuleType, cache_dir: Path, most_projects: int
    ) -> None:
        self._socket = socket
        self._module = module
        self._cache_dir = cache_dir
        self._most_projects = most_projects
        self._projects: OrderedDict[str, Project] = OrderedDict()
        self._used: set[str] = set()
        self._untidy = True
        self._out: list[bytes] = []
        """Answers that wait for the next evaluation, to go out in one message: see `_hold`."""
        self._out_since = 0.0
        self._last: Project | None = None

    def run(self, parent: int, orphaned_after: float) -> None:
        """Until STOP, or until the supervisor is gone or silent for too long."""
        recv, get = self._socket.recv, self._socket.get
        heard = time.monotonic()
        while True:
            if self._out and not self._hold(get(_EVENTS)):
                self._flush()
                self._prepare()
            try:
                frame = recv()
            except zmq.Again:
                if os.getppid() != parent or time.monotonic() - heard > orphaned_after:
                    return
                continue
            heard = time.monotonic()
            tag = frame[0]
            if tag == wire.EVALUATE:
                self._evaluate(frame, heard)
                continue
            self._flush()
            if tag == wire.EVALUATE_ALONE:
                self._evaluate(frame, heard)
                self._flush()
            elif tag == wire.HEARTBEAT:
                self._alive()
            elif tag == wire.TAKE:
                self._take(wire.Take.decode(frame))
            elif tag == wire.DROP:
                self._projects.pop(frame[1:].decode("utf-8", "surrogateescape"), None)
            elif tag == wire.STOP:
                return

    def _hold(self, events: object) -> bool:
        """May the answers that are ready wait for one more? Only while the next request is here already, and briefly:
        to send costs as much as half an evaluation, most of it for waking the other side."""
        return (
            bool(int(events) & _POLLIN)  # type: ignore[call-overload]
            and len(self._out) < _BATCH
            and time.monotonic() - self._out_since < _HOLD
        )

    def _flush(self) -> None:
        out = self._out
        if out:
            send = self._socket.send
            last = out.pop()
            for frame in out:
                send(frame, _SNDMORE)
            send(last)
            out.clear()

    def _prepare(self) -> None:
        """Nobody waits now: what the next event needs can be made ready. A fault here is met again, and reported, by
        that event."""
        project = self._last
        if project is not None and project.evaluator is not None:
            with contextlib.suppress(Exception):
                project.evaluator.prepare()

    def hello(self) -> None:
        self._socket.send(wire.pack_json(wire.HELLO, {"pid": os.getpid()}))

    def _evaluate(self, frame: bytes, now: float) -> None:
        _, ticket, deadline = wire.WORK.unpack_from(frame)
        if deadline < now * 1e6:
            self._fail(
                ticket, m.ErrorCode.EXPIRED, "the deadline passed before the evaluation began"
            )
            return
        try:
            request = codec.decode_evaluate(frame[wire.WORK.size :])
        except (ProtocolError, RecursionError) as error:
            self._fail(ticket, m.ErrorCode.BAD_REQUEST, str(error))
            return
        project = self._projects.get(request.root)
        if project is None:
            root = request.root.encode("utf-8", "surrogateescape")
            self._out.append(wire.TICKET.pack(wire.NEED, ticket) + root)
            return
        self._used.add(request.root)
        self._last = project
        if project.slow:
            self._flush()  # nobody's answer waits for a slow project's
        try:
            if project.evaluator is None:
                answer = self._module.failure_answer(
                    request.harness, request.event, project.failure
                )
            else:
                answer = project.evaluator.answer(request.harness, request.event)
                if project.notices and now >= project.tell_at:
                    answer = self._module.with_notice(answer, "\n".join(project.notices))
                    project.tell_at = now + _TELL_AGAIN
            body = codec.encode_answer(
                m.Answer(
                    verdict=answer.verdict,
                    response=answer.response,
                    exit_code=answer.exit_code,
                    stderr=answer.stderr,
                    decision=answer.decision,
                    generation=project.generation,
                    timings=answer.timings,
                    warnings=(*project.notices, *answer.warnings),
                )
            )
            letter = wire.VERDICT_LETTERS[answer.verdict]
        except Exception as error:
            # The evaluator promises never to raise; if it does, that is a denial, with the place for the log.
            print(
                f"evaluation failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True
            )
            self._fail(
                ticket, m.ErrorCode.EVALUATION_FAILED, f"{type(error).__name__}: {error}"[:500]
            )
            return
        ended = time.monotonic()
        project.slow = project.patience > 0 or ended - now > _SLOW
        if not self._out:
            self._out_since = ended
        self._out.append(wire.REPLY_HEAD.pack(wire.ANSWER, ticket, letter) + body)

    def _fail(self, ticket: int, code: m.ErrorCode, message: str) -> None:
        self._out.append(
            wire.TICKET.pack(wire.FAILURE, ticket) + codec.encode_error(str(code), message)
        )

    def _take(self, take: wire.Take) -> None:
        """Switch a project between two requests: the new one is complete before the old one goes."""
        current = self._projects.get(take.root)
        error = ""
        patience = 0.0
        if take.failure:
            self._projects[take.root] = Project(None, take.generation, take.failure, take.notices)
        elif (
            current is not None
            and current.evaluator is not None
            and current.generation == take.generation
        ):
            current.notices, current.tell_at = take.notices, 0.0
            patience = current.patience
        else:
            try:
                compiled = self._module.load_compiled(Path(take.directory))
                evaluator = self._module.Evaluator(
                    compiled, cache_dir=self._cache_dir, quick_first=True
                )
                patience = self._module.patience(compiled)
                self._projects[take.root] = Project(
                    evaluator, take.generation, "", take.notices, patience
                )
            except Exception as reason:
                error = f"generation {take.generation} cannot be loaded: {type(reason).__name__}: {reason}"
                if current is None:
                    self._projects[take.root] = Project(None, take.generation, error, take.notices)
        if take.root in self._projects:
            self._projects.move_to_end(take.root)
        self._untidy = True
        while len(self._projects) > self._most_projects:
            self._projects.popitem(last=False)
        self._socket.send(
            wire.pack_json(
                wire.TAKEN,
                {
                    "root": take.root,
                    "generation": take.generation,
                    "error": error,
                    "patience": patience,
                },
            )
        )

    def _alive(self) -> None:
        used = sorted(self._used)
        self._used.clear()
        for root in used:
            if root in self._projects:
                self._projects.move_to_end(root)
        self._socket.send(wire.pack_json(wire.ALIVE, {"rss": _rss(), "used": used}))
        if self._untidy:
            # What has been loaded stays, so the collector need not look through it at every turn. Not while loading:
            # that would keep the first event of a new generation waiting.
            self._untidy = False
            gc.unfreeze()
            gc.collect()
            gc.freeze()


def _rss() -> int:
    """Resident bytes now (Linux), else the most there ever were."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def main() -> int:
    # The terminal's Ctrl-C and a service manager's SIGTERM go to the whole group; draining is the supervisor's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # A crash must not write the VM's address space to the disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    given = json.loads(sys.stdin.buffer.readline())
    die_with_parent(given["parent"])
    module = load_module(given["engine_module"])
    # An evaluation leaves next to no cycles behind, so the collector may wait longer than its default 700 objects.
    gc.set_threshold(20_000, 20, 20)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.setsockopt(zmq.ROUTING_ID, bytes.fromhex(given["identity"]))
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RCVTIMEO, 1000)
        socket.connect("ipc://" + given["endpoint"])
        worker = Worker(socket, module, Path(given["cache_dir"]), given["most_projects"])
        worker.hello()
        worker.run(given["parent"], given["orphaned_after"])
    finally:
        socket.close()
        context.term()
    return 0


if __name__ == "__main__":
    sys.exit(main())
