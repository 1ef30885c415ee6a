"""The Rego engines that are compared: each prepares a case once, answers it, and gives samples of seconds.

An engine that is not there is skipped with the reason. Nothing of a case is prepared twice, and nothing is cached
between two evaluations beyond what the engine itself keeps.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rego_cases import Case, cases

from cupcake import engine
from cupcake.engine.opa_compiler import compile_with_opa
from cupcake.engine.vm import capi, native

REGOPY_SECONDS = 60
OPA_VARIABLE = "CUPCAKE_BENCH_OPA"
# For OPA's modules, which read the whole of the data for each evaluation; ours keep the default limits.
WIDE = engine.Limits(memory_bytes=1 << 30, seconds=60.0)


class Absent(Exception):
    """The engine cannot take part; the message says why."""


class Runner(ABC):
    """One engine with one case, prepared."""

    @abstractmethod
    def answer(self) -> Any:
        """The entrypoint's value, to be compared with the expected one."""

    @abstractmethod
    def samples(self, seconds: float) -> list[float]:
        """Seconds of single evaluations, measured for about `seconds`; one sample may stand for many."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what the runner holds."""


def _repeat(action: Any, seconds: float) -> list[float]:
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 5 or time.perf_counter() < end:
        started = time.perf_counter()
        action()
        found.append(time.perf_counter() - started)
    return found


class Whole(Runner):
    """`Policy.evaluate`: Python value in, JSON, fresh Store, the module, JSON, Python value out."""

    def __init__(self, case: Case, artifact: Any, limits: engine.Limits | None = None) -> None:
        try:
            self._policy = engine.load(artifact, limits=limits)
        except engine.LoadError as e:
            raise Absent(str(e)) from e
        self._case = case

    def answer(self) -> Any:
        return self._policy.evaluate(self._case.entrypoint, self._case.input)

    def samples(self, seconds: float) -> list[float]:
        evaluate, name, input = self._policy.evaluate, self._case.entrypoint, self._case.input
        return _repeat(lambda: evaluate(name, input), seconds)


class Inside(Whole):
    """The one native call of an evaluation: input text in linear memory -> result text there, in a fresh Store."""

    def samples(self, seconds: float) -> list[float]:
        with timed_calls() as found:
            super().samples(seconds)
        return found


@contextmanager
def timed_calls() -> Iterator[list[float]]:
    """Seconds of each `opa_eval` while the block runs: what a call of C costs and what builtins of the host do included."""
    found: list[float] = []
    call, clock, slots = capi.call, time.perf_counter, native._SLOTS

    def timed(context: int, function: int, values: int, count: int, trap: int) -> Any:
        started = clock()
        result = call(context, function, values, count, trap)
        if count == slots:  # not what a host call asks of the module
            found.append(clock() - started)
        return result

    capi.call = timed
    try:
        yield found
    finally:
        capi.call = call


class OpaBench(Runner):
    """`opa bench`: a prepared query over a parsed input, inside of OPA's process. Median of its histogram, the time
    that it takes for evaluation alone; `mean` is its ns/op."""

    def __init__(self, case: Case, executable: str, flags: tuple[str, ...] = ()) -> None:
        self._case, self._executable, self._flags = case, executable, flags
        self._folder = tempfile.TemporaryDirectory(prefix="cupcake-bench-")
        root = Path(self._folder.name)
        for name, text in case.modules.items():
            path = root / "policies" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (root / "data.json").write_text(json.dumps(case.data))
        (root / "input.json").write_text(json.dumps(case.input))
        self.mean = 0.0

    def _run(self, *arguments: str) -> Any:
        command = [
            self._executable,
            *arguments,
            "-d",
            "policies",
            "-d",
            "data.json",
            "-i",
            "input.json",
        ]
        done = subprocess.run(  # noqa: PLW1510 - looked at below
            [*command, "--format", "json", self._case.query],
            cwd=self._folder.name,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def answer(self) -> Any:
        return self._run("eval")["result"][0]["expressions"][0]["value"]

    def samples(self, seconds: float) -> list[float]:
        found = self._run("bench", *self._flags)
        self.mean = found["T"] / found["N"] / 1e9
        return [found["Extra"]["histogram_timer_rego_query_eval_ns_median"] / 1e9]

    def close(self) -> None:
        self._folder.cleanup()


class Regopy(Runner):
    """rego-cpp through its Python package: the policy built once to a bundle, the input set for each query."""

    def __init__(self, case: Case) -> None:
        import regopy

        if case.kind != "small":
            _try_regopy(case)
        self._rego = regopy.Interpreter()
        for name, text in case.modules.items():
            self._rego.add_module(name, text)
        self._rego.add_data_json(json.dumps(case.data))
        self._make, self._case = regopy.Input, case
        self._bundle = self._rego.build(None, [case.entrypoint])
        if not self._bundle.ok():
            raise Absent("it cannot build this policy")

    def _evaluate(self) -> Any:
        self._rego.set_input(self._make(self._case.input))
        return self._rego.query_bundle_entrypoint(self._bundle, self._case.entrypoint)

    def answer(self) -> Any:
        return json.loads(str(self._evaluate()))["expressions"][0]

    def samples(self, seconds: float) -> list[float]:
        return _repeat(self.answer, seconds)


def _try_regopy(case: Case) -> None:
    """Absent when regopy does not get through the case once: it cannot be stopped in this process."""
    try:
        done = subprocess.run(
            [sys.executable, __file__, case.name],
            capture_output=True,
            text=True,
            timeout=REGOPY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Absent(f"not through after {REGOPY_SECONDS} s") from None
    if done.returncode:
        raise Absent((done.stderr.strip().splitlines() or ["it failed"])[-1][:200])


def opa_executables() -> dict[str, str]:
    """Label -> path: those of CUPCAKE_BENCH_OPA (separated as in PATH), else the `opa` on PATH."""
    paths = [p for p in os.environ.get(OPA_VARIABLE, "").split(os.pathsep) if p]
    if not paths and (found := shutil.which("opa")):
        paths = [found]
    labels: dict[str, str] = {}
    for path in paths:
        shown = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
        labels["opa " + shown.split()[1]] = path
    return labels


def compiled(case: Case) -> Any:
    """Our artifact of a case."""
    return engine.compile_policy(case.modules, case.data, [case.entrypoint])


def opa_compiled(case: Case, executable: str) -> Any:
    """The module that `opa build` makes of a case."""
    return compile_with_opa(
        Path(executable), case.modules, json.dumps(case.data), [case.entrypoint]
    )


if __name__ == "__main__":
    # For _try_regopy: one evaluation of one case.
    chosen = next(case for case in cases() if case.name == sys.argv[1])
    chosen = dataclasses.replace(chosen, kind="small")
    Regopy(chosen).answer()
