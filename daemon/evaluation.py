"""The engine's names that engine processes and builders use, in one place. The supervisor never imports this."""

from __future__ import annotations

from cupcake.engine.errors import ProjectError
from cupcake.engine.evaluate import (
    BuildFailed,
    Evaluator,
    compile_project,
    failure_answer,
    load_compiled,
)
from cupcake.engine.policy.discovery import read_sources

__all__ = [
    "BuildFailed",
    "Evaluator",
    "ProjectError",
    "compile_project",
    "failure_answer",
    "load_compiled",
    "read_sources",
]
