"""Errors of builtins that did not end the evaluation, with their places: `--show-builtin-errors`."""

from __future__ import annotations

from typing import Any

from cupcake.engine.builtins.texts import readable
from cupcake.engine.errors import EvaluationError
from cupcake.engine.rego import ast
from cupcake.engine.rego.resolve import dotted
from cupcake.engine.testing.events import Frames, Sites, nodes


class Errors:
    """Give `start` to each evaluation's beginning, `host` as the function of EVENT, and `error` as that of ERROR."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._frames = Frames(sites)
        self.found: list[EvaluationError] = []

    def start(self) -> None:
        """An evaluation begins."""
        self._frames.start()
        self.found = []

    def host(self, number: int, said: Any) -> bool:
        """Evaluation comes by a mark."""
        self._frames.go(number)
        return True

    def error(self, code: str, message: str) -> bool:
        """A builtin has no value."""
        place = ast.Location("<query>", 1, 1)
        if self._frames.stack:
            site = self._sites.sites[self._frames.stack[-1].at]
            name = message.partition(":")[0]
            calls = (node for node in nodes(site.expr) if isinstance(node, ast.Call))
            place = next((call.loc for call in calls if dotted(call.operator) == name), site.place)
        error = EvaluationError(code, readable(message))
        error.place, error.col = f"{place.file}:{place.row}", place.col
        self.found.append(error)
        return True
