"""A program whose counters are read out after each evaluation, also after one that failed.

Other programs pay nothing for it. It must not know what is counted.
"""

from __future__ import annotations

from array import array
from typing import Any

from cupcake.engine.artifact import Artifact
from cupcake.engine.vm import native
from cupcake.engine.vm.limits import Limits


class CountingProgram(native.Program):
    """Runs an artifact that was instrumented; for one thread at a time."""

    def __init__(
        self, machine: native.Machine, core: Any, module: Any, limits: Limits, artifact: Artifact
    ) -> None:
        self._at, count = artifact.counters
        self._counts = [0] * count
        super().__init__(machine, core, module, limits, artifact.source_map)

    def counts(self) -> tuple[int, ...]:
        """The sums over all evaluations so far."""
        return tuple(self._counts)

    def _give_back(self, store: int, frame: Any) -> None:
        found = array("I", frame.read(self._at, 4 * len(self._counts)))
        self._counts = [a + b for a, b in zip(self._counts, found, strict=True)]
        super()._give_back(store, frame)
