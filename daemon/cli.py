"""`cupcake daemon start|stop|status|reload` and `cupcake status`. Talks to the daemon as any client does.

Exit codes: 0 done, 1 it failed or there is no daemon, 2 wrong usage, 3 a daemon is running already.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import Any

from cupcake.client.discovery import find_socket
from cupcake.client.errors import ClientError, Unavailable
from cupcake.client.hook_fallback import START_SECONDS, start_daemon
from cupcake.client.sync import Client


def main(argv: list[str]) -> int:
    """`argv` starts with the word `daemon` or `status`."""
    if argv[0] == "status":
        argv = ["daemon", *argv]
    parser = argparse.ArgumentParser(
        prog="cupcake daemon", description="The daemon that serves decisions."
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="start|stop|status|reload"
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--socket", help="the daemon's socket (default: found, or CUPCAKE_SOCKET)")
    start = commands.add_parser("start", parents=[common], help="start it in the background")
    start.add_argument(
        "--foreground", action="store_true", help="stay attached, log to this terminal"
    )
    start.add_argument("--engines", type=int, help="engine processes (default: one a CPU)")
    commands.add_parser("stop", parents=[common], help="finish what is in flight and stop")
    status = commands.add_parser(
        "status", parents=[common], help="what it is doing, and what is wrong"
    )
    status.add_argument("--json", action="store_true", help="as one JSON object")
    reload = commands.add_parser(
        "reload",
        parents=[common],
        help="rebuild every project; returns when the new policies are in force",
    )
    reload.add_argument("--project-dir", help="only this project")
    reload.add_argument(
        "--accept-removal",
        action="store_true",
        help="accept that .cupcake was removed; the project is then served no longer",
    )
    options = parser.parse_args(argv[1:])
    socket = find_socket(options.socket)
    try:
        match options.command:
            case "start":
                return _start(socket, options)
            case "stop":
                return _stop(socket)
            case "status":
                return _status(socket, options.json)
            case _:
                return _reload(socket, options)
    except Unavailable as error:
        print(f"cupcake: {error}", file=sys.stderr)
        return 1
    except (ClientError, OSError) as error:
        print(f"cupcake: {error}", file=sys.stderr)
        return 1


def _client(socket: str, timeout: float = 5.0) -> Client:
    return Client(socket=socket, timeout=timeout, on_unavailable="raise")


def _start(socket: str, options: argparse.Namespace) -> int:
    extra = ["--engines", str(options.engines)] if options.engines is not None else []
    if options.foreground:
        os.execv(
            sys.executable,
            [sys.executable, "-I", "-m", "cupcake.daemon", "--socket", socket, *extra],
        )
    try:
        with _client(socket, 1.0) as client:
            print(f"A daemon is running already (pid {client.ping()['pid']}, {socket}).")
        return 3
    except Unavailable:
        pass
    log = start_daemon(socket, extra)
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        try:
            with _client(socket, 1.0) as client:
                pid = client.ping()["pid"]
        except Unavailable:
            time.sleep(0.05)
            continue
        print(f"Started (pid {pid}, {socket}). Its log: {log}")
        return 0
    print(
        f"cupcake: the daemon did not start within {START_SECONDS:.0f} s; its log: {log}",
        file=sys.stderr,
    )
    return 1


def _stop(socket: str) -> int:
    with _client(socket) as client:
        pid = int(client.ping()["pid"])
    os.kill(pid, signal.SIGTERM)
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            print(f"Stopped (pid {pid}).")
            return 0
        if _is_zombie(pid):
            print(f"Stopped (pid {pid}).")
            return 0
        time.sleep(0.02)
    print(
        f"cupcake: pid {pid} is still finishing its work; stop it at once with: kill {pid}",
        file=sys.stderr,
    )
    return 1


def _is_zombie(pid: int) -> bool:
    """True for a process that has ended but whose parent has not asked for its status."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] == [b"Z"]
    except OSError:
        return False


def _reload(socket: str, options: argparse.Namespace) -> int:
    root = os.path.abspath(options.project_dir) if options.project_dir else None
    with _client(socket) as client:
        result = client.reload(root=root, accept_removal=options.accept_removal)
    bad = 0
    for project in result.get("projects", []):
        bad += bool(project.get("diagnostics"))
        _print_project(project)
    if not result.get("projects"):
        print("The daemon serves no project yet.")
    return 1 if bad else 0


def _status(socket: str, as_json: bool) -> int:
    with _client(socket) as client:
        status = client.status()
    if as_json:
        print(json.dumps(status, indent=2, sort_keys=True))
        return 0
    print(
        f"cupcake daemon {status.get('version', '')}  pid {status['pid']}  up {status['uptime_s']:.0f} s  {status['socket']}"
    )
    print("\nengines")
    for engine in status["engines"]:
        print(
            f"  pid {engine['pid'] or '-':<8} {engine['state']:<10} served {engine['served']:<10} restarts {engine['restarts']}"
        )
    print("\nprojects")
    for project in status["projects"]:
        _print_project(project)
    if not status["projects"]:
        print("  none yet: a project is loaded when its first event comes")
    counters = {name: value for name, value in status["counters"].items() if value}
    print(
        "\ncounters\n  "
        + ("  ".join(f"{k} {v}" for k, v in sorted(counters.items())) or "nothing yet")
    )
    return 0


def _print_project(project: dict[str, Any]) -> None:
    print(f"  {project['root']}  generation {project['generation']}  {project['state']}")
    for note in project.get("diagnostics", []):
        place = ":".join(str(note[k]) for k in ("file", "row", "col") if note.get(k))
        plain = f"{place}{': ' if place else ''}{note.get('code', '')}: {note.get('message', '')}"
        for line in (note.get("rendered") or plain).splitlines():
            print(f"      {line}")
