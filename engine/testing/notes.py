"""What `trace(...)` says, and where evaluation was when it did: `--explain notes`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cupcake.engine.builtins.texts import readable
from cupcake.engine.plan.planner import path_name
from cupcake.engine.rego import ast
from cupcake.engine.testing.events import Body, Frame, Frames, Sites


@dataclass(frozen=True, slots=True)
class Line:
    """`op` is Enter, Redo (a body goes on with another solution) or Note, `depth` how many bodies are around it; `text` is what is entered, or what the note says as JSON."""

    op: str
    place: ast.Location
    depth: int
    text: str


class Notes:
    """Give `start` to each evaluation's beginning, and `host` as the function of EVENT."""

    def __init__(self, sites: Sites, sources: Mapping[str, str]) -> None:
        """`sources` are the texts of files by name, with `<query>`."""
        self._sites, self._sources = sites, sources
        self._frames = Frames(sites)
        self._shown: list[Frame] = []
        self.lines: list[Line] = []

    def start(self) -> None:
        """An evaluation begins."""
        self._frames.start()
        self._shown = []
        self.lines = []

    def host(self, number: int, said: Any) -> bool:
        """Evaluation comes by a mark."""
        if not self._sites.sites[number].says:
            self._frames.go(number)
            return True
        stack = list(self._frames.stack)
        for depth, frame in enumerate(stack):
            if frame not in self._shown:
                body = self._sites.bodies[frame.body]
                op = "Redo" if frame.again else "Enter"
                self.lines.append(Line(op, body.place, depth, self._text(body)))
        self._shown = stack
        place = self._sites.sites[number].place
        text = readable(json.dumps(said, ensure_ascii=False))
        self.lines.append(Line("Note", place, len(stack), text))
        return True

    def _text(self, body: Body) -> str:
        """A rule by its path, any other body as it is written."""
        if body.rule is not None:
            return path_name(body.rule)
        source = self._sources.get(body.place.file, "")
        text = " ".join(source[body.place.offset : body.place.end].split())
        return f"{text} = _" if body.bare else text
