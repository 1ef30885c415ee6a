"""The one way from a builtin to the clock, to randomness, to the environment and to the network.

A `Gate` belongs to one evaluation. Host functions that need it are wrapped in `Gated`; all others cannot get at it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.values import Value


@dataclass(frozen=True, slots=True)
class Gated:
    """A host function that takes the gate of the evaluation before its operands."""

    function: Callable[..., Value]


class Gate:
    """Effects within what `effects` allows. `memory` is what a family keeps until the evaluation ends, `shared` what it
    keeps as long as the policy is loaded."""

    __slots__ = ("_deadline", "_now", "_random", "effects", "memory", "rego_version", "shared")

    def __init__(
        self,
        effects: Effects,
        seconds: float,
        shared: dict[str, Any],
        rego_version: str = "v1",
    ) -> None:
        self.effects = effects
        self.shared = shared
        self.rego_version = rego_version
        self.memory: dict[str, Any] = {}
        self._deadline = time.monotonic() + seconds
        self._now: int | None = effects.time_ns
        self._random: random.Random | None = None

    def now_ns(self) -> int:
        """Nanoseconds since 1970: one moment an evaluation."""
        if self._now is None:
            self._now = time.time_ns()
        return self._now

    def seconds_left(self) -> float:
        """Of the evaluation's time limit."""
        return max(0.0, self._deadline - time.monotonic())

    @property
    def random(self) -> random.Random:
        """Unpredictable, unless the effects fix a seed."""
        if self._random is None:
            seed = self.effects.seed
            self._random = random.SystemRandom() if seed is None else random.Random(seed)
        return self._random

    def variable(self, name: str) -> str | None:
        """An environment variable; None when it is absent or not allowed."""
        return os.environ.get(name) if self.effects.shows_variable(name) else None

    def variables(self) -> dict[str, str]:
        """Those of the environment that are allowed."""
        shows = self.effects.shows_variable
        return {name: text for name, text in os.environ.items() if shows(name)}
