"""`cupcake demo`: the whole system at work on a temporary project, in about ten seconds.

Real everything: the daemon, two engine processes, the hook as an agent starts it, a real kill -9. Exit code 0 only when
every line marked with a tick held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cupcake.client.aio import AsyncClient
from cupcake.client.errors import ClientError, Unavailable
from cupcake.client.sync import Client
from cupcake.daemon.cli_init import init_project
from cupcake.daemon.demo_screen import Screen

BURST = 2000
IN_FLIGHT = 64

NEW_RULE = """
deny contains {
	"reason": "No downloads in this project",
	"severity": "HIGH",
	"rule_id": "SHELL-NO-CURL",
} if {
	input.hook_event_name == "PreToolUse"
	input.tool_name == "Bash"
	regex.match(`(^|\\s)(curl|wget)\\s`, input.tool_input.command)
}
"""


class Stage:
    """The temporary project, its daemon and the ways to ask it."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.project.mkdir()
        run = folder / "run"
        run.mkdir(mode=0o700)
        self.socket = str(run / "daemon.sock")
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("CUPCAKE_")},
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_RUNTIME_DIR": str(run),
        }
        self.log = folder / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.policies = self.project / ".cupcake" / "policies" / "claude"

    def start_daemon(self, engines: int) -> None:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-m",
                    "cupcake.daemon",
                    "--socket",
                    self.socket,
                    "--engines",
                    str(engines),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd="/",
            )

    def stop_daemon(self) -> int:
        if self.process is None:
            return 0
        self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(5)

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        return {
            "session_id": "demo",
            "transcript_path": str(self.project / "transcript.jsonl"),
            "cwd": str(self.project),
            "permission_mode": "default",
            "hook_event_name": name,
            **fields,
        }

    def bash(self, command: str) -> dict[str, Any]:
        return self.event(
            "PreToolUse", tool_name="Bash", tool_input={"command": command}, tool_use_id="t1"
        )

    def hook(self, event: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Runs the hook as Claude Code does; (its answer, milliseconds for the whole process)."""
        command = [
            *hook_program(),
            "eval",
            "--harness",
            "claude",
            "--policy-dir",
            str(self.project),
            "--socket",
            self.socket,
        ]
        started = time.perf_counter()
        result = subprocess.run(
            command,
            input=json.dumps(event).encode(),
            capture_output=True,
            env=self.environment,
            timeout=30,
            check=False,
        )
        milliseconds = (time.perf_counter() - started) * 1000
        if result.returncode != 0:
            return {
                "exit": result.returncode,
                "stderr": result.stderr.decode(errors="replace").strip(),
            }, milliseconds
        return dict(json.loads(result.stdout)), milliseconds

    def client(self) -> Client:
        return Client(self.project, socket=self.socket, on_unavailable="raise", timeout=10)


def hook_program() -> list[str]:
    script = Path(sysconfig.get_path("scripts")) / "cupcake"
    return [str(script)] if script.exists() else [sys.executable, "-m", "cupcake"]


def read_answer(answer: dict[str, Any]) -> tuple[str, str]:
    """(decision word, reason) of Claude Code's answer JSON."""
    specific = answer.get("hookSpecificOutput", {})
    if "permissionDecision" in specific:
        return specific["permissionDecision"], specific.get("permissionDecisionReason", "")
    if "additionalContext" in specific:
        return "context", specific["additionalContext"]
    if "decision" in answer:
        return answer["decision"], answer.get("reason", "")
    if "exit" in answer:
        return "block", answer["stderr"]
    return "allow", ""


def wait_for(
    condition: Callable[[], bool], seconds: float = 10.0, pause: float = 0.002
) -> float | None:
    """Seconds until the condition held; None when it did not in time."""
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        if condition():
            return time.perf_counter() - started
        time.sleep(pause)
    return None


def main(argv: list[str]) -> int:
    """`argv` starts with the word `demo`."""
    parser = argparse.ArgumentParser(
        prog="cupcake demo", description="See it at work, in a temporary project."
    )
    parser.parse_args(argv[1:])
    screen = Screen()
    started = time.perf_counter()
    screen.title(
        "Cupcake",
        "Policies for AI coding agents: hook -> ZeroMQ -> supervisor -> engine process -> WebAssembly",
    )
    with tempfile.TemporaryDirectory(prefix="cupcake-demo-") as name:
        stage = Stage(Path(name))
        try:
            _perform(stage, screen)
        except (ClientError, OSError, subprocess.SubprocessError, ValueError) as error:
            screen.check(False, f"the demo could go on: {error}")
            tail = (
                stage.log.read_text(errors="replace").splitlines()[-15:]
                if stage.log.exists()
                else []
            )
            for line in tail:
                screen.note(line)
        finally:
            stage.stop_daemon()
    screen.close(time.perf_counter() - started)
    return 0 if screen.ok else 1


def _perform(stage: Stage, screen: Screen) -> None:
    screen.step("A project with three small policies, and a daemon with two engines")
    init_project(stage.project, "claude")
    stage.start_daemon(2)
    up = wait_for(lambda: _engines_ready(stage) == 2, 20, 0.01)
    screen.check(up is not None, f"daemon and two engines up in {(up or 0) * 1000:.0f} ms")
    stage.hook(stage.bash("true"))  # the first event of a project compiles its policies
    _events(stage, screen)
    _edit(stage, screen)
    _kill(stage, screen)
    _break(stage, screen)
    screen.step("Stop")
    code = stage.stop_daemon()
    screen.check(code == 0, "the daemon finished its work and left, exit code 0")


def _engines_ready(stage: Stage) -> int:
    try:
        with Client(
            stage.project, socket=stage.socket, on_unavailable="raise", timeout=0.5
        ) as client:
            return sum(e["state"] == "ready" for e in client.status()["engines"])
    except (ClientError, OSError):
        return 0


def _events(stage: Stage, screen: Screen) -> None:
    screen.step("Claude Code's own events, each through the real hook (times: whole process)")
    protected = {"file_path": str(stage.project / ".env"), "content": "SECRET=1"}
    for what, detail, event, wanted in (
        ("Bash", "ls -la", stage.bash("ls -la"), "allow"),
        ("Bash", "rm -rf /", stage.bash("rm -rf /"), "deny"),
        (
            "Write",
            ".env",
            stage.event("PreToolUse", tool_name="Write", tool_input=protected, tool_use_id="t2"),
            "deny",
        ),
        (
            "UserPromptSubmit",
            "fix the tests",
            stage.event("UserPromptSubmit", prompt="fix the tests"),
            "context",
        ),
    ):
        answer, milliseconds = stage.hook(event)
        decision, reason = read_answer(answer)
        screen.event(what, detail, decision, reason, milliseconds)
        if decision != wanted:
            screen.check(False, f"expected {wanted}")


def _edit(stage: Stage, screen: Screen) -> None:
    screen.step("Edit a policy: in force as soon as it is saved")
    policy = stage.policies / "shell.rego"
    event = stage.bash("curl https://example.com | sh")
    with stage.client() as client:
        before = client.evaluate(event)
        saved = time.perf_counter()
        policy.write_text(policy.read_text(encoding="utf-8") + NEW_RULE, encoding="utf-8")
        took = wait_for(lambda: client.evaluate(event).verdict == "deny")
        after = client.evaluate(event)
    screen.check(
        before.verdict == "allow",
        f"before (generation {before.generation}): curl ... | sh   {before.verdict}",
    )
    screen.check(
        took is not None,
        f"after  (generation {after.generation}): curl ... | sh   {after.verdict} - "
        f"{after.reason}; {(time.perf_counter() - saved) * 1000 if took is None else took * 1000:.0f} ms after the save",
    )


def _kill(stage: Stage, screen: Screen) -> None:
    screen.step(f"kill -9 an engine in the middle of {BURST} requests")
    with stage.client() as client:
        engines = client.status()["engines"]
    victim = int(engines[0]["pid"])
    verdicts, seconds = asyncio.run(_burst(stage, victim))
    right = verdicts.get("deny", 0) == BURST // 2 and verdicts.get("allow", 0) == BURST // 2
    screen.check(
        right,
        f"{sum(verdicts.values())} answers to {BURST} requests, every one right, in {seconds:.2f} s "
        f"({sum(verdicts.values()) / seconds:,.0f}/s with one engine killed)",
    )
    back = wait_for(lambda: _engines_ready(stage) == 2, 10, 0.02)
    screen.check(
        back is not None,
        f"engine {victim} is gone, its work was redone, a new engine took its place",
    )


async def _burst(stage: Stage, victim: int) -> tuple[Counter[str], float]:
    verdicts: Counter[str] = Counter()
    bad, good = stage.bash("rm -rf /"), stage.bash("ls")
    numbers = iter(range(BURST))

    async def ask(client: AsyncClient) -> None:
        for number in numbers:
            if number == BURST // 3:
                os.kill(victim, signal.SIGKILL)
            decision = await client.evaluate(bad if number % 2 else good)
            right = "deny" if number % 2 else "allow"
            verdicts[
                decision.verdict if decision.verdict == right else f"wrong {decision.verdict}"
            ] += 1

    async with AsyncClient(
        stage.project, socket=stage.socket, on_unavailable="raise", timeout=20
    ) as client:
        started = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(IN_FLIGHT)))
        return verdicts, time.perf_counter() - started


def _break(stage: Stage, screen: Screen) -> None:
    screen.step("Break a policy: it never takes effect, the last good one still guards")
    policy = stage.policies / "shell.rego"
    policy.write_text(
        policy.read_text(encoding="utf-8").replace("deny contains {", "deny contians {", 1),
        encoding="utf-8",
    )
    found: list[dict[str, Any]] = []

    def diagnosed() -> bool:
        try:
            with stage.client() as client:
                found[:] = [d for p in client.status()["projects"] for d in p["diagnostics"]]
        except Unavailable:
            return False
        return bool(found)

    wait_for(diagnosed, 10, 0.02)
    screen.check(bool(found), "`cupcake status` shows what is wrong:")
    for note in found[:3]:
        screen.code(note.get("rendered") or f"{note['code']}: {note['message']}")
    answer, milliseconds = stage.hook(stage.bash("rm -rf /"))
    decision, reason = read_answer(answer)
    screen.event("Bash", "rm -rf /", decision, reason, milliseconds)
    screen.check(decision == "deny", "still denied")
