"""A diagnostic for people: the text of `Diagnostic.render`, in colour where the stream is a terminal and NO_COLOR is unset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

from cupcake.engine.errors import Diagnostic

if TYPE_CHECKING:
    from rich.text import Text


def paint(diagnostic: Diagnostic, stream: TextIO) -> None:
    """Writes one diagnostic."""
    if not coloured(stream):
        print(diagnostic.render(), file=stream)
        return
    # Not above: it takes longer than many a check.
    from rich.console import Console
    from rich.text import Text

    first, *rest = diagnostic.render().split("\n")
    head = Text(first, "bold")
    head.highlight_words([f"{diagnostic.code}:"], "bold red")
    text = Text("\n").join([head, *(_styled(line) for line in rest)])
    Console(file=stream, highlight=False, soft_wrap=True, emoji=False).print(text)


def coloured(stream: TextIO) -> bool:
    """Whether colours are wanted (no-color.org; FORCE_COLOR for pipes that understand them)."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (
        stream.isatty() and os.environ.get("TERM") != "dumb"
    )


def _styled(line: str) -> Text:
    from rich.text import Text

    if line.strip() == "^":
        return Text(line, "bold red")
    return Text(line, "cyan" if line.lstrip().startswith("hint:") else "")
