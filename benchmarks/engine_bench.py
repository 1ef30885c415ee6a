"""The engine without a daemon: evaluation, scaling with policies that cannot match, compile time, memory growth."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import time
from pathlib import Path

from measure import Result, interleaved, median, quantile, timed

from cupcake.daemon.cli_init import init_project
from cupcake.engine.evaluate import Evaluator, compile_project
from cupcake.engine.policy.discovery import read_sources

EVENT = {
    "session_id": "s",
    "transcript_path": "/tmp/t.jsonl",
    "cwd": "/tmp",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls -la"},
    "tool_use_id": "t",
}

POLICY = """# METADATA
# scope: package
# custom:
#   routing:
#     required_events: ["PreToolUse"]
#     required_tools: ["{tool}"]
package cupcake.policies.p{number}

import rego.v1

deny contains {{"reason": sprintf("p{number}: %s", [input.tool_input.command]), "severity": "HIGH", "rule_id": "P-{number}"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	contains(input.tool_input.command, "forbidden-{number}")
}}

ask contains {{"reason": "sure?", "severity": "LOW", "rule_id": "A-{number}"}} if {{
	input.hook_event_name == "PreToolUse"
	input.tool_name == "{tool}"
	startswith(input.tool_input.command, "maybe-{number}")
}}
"""


def project(folder: Path, relevant: int, unrelated: int) -> Path:
    init_project(folder, "claude")
    policies = folder / ".cupcake" / "policies" / "claude"
    for number in range(relevant + unrelated):
        tool = "Bash" if number < relevant else f"mcp__server__tool{number}"
        (policies / f"p{number}.rego").write_text(POLICY.format(number=number, tool=tool))
    return folder


def evaluator(folder: Path) -> Evaluator:
    sources = read_sources(str(folder), global_dir=None)
    return Evaluator(compile_project(sources), cache_dir=folder / "cache")


def evaluate(scale: float) -> list[Result]:
    event = json.dumps(EVENT).encode()
    with tempfile.TemporaryDirectory() as name:
        judge = evaluator(project(Path(name), 0, 0))
        samples = timed(lambda: judge.answer("claude", event), int(5000 * scale), 200)
        # What others on the machine take is not in it.
        own = timed(
            lambda: judge.answer("claude", event), int(5000 * scale), clock=time.thread_time
        )
    value, p99 = median(samples) * 1e6, quantile(own, 0.99) * 1e6
    return [
        Result(
            "evaluation in process, demo project, p50",
            value,
            "us",
            bar="<= 120 us",
            met=value <= 120,
            more={"p99_us": quantile(samples, 0.99) * 1e6},
        ),
        Result(
            "evaluation in process, demo project, p99 of processor time",
            p99,
            "us",
            bar="<= 400 us",
            met=p99 <= 400,
            more={"p999_us": quantile(own, 0.999) * 1e6},
        ),
    ]


def scaling(scale: float) -> list[Result]:
    event = json.dumps(EVENT).encode()
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        few = evaluator(project(Path(a), 10, 0))
        many = evaluator(project(Path(b), 10, 1000))
        samples = interleaved(
            {
                "few": lambda: few.answer("claude", event),
                "many": lambda: many.answer("claude", event),
            },
            int(3000 * scale),
        )
    value, floor = median(samples["many"]) * 1e6, median(samples["few"]) * 1e6
    return [
        Result(
            "1,000 unrelated policies beside 10, p50",
            value,
            "us",
            floor,
            "the 10 alone",
            "<= 1.5x",
            value <= 1.5 * floor,
        )
    ]


def resident_bytes() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(scale: float) -> list[Result]:
    if not Path("/proc/self/statm").exists():
        return []
    event = json.dumps(EVENT).encode()
    with tempfile.TemporaryDirectory() as name:
        judge = evaluator(project(Path(name), 0, 0))
        for _ in range(5000):
            judge.answer("claude", event)
        gc.collect()
        before = resident_bytes()
        for _ in range(int(1_000_000 * scale)):
            judge.answer("claude", event)
        gc.collect()
        value = (resident_bytes() - before) / 1e6
    return [
        Result("RSS growth over 1,000,000 evaluations", value, "MB", bar="< 5 MB", met=value < 5)
    ]
