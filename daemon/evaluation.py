"""The engine's names that engine processes and builders use, in one place. The supervisor never imports this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cupcake.engine.compiled import CompiledProject, load_compiled
from cupcake.engine.errors import BuildFailed, EngineError, ProjectError
from cupcake.engine.evaluate import Compilers, Evaluator, compile_project, failure_answer
from cupcake.engine.harness.answer import with_notice
from cupcake.engine.library.scaffold import project_files
from cupcake.engine.policy.discovery import ProjectSources, SourceFile, read_sources

__all__ = [
    "BuildFailed",
    "EngineError",
    "Evaluator",
    "ProjectError",
    "canary",
    "compile_project",
    "failure_answer",
    "load_compiled",
    "optimise",
    "patience",
    "read_sources",
    "warm_up",
    "with_notice",
]

_HARMLESS = (
    b'{"hook_event_name":"PreToolUse","session_id":"canary","transcript_path":"","cwd":"/",'
    b'"tool_name":"Bash","tool_input":{"command":"true"}}'
)
_ROUNDS = 3
# Bytes of sources. Trees and plans of a policy take a hundred times its text.
_MOST_KEPT = 1 << 20


def patience(compiled: CompiledProject) -> float:
    """Seconds that an evaluation of this project may rightly take beyond the VM's own time limit: its slowest
    command of each layer (those of one layer run side by side)."""
    slowest: dict[str, float] = {}
    for layer in compiled.layers:
        timeouts = [float(signal.timeout) for signal in layer.signals.values()]
        slowest[layer.layer] = max([slowest.get(layer.layer, 0.0), *timeouts])
    return sum(slowest.values())


def canary(compiled: CompiledProject, cache_dir: Path) -> None:
    """Compile every module to machine code, fast (into the cache), and let it judge a harmless event, without running any
    signal. Whatever it decides, it must come to a decision: raises EngineError when it cannot."""
    from cupcake.engine import vm

    for layer in compiled.layers:
        if layer.artifact is not None:
            policy = vm.load(layer.artifact, cache_dir=cache_dir, quick_first=True)
            policy.evaluate_json(layer.entrypoint, _HARMLESS)


def optimise(compiled: CompiledProject, cache_dir: Path) -> None:
    """Compile every module to the code that runs fast, into the cache, where engines look for it."""
    from cupcake.engine import vm

    for layer in compiled.layers:
        if layer.artifact is not None and not layer.artifact.foreign:
            vm.precompile(layer.artifact, cache_dir)


def warm_up(
    cache_dir: Path, root: str | None, global_dir: Path | None, wanted: Callable[[], bool]
) -> tuple[Compilers, CompiledProject | None]:
    """For a builder that waits: build a small project of our own a few times. A first build in a fresh interpreter takes
    three times as long as the second: imports, tables that are made on first use, bytecode not yet specialised.

    Then the project that was built last, if it is not too large to be kept: the next build is likely to be one of it
    after an edit. The answer is what makes that faster, and the project as it was found.
    Once the process is `wanted`, it begins nothing more."""
    compilers: Compilers = {}
    files = sorted(project_files("claude").items())
    for round_ in range(_ROUNDS):
        if wanted():
            return compilers, None
        sources = ProjectSources(
            "/warm-up",
            tuple(
                SourceFile(f".cupcake/{name}", f"{text}\n# {round_}\n".encode())
                for name, text in files
            ),
            policy_folders=(".cupcake/policies/claude",),
        )
        compiled = compile_project(sources)
    canary(compiled, cache_dir)
    if root is None or wanted():
        return compilers, None
    sources = read_sources(root, global_dir=global_dir)
    if sum(len(file.data) for file in sources.files) > _MOST_KEPT:
        return compilers, None
    try:
        return compilers, compile_project(sources, compilers)
    except EngineError:
        return compilers, None
