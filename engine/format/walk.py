"""All nodes below a node of a syntax tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass


def walk(node: object) -> Iterator[object]:
    """The node and everything in it, in no particular order; tuples are looked through."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, tuple):
            waiting += found
        elif is_dataclass(found):
            yield found
            waiting += [getattr(found, field.name) for field in fields(found) if field.compare]
