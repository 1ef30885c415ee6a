"""Compile time: 50 policies from nothing and after an edit, and growing sets of them beside OPA's own compiler.

OPA is the `opa` on PATH, or those in CUPCAKE_BENCH_OPA (paths, separated as PATH is); without one its rows are left out.
Wall and processor time stand side by side: on a busy machine only the second says something.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import policies
from measure import Result, median, quantile

from cupcake.engine.artifact import Artifact
from cupcake.engine.compiler import Compiler
from cupcake.engine.vm import load

EVENT = {
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "deploy --force"},
    "user": "eve",
}
COUNT = 50

# Run by a fresh interpreter; writes [seconds of the imports, seconds of the compile].
_COLD = """
import json, sys, time
modules = json.load(sys.stdin)
start = time.perf_counter()
from cupcake.engine.compiler import compile_policy
imported = time.perf_counter()
compile_policy(modules, entrypoints=[sys.argv[1]])
print(json.dumps([imported - start, time.perf_counter() - imported]))
"""


def cold(scale: float) -> list[Result]:
    """A fresh process: imports of the compiler, then the compile."""
    text = json.dumps(dict(policies.modules(COUNT)))
    lines = sum(module.count("\n") for module in policies.modules(COUNT).values())
    imports, compiles, processor = [], [], []
    for number in range(max(int(15 * scale), 3) + 1):
        before = _children()
        out = subprocess.run(
            [sys.executable, "-c", _COLD, policies.ENTRYPOINT],
            input=text, capture_output=True, text=True, check=True, env=_environment(),
        ).stdout  # fmt: skip
        if not number:
            continue  # it wrote the bytecode, which an installation has
        processor.append(_children() - before)
        imported, compiled = json.loads(out)
        imports.append(imported)
        compiles.append(compiled)
    value = median([a + b for a, b in zip(imports, compiles, strict=True)]) * 1e3
    more = {
        "lines": lines,
        "imports_ms": median(imports) * 1e3,
        "compile_ms": median(compiles) * 1e3,
        "processor_ms_of_the_process": median(processor) * 1e3,
    }
    return [
        Result(
            f"compile {COUNT} policies, fresh process, p50",
            value,
            "ms",
            bar="<= 600 ms",
            met=value <= 600,
            more=more,
        )
    ]


def after_edit(scale: float) -> list[Result]:
    """One process that goes on: texts to an artifact, and on to the first decision of the new policy."""
    rounds = max(int(40 * scale), 5)
    results = []
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o700)
        cache = Path(name)
        for title, edit, bar in (
            ("one policy", _edit_policy, True),
            ("helpers that all import", _edit_helper, False),
        ):
            modules = dict(policies.modules(COUNT))
            compiler = Compiler()
            _decide(compiler.compile(modules, entrypoints=[policies.ENTRYPOINT]), cache)
            compiled, decided, processor = [], [], []
            for number in range(1, rounds + 1):
                edit(modules, number)
                start, used = time.perf_counter(), time.process_time()
                artifact = compiler.compile(modules, entrypoints=[policies.ENTRYPOINT])
                compiled.append(time.perf_counter() - start)
                processor.append(time.process_time() - used)
                _decide(artifact, cache)
                decided.append(time.perf_counter() - start)
            value = median(compiled) * 1e3
            more = {
                "p95_ms": quantile(compiled, 0.95) * 1e3,
                "processor_ms": median(processor) * 1e3,
            }
            results.append(
                Result(
                    f"edit of {title}: text to artifact, p50",
                    value,
                    "ms",
                    bar="<= 80 ms" if bar else "",
                    met=value <= 80 if bar else None,
                    more=more,
                )
            )
            results.append(
                Result(
                    f"edit of {title}: text to first decision, p50",
                    median(decided) * 1e3,
                    "ms",
                    more={"p95_ms": quantile(decided, 0.95) * 1e3},
                )
            )
    return results


def against_opa(scale: float) -> list[Result]:
    """Whole processes, as people run them: `cupcake rego build|check` beside `opa build|check` on the same files."""
    results = []
    sizes = (10, COUNT) if scale < 1 else (10, COUNT, 200, 1000)
    for count in sizes:
        rounds = 3 if count <= COUNT else 1
        with tempfile.TemporaryDirectory() as name:
            folder = _write(Path(name) / "policies", policies.modules(count))
            bundle = str(Path(name) / "bundle.tar.gz")
            build = ["-e", policies.ENTRYPOINT, "-o", bundle, str(folder)]
            ours = [sys.executable, "-m", "cupcake", "rego"]
            wasm = _timed([*ours, "build", "-t", "wasm", *build], rounds)
            planned = _timed([*ours, "build", "-t", "plan", *build], rounds)
            checked = _timed([*ours, "check", str(folder)], rounds)
            plain = _plain(folder)
            start = _timed([*ours, "eval", "1 + 1"], 5) if count == sizes[0] else None
            for opa in _opas():
                version = _version(opa)
                if start is not None:
                    results.append(
                        _beside("eval of 1 + 1", start, _timed([opa, "eval", "1 + 1"], 5), version)
                    )
                for what, mine, theirs in (
                    ("build to WASM", wasm, [opa, "build", "-t", "wasm", *build]),
                    ("build to a plan", planned, [opa, "build", "-t", "plan", *build]),
                    ("check", checked, [opa, "check", str(folder)]),
                ):
                    other = _timed(theirs, rounds)
                    results.append(_beside(f"{count} policies, {what}", mine, other, version))
            results.append(
                Result(
                    f"{count} policies, compile in a running process",
                    plain[0] * 1e3,
                    "ms",
                    more={"after_an_edit_ms": plain[1] * 1e3},
                )
            )
    return results


def _beside(
    name: str, ours: tuple[float, float], theirs: tuple[float, float], version: str
) -> Result:
    return Result(
        name,
        ours[0] * 1e3,
        "ms",
        theirs[0] * 1e3,
        f"OPA {version}",
        more={
            "processor_ms": ours[1] * 1e3,
            "opa_processor_ms": theirs[1] * 1e3,
            "processor_ratio": ours[1] / max(theirs[1], 0.01),
        },
    )


def _plain(folder: Path) -> tuple[float, float]:
    modules = {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*.rego"))}
    compiler = Compiler()
    start = time.perf_counter()
    compiler.compile(modules, entrypoints=[policies.ENTRYPOINT])
    first = time.perf_counter() - start
    edits = []
    for number in range(1, 6):
        _edit_policy(modules, number)
        start = time.perf_counter()
        compiler.compile(modules, entrypoints=[policies.ENTRYPOINT])
        edits.append(time.perf_counter() - start)
    return first, median(edits)


def _edit_policy(modules: dict[str, str], number: int) -> None:
    edited = number * 7 % 10
    modules[policies.file_name(edited)] = policies.policy(edited, number)


def _edit_helper(modules: dict[str, str], number: int) -> None:
    modules["helpers/commands.rego"] = policies.helpers(number)


def _decide(artifact: Artifact, cache: Path) -> None:
    load(artifact, cache_dir=cache).evaluate(policies.ENTRYPOINT, EVENT)


def _opas() -> list[str]:
    given = os.environ.get("CUPCAKE_BENCH_OPA")
    if given:
        return given.split(os.pathsep)
    found = shutil.which("opa")
    return [found] if found else []


def _version(opa: str) -> str:
    out = subprocess.run([opa, "version"], capture_output=True, text=True, check=True).stdout
    return out.split("\n", 1)[0].rpartition(" ")[2]


def _write(folder: Path, modules: Mapping[str, str]) -> Path:
    for name, text in modules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def _environment() -> dict[str, str]:
    """As users have it: with bytecode on disk."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _timed(command: list[str], rounds: int) -> tuple[float, float]:
    """Medians of wall and processor seconds of a process that must succeed."""
    wall, processor = [], []
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    for _ in range(rounds):
        used, start = _children(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=_environment())
        wall.append(time.perf_counter() - start)
        processor.append(_children() - used)
    return median(wall), median(processor)


def compile_time(scale: float) -> list[Result]:
    parts: tuple[Callable[[float], list[Result]], ...] = (cold, after_edit, against_opa)
    return [result for part in parts for result in part(scale)]
