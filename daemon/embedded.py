"""Deciding in process, without a daemon: the original library's API, `cupcake eval --no-daemon`, and the
`on_unavailable="embedded"` of the clients.

It builds what the builder builds (trust verified first, the very bytes compiled) and evaluates what an
engine evaluates; it watches nothing: call `init` again after a change.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cupcake.client import aio, sync
from cupcake.client import messages as m
from cupcake.daemon.builder import verify_trust
from cupcake.daemon.config import global_directory
from cupcake.engine.errors import EngineError
from cupcake.engine.evaluate import Evaluator, compile_project
from cupcake.engine.policy.discovery import read_sources, resolve_project
from cupcake.trust import store


def module_cache() -> Path:
    """Where compiled modules are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cupcake" / "modules"


def load_evaluator(path: str | os.PathLike[str]) -> Evaluator:
    """`load_root` for the project that `path` stands for (the folder, its `.cupcake`, or a folder beside that)."""
    return load_root(resolve_project(Path(path).expanduser()))


def load_root(root: str | os.PathLike[str]) -> Evaluator:
    """Reads, verifies, compiles the project at `root`, and never another one that lies above it.

    Raises EngineError or Untrusted, with place and remedy."""
    sources = read_sources(root, global_dir=global_directory(os.environ))
    sources = replace(sources, trusted=verify_trust(sources, store.state_dir()))
    return Evaluator(compile_project(sources), cache_dir=module_cache())


class Cupcake:
    """The original library's object: `init` a project once, then `eval` events. Thread-safe."""

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._lock = threading.Lock()

    def init(self, path: str | os.PathLike[str] = ".cupcake") -> None:
        """Compiles the project's policies. Raises RuntimeError with every diagnostic when that fails."""
        target = Path(path).expanduser()
        if not target.exists():
            raise RuntimeError(
                f"Failed to initialize core engine: {target} does not exist. "
                "Run `cupcake init --harness claude` in the project first."
            )
        try:
            evaluator = load_evaluator(target)
        except Exception as error:
            raise RuntimeError(f"Failed to initialize core engine: {error}") from error
        with self._lock:
            self._evaluator = evaluator

    async def init_async(self, path: str | os.PathLike[str] = ".cupcake") -> None:
        await asyncio.to_thread(self.init, path)

    def eval(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The tagged final decision: `{"Deny": {"reason": ..., "agent_messages": [...]}}`, `{"Allow": {"context": []}}`, ...

        Raises RuntimeError before `init` and when the event cannot be judged (never an allow),
        TypeError when `event` is not JSON-like.
        """
        evaluator = self._evaluator
        if evaluator is None:
            raise RuntimeError("Cupcake engine not initialized. Call init() or init_async() first.")
        data = json.dumps(dict(event)).encode()
        try:
            return evaluator.decide(json.loads(data))
        except EngineError as error:
            raise RuntimeError(f"Core engine evaluation failed: {error}") from error

    async def eval_async(self, event: Mapping[str, Any]) -> dict[str, Any]:
        return await asyncio.to_thread(self.eval, event)

    def is_ready(self) -> bool:
        return self._evaluator is not None

    def version(self) -> str:
        from cupcake import __version__

        return f"cupcake-core {__version__}" if self.is_ready() else "Not initialized"


class _Default:
    """Holds the module-level instance; an object, so that nothing is mutable at module level but this one."""

    def __init__(self) -> None:
        self.instance = Cupcake()


_DEFAULT = _Default()


def init(path: str | os.PathLike[str] = ".cupcake") -> None:
    _DEFAULT.instance.init(path)


async def init_async(path: str | os.PathLike[str] = ".cupcake") -> None:
    await _DEFAULT.instance.init_async(path)


def eval(event: Mapping[str, Any]) -> dict[str, Any]:
    return _DEFAULT.instance.eval(event)


async def eval_async(event: Mapping[str, Any]) -> dict[str, Any]:
    return await _DEFAULT.instance.eval_async(event)


def is_ready() -> bool:
    return _DEFAULT.instance.is_ready()


def version() -> str:
    return _DEFAULT.instance.version()


class EmbeddedAnswers:
    """`embedded=` of the clients: one evaluator a project root, compiled on first use."""

    def __init__(self) -> None:
        self._evaluators: dict[str, Evaluator] = {}
        self._lock = threading.Lock()

    def __call__(self, request: m.Evaluate) -> m.Answer:
        with self._lock:
            evaluator = self._evaluators.get(request.root)
            if evaluator is None:
                evaluator = self._evaluators[request.root] = load_root(request.root)
        started = time.perf_counter_ns()
        answer = evaluator.answer(request.harness, request.event)
        return m.Answer(
            answer.verdict,
            answer.response,
            answer.exit_code,
            answer.stderr,
            dict(answer.decision),
            0,
            {**answer.timings, "total": (time.perf_counter_ns() - started) // 1000},
            tuple(answer.warnings),
        )


class Client(sync.Client):
    """`cupcake.client.sync.Client`, same options, whose `on_unavailable="embedded"` decides in process."""

    def __init__(self, project: str | os.PathLike[str] = ".", **options: Any) -> None:
        super().__init__(project, embedded=EmbeddedAnswers(), **options)


class AsyncClient(aio.AsyncClient):
    """`cupcake.client.aio.AsyncClient`, same options, whose `on_unavailable="embedded"` decides in process."""

    def __init__(self, project: str | os.PathLike[str] = ".", **options: Any) -> None:
        super().__init__(project, embedded=EmbeddedAnswers(), **options)
