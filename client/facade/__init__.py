"""Cupcake: a policy engine for AI coding agents. This package is the public door; everything loads on first use.

import cupcake
cupcake.init("my-project"); cupcake.eval({"hook_event_name": "PreToolUse", ...})     # in process
with cupcake.Client("my-project") as client: client.evaluate(event)                  # through the daemon
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cupcake.client.decision import Decision
    from cupcake.client.errors import ClientError, RequestFailed, Unavailable, UnsafeSocket
    from cupcake.daemon.embedded import (
        AsyncClient,
        Client,
        Cupcake,
        eval,
        eval_async,
        init,
        init_async,
        is_ready,
        version,
    )

_WHERE = {
    "AsyncClient": "cupcake.daemon.embedded",
    "Client": "cupcake.daemon.embedded",
    "ClientError": "cupcake.client.errors",
    "Cupcake": "cupcake.daemon.embedded",
    "Decision": "cupcake.client.decision",
    "RequestFailed": "cupcake.client.errors",
    "Unavailable": "cupcake.client.errors",
    "UnsafeSocket": "cupcake.client.errors",
    "eval": "cupcake.daemon.embedded",
    "eval_async": "cupcake.daemon.embedded",
    "init": "cupcake.daemon.embedded",
    "init_async": "cupcake.daemon.embedded",
    "is_ready": "cupcake.daemon.embedded",
    "version": "cupcake.daemon.embedded",
}

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "Cupcake",
    "Decision",
    "RequestFailed",
    "Unavailable",
    "UnsafeSocket",
    "__version__",
    "eval",
    "eval_async",
    "init",
    "init_async",
    "is_ready",
    "version",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        import importlib

        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'cupcake' has no attribute {name!r}")
