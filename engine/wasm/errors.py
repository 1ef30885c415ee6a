"""Errors of the WebAssembly back end. It declares, it does not handle."""

from __future__ import annotations

from cupcake.engine.errors import EngineError


class WasmError(EngineError):
    """Base of the back end's errors."""


class MalformedModuleError(WasmError):
    """Bytes are no module that we understand; `offset` is where the reader stood."""

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(f"malformed WebAssembly module at byte {offset}: {message}")


class CodegenError(WasmError):
    """The plan cannot become a module: a limit is exceeded, or a builtin or function is unknown."""


class LinkError(WasmError):
    """The runtime module lacks something that the policy or the ABI needs."""
