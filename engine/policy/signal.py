"""A signal as it is configured. Running it is for `engine.signals`."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_SIGNAL_TIMEOUT = 5


@dataclass(frozen=True, slots=True)
class Signal:
    """A command whose output policies read as `input.signals.<name>`. `timeout` in seconds.

    `script` instead of `command`: a file below the layer's folder, found in `signals/`. `content` are the bytes
    that the build read there: None for a command, and for the script of a project without trust."""

    command: str = ""
    timeout: int = DEFAULT_SIGNAL_TIMEOUT
    script: str = ""
    content: bytes | None = None
