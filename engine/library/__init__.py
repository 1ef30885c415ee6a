"""Rego that we ship: the aggregation entrypoint and the helper library for projects that have none of their own."""

from __future__ import annotations

from importlib import resources


def library_text(name: str) -> str:
    """Text of a shipped Rego file such as `evaluate.rego`."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
