"""The hook's slow path: start a daemon that is not there, hand odd command lines to the full program, or block.

Reached only from `hook`. It must end in an answer or a block, as `hook` promises.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence

from cupcake.client import hook

START_SECONDS = 20.0
"""How long a hook waits for a daemon that it started: interpreter, engines, first compile of the project."""

_REMEDIES = {
    "absent": "Start it by hand to see why it does not start: cupcake daemon start --foreground",
    "unsafe": "",
    "timeout": "See what it is doing: cupcake status",
    "broken": "See its log: cupcake status; restart it: cupcake daemon stop",
    "error": "",
    "input": "Run it as the agent does: echo '{\"hook_event_name\": ...}' | cupcake eval --harness claude",
}


def handle(
    kind: str, message: str, argv: list[str], options: dict[str, str], event: bytes | None
) -> int:
    """Exit code of the hook, after it wrote its answer."""
    if kind == "usage":
        # Nothing has been read yet: the full program parses the arguments and says what is wrong.
        os.execv(sys.executable, [sys.executable, "-I", "-m", "cupcake", "eval", *argv])
    if kind == "absent" and event is not None and not os.environ.get("CUPCAKE_NO_AUTOSTART"):
        try:
            code, stderr, response = _start_and_ask(options, event)
        except hook.Trouble as trouble:
            kind, message = trouble.kind, trouble.message
        except OSError as error:
            message = f"{message}; starting one failed: {error}"
        else:
            return hook.give(options, code, stderr, response)
    remedy = _REMEDIES.get(kind, "")
    return block(
        event, f"Cupcake could not decide, so the action is blocked: {message}. {remedy}".strip()
    )


def block(event: bytes | None, reason: str) -> int:
    """Blocks in Claude Code's terms: a deny in JSON (exit 0) where the event takes one, else exit 2 with
    the reason on stderr. PermissionRequest ignores exit codes, so it always gets JSON."""
    name = _event_name(event)
    answer: dict[str, object]
    if name == "PreToolUse":
        answer = {
            "hookSpecificOutput": {
                "hookEventName": name,
                "permissionDecision": "deny",
                "permissionDecisionReason": reason,
            }
        }
    elif name == "PermissionRequest":
        answer = {
            "hookSpecificOutput": {
                "hookEventName": name,
                "decision": {"behavior": "deny", "message": reason},
            }
        }
    else:
        sys.stderr.write(f"cupcake: {reason}\n")
        sys.stderr.flush()
        return 2
    hook.write_all(1, json.dumps(answer, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")
    return 0


def _event_name(event: bytes | None) -> str | None:
    try:
        parsed = json.loads(event or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    name = parsed.get("hook_event_name") or parsed.get("hookEventName")
    return name if isinstance(name, str) else None


def _start_and_ask(options: dict[str, str], event: bytes) -> tuple[int, str, bytes]:
    limit = time.monotonic() + (
        float(options["--timeout"]) if "--timeout" in options else START_SECONDS
    )
    path = hook.find_socket(options.get("--socket"))
    rounds = 0
    while True:
        if (
            rounds % 25 == 0
        ):  # again, because the one that held the lock may have been on its way out
            start_daemon(path)
        rounds += 1
        time.sleep(0.02)
        try:
            return hook.ask(options, event, max(limit - time.monotonic(), 0.1))
        except hook.Trouble as trouble:
            if trouble.kind != "absent" or time.monotonic() >= limit:
                raise


def start_daemon(socket_path: str, extra: Sequence[str] = ()) -> str:
    """Starts a detached daemon for `socket_path` unless another process is doing so; the path of its log. Raises OSError."""
    folder = os.path.dirname(socket_path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    state = os.path.join(
        os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state"), "cupcake"
    )
    os.makedirs(state, mode=0o700, exist_ok=True)
    log_path = os.path.join(state, "daemon.log")
    lock = os.open(
        os.path.join(folder, "start.lock"),
        os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
        0o600,
    )
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return log_path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(log_path, flags, 0o600), "wb", buffering=0) as log:
            # The lock is inherited: it is held as long as that daemon lives, so that of many hooks one starts it.
            subprocess.Popen(
                [sys.executable, "-I", "-m", "cupcake.daemon", "--socket", socket_path, *extra],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                pass_fds=(lock,),
            )
    finally:
        os.close(lock)
    return log_path
