"""The hook as the agent starts it, whole process, against a bare interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

from measure import Result, daemon, interleaved, median, quantile

from cupcake.daemon.demo import hook_program


def hook(scale: float) -> list[Result]:
    with daemon(2) as stage:
        event = json.dumps(stage.bash("ls -la")).encode()
        command = [
            *hook_program(),
            "eval",
            "--harness",
            "claude",
            "--policy-dir",
            str(stage.project),
            "--socket",
            stage.socket,
        ]

        def run_hook() -> None:
            done = subprocess.run(
                command, input=event, capture_output=True, env=stage.environment, check=True
            )
            if done.stdout != b"{}\n":
                raise SystemExit(f"the hook answered {done.stdout!r}")

        def run_bare() -> None:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", "pass"],
                input=event,
                capture_output=True,
                check=True,
            )

        samples = interleaved({"hook": run_hook, "bare": run_bare}, int(200 * scale))
    value, floor = median(samples["hook"]) * 1e3, median(samples["bare"]) * 1e3
    return [
        Result(
            "hook, whole process, p50",
            value,
            "ms",
            floor,
            "bare interpreter",
            "<= bare + 3 ms",
            value <= floor + 3.0,
            {"p95_ms": quantile(samples["hook"], 0.95) * 1e3, "over_bare_ms": value - floor},
        )
    ]
