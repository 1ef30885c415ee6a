"""How long a test takes: it is run again and again for about a second."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cupcake.engine.testing.discover import TestCase
from cupcake.engine.testing.runner import Suite

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Timing:
    """`runs` of a test took `total_ns` together."""

    test: TestCase
    runs: int
    total_ns: int

    @property
    def ns_per_run(self) -> int:
        return self.total_ns // self.runs


def measure(suite: Suite, test: TestCase, *, at_least_ns: int = _NANOSECONDS) -> Timing:
    """Runs one test. Raises EvaluationError."""
    runs, total = 0, 0
    step = 1
    while total < at_least_ns:
        started = time.perf_counter_ns()
        for _ in range(step):
            suite.evaluate(test)
        total += time.perf_counter_ns() - started
        runs += step
        step = min(step * 2, 1000)
    return Timing(test, runs, total)
