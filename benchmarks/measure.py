"""What all benchmarks share: a result with its floor and its bar, timing loops, a scratch project with a daemon."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cupcake.daemon.cli_init import init_project
from cupcake.daemon.demo import Stage, wait_for


@dataclass(frozen=True)
class Result:
    """`value` in `unit`; `floor`: the same unit, measured in the same run; `bar`: what `compared` must not pass."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    floor_name: str = ""
    bar: str = ""
    met: bool | None = None
    more: dict[str, Any] | None = None

    def line(self) -> str:
        ratio = (
            f"{self.value / self.floor:7.2f}x of {self.floor_name} {self.floor:.3g}"
            if self.floor
            else ""
        )
        verdict = (
            ""
            if self.met is None
            else (f"  ok ({self.bar})" if self.met else f"  MISSED ({self.bar})")
        )
        return f"{self.name:<42}{self.value:>12.3f} {self.unit:<8}{ratio:<44}{verdict}"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.value / self.floor if self.floor else None}


def quantile(samples: list[float], q: float) -> float:
    ordered = sorted(samples)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)]


def timed(
    action: Callable[[], object],
    rounds: int,
    warmup: int = 10,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Seconds of each of `rounds` calls, by `clock`."""
    for _ in range(warmup):
        action()
    samples = []
    for _ in range(rounds):
        started = clock()
        action()
        samples.append(clock() - started)
    return samples


def interleaved(actions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each action, taken in turns, so that a noisy moment hits all alike."""
    samples: dict[str, list[float]] = {name: [] for name in actions}
    for round_ in range(rounds + 3):
        for name, action in actions.items():
            started = time.perf_counter()
            action()
            if round_ >= 3:
                samples[name].append(time.perf_counter() - started)
    return samples


def median(samples: list[float]) -> float:
    return statistics.median(samples)


@contextmanager
def daemon(engines: int) -> Iterator[Stage]:
    """The demo's project with a running daemon, its policies compiled, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="cupcake-bench-") as name:
        stage = Stage(Path(name))
        init_project(stage.project, "claude")
        stage.start_daemon(engines)
        try:

            def ready() -> bool:
                try:
                    with stage.client() as client:
                        status = client.status()
                        return sum(e["state"] == "ready" for e in status["engines"]) == engines
                except Exception:
                    return False

            if wait_for(ready, 30, 0.02) is None:
                raise SystemExit("the daemon did not start:\n" + stage.log.read_text()[-2000:])
            with stage.client() as client:
                for _ in range(50 * engines):
                    client.evaluate(stage.bash("ls"))
            yield stage
        finally:
            stage.stop_daemon()
