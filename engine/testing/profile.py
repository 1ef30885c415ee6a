"""How often each expression was evaluated, and how long that took: from the marks of an instrumented module.

The time of an expression is that between its mark and the next one, without the rules that it asks for, less what calling the
host takes, which is measured in the same evaluation.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cupcake.engine.plan.counting import event
from cupcake.engine.rego import ast
from cupcake.engine.testing.events import Frames, Sites

# Marks before the query, one behind the other, between which nothing but calling the host happens.
_CALIBRATION = 32


@dataclass(frozen=True, slots=True)
class Row:
    """What happened at one row: nanoseconds of each evaluation; of the last one how often an expression was evaluated there and how
    often one held; how many expressions stand there, and where the first of them does. `file` is "" for the query."""

    file: str
    row: int
    col: int
    times_ns: tuple[int, ...]
    evals: int
    redos: int
    expressions: int
    first: ast.Location

    @property
    def total_ns(self) -> int:
        return sum(self.times_ns)


class Profiler:
    """Give `start` to each evaluation's beginning, and `host` as the function of EVENT. `also` are called with each mark, outside
    of the time that is measured."""

    def __init__(self, sites: Sites, also: Sequence[Callable[[int, Any], object]] = ()) -> None:
        self._sites, self._also = sites, also
        self._frames = Frames(sites)
        self._times: list[list[int]] = []
        self._hits: list[int] = []
        self._before: dict[int, int | None] = {}
        self._last = 0
        self._gaps: list[int] = []
        self._crossing = 0

    def calibrated(self, body: ast.Body) -> ast.Body:
        """A query's body with what `_crossing` is measured by."""
        loc = ast.Location("<query>", 1, 1)
        return (*(event(len(self._sites.sites), loc) for _ in range(_CALIBRATION)), *body)

    def start(self) -> None:
        """An evaluation begins."""
        self._frames.start()
        self._times.append([0] * len(self._sites.sites))
        self._hits = [0] * len(self._sites.sites)
        self._gaps, self._last = [], 0

    def host(self, number: int, said: Any) -> bool:
        """Evaluation comes by a mark."""
        now = time.perf_counter_ns()
        if number == len(self._sites.sites):
            if self._last:
                self._gaps.append(now - self._last)
                self._crossing = int(statistics.median(self._gaps))
        else:
            self._reached(number, now)
            for other in self._also:
                other(number, said)
        self._last = time.perf_counter_ns()
        return True

    def end(self) -> None:
        """The evaluation is done."""
        self._charge(time.perf_counter_ns())

    def _reached(self, number: int, now: int) -> None:
        self._charge(now)
        self._hits[number] += 1
        if number not in self._before:
            # Whoever comes to a mark for the first time comes from the one before it.
            site = self._sites.sites[number]
            frame = None if site.starts else self._frames.of(site.body)
            self._before[number] = None if frame is None else frame.at
        self._frames.go(number)

    def _charge(self, now: int) -> None:
        if self._frames.stack and self._last:
            at = self._frames.stack[-1].at
            self._times[-1][at] += max(now - self._last - self._crossing, 0)

    def rows(self) -> list[Row]:
        """The rows with expressions that were evaluated, in the order of files and rows."""
        held: dict[int, int] = {}
        for number, before in self._before.items():
            if before is not None:
                held[before] = held.get(before, 0) + self._hits[number]
        grouped: dict[tuple[str, int], list[int]] = {}
        for number, site in enumerate(self._sites.sites):
            if not site.ends and self._hits[number]:
                file = "" if site.place.file == "<query>" else site.place.file
                grouped.setdefault((file, site.place.row), []).append(number)
        return [
            Row(
                file,
                row,
                self._sites.sites[numbers[-1]].place.col,
                tuple(sum(times[n] for n in numbers) for times in self._times),
                sum(self._hits[n] for n in numbers),
                sum(held.get(n, 0) for n in numbers),
                len(numbers),
                self._sites.sites[numbers[0]].place,
            )
            for (file, row), numbers in sorted(grouped.items())
        ]


#: What rows can be sorted by, by OPA's names; all from the largest on.
ORDERS: Mapping[str, Callable[[Row], Any]] = {
    "total_time_ns": lambda row: row.total_ns,
    "num_eval": lambda row: row.evals,
    "num_redo": lambda row: row.redos,
    "num_gen_expr": lambda row: row.expressions,
    "file": lambda row: row.file,
    "line": lambda row: row.row,
}


def in_order(rows: Iterable[Row], keys: Sequence[str]) -> list[Row]:
    """Rows by the keys, the first before the others; by time without one."""
    by = [ORDERS[key] for key in keys or ("total_time_ns",)]
    return sorted(rows, key=lambda row: tuple(key(row) for key in by), reverse=True)
