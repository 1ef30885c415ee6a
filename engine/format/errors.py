"""The one error of this package beside those of the parser."""

from __future__ import annotations

from cupcake.engine.errors import EngineError


class FormatError(EngineError):
    """The layout of a module would not say what the module says; the message names its file."""
