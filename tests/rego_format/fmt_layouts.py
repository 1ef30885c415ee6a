"""The same program with other spaces, line ends and comments: what a formatter has to cope with."""

from __future__ import annotations

import random

from cupcake.engine.rego.lexer import TIGHT, tokenize


def disturbed(text: str, seed: int, *, often: float = 0.1, comments: bool = True) -> str:
    """`text` with changes between some of its tokens. Not all results are Rego: a line end may part a statement."""
    choose = random.Random(seed)
    tokens = tokenize(text, frozenset())
    parts: list[str] = []
    last = 0
    templates = 0
    for at, kind in enumerate(tokens.kinds):
        start, end = tokens.starts[at], tokens.ends[at]
        gap = text[last:start]
        bound = tokens.gaps[at] == TIGHT and (kind in ".[(" or tokens.kinds[at - 1] == ".")
        if at and not templates and not bound and kind != "eof" and choose.random() < often:
            gap += _filling(gap, choose, comments)
        templates += (kind == "template") - (kind == "end")
        parts += [gap, text[start:end]]
        last = end
    return "".join([*parts, text[last:]])


def _filling(gap: str, choose: random.Random, comments: bool) -> str:
    kind = choose.random()
    if kind < 0.4:
        return " " * choose.randint(1, 3)
    if comments and kind < 0.6:
        return f" # note {choose.randint(0, 9)}\n"
    return "\n" * choose.randint(1, 2) if "\n" in gap or choose.random() < 0.5 else "  "
