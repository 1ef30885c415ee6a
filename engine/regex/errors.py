"""The errors of this package: a pattern that cannot be compiled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RegexError(ValueError):
    """A pattern is not RE2 syntax. `position` counts characters from 0, `fragment` is the text at fault."""

    reason: str
    fragment: str
    position: int

    def __str__(self) -> str:
        return f"error parsing regexp: {self.reason}: `{self.fragment}`"


class GlobError(RegexError):
    """A pattern of `glob.match` is not a glob."""

    def __str__(self) -> str:
        return self.reason
