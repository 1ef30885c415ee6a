"""The daemon's configuration: command line and environment in, one frozen value out.

It must not touch the disk: who creates the directories checks them (`paths`)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cupcake.daemon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Timing:
    """Every period and bound in seconds; tests shorten them, users have no reason to."""

    heartbeat: float = 0.5
    hung_after: float = 5.0
    """An engine that gives no sign for this long while it owes one is killed."""
    orphaned_after: float = 30.0
    """An engine that hears nothing for this long, heartbeats included, leaves."""
    rescue_after: float = 0.1
    """Requests waiting behind one that runs for longer are given to other engines."""
    drain: float = 5.0
    build: float = 30.0
    start: float = 20.0
    backoff_first: float = 0.05
    backoff_most: float = 10.0
    watch_step: float = 0.005
    watch_settle: float = 0.01
    watch_poll: float = 2.0
    project_idle: float = 3600.0
    quarantine: float = 600.0


@dataclass(frozen=True, slots=True)
class Config:
    """What one daemon is started with.

    `engine_module`: dotted name or `.py` path of the module with `load_compiled`, `Evaluator`,
    `failure_answer` (engines) and `compile_project`, `read_sources` (builder).
    It is not settable from outside: the tests put engines of their own there.
    """

    socket: Path
    state_dir: Path
    cache_dir: Path
    engines: int
    queue_bound: int = 1024
    window: int = 3
    window_most: int = 32
    default_deadline_ms: int = 30_000
    most_deadline_ms: int = 600_000
    most_projects: int = 64
    engine_projects: int = 16
    engine_rss_limit: int = 1 << 30
    idle_exit: float = 0.0
    """Leave after so many seconds without a request; 0 = never."""
    group: int | None = None
    standby_builder: bool = True
    global_dir: Path | None = None
    log_file: Path | None = None
    verbose: bool = False
    engine_module: str = "cupcake.daemon.evaluation"
    timing: Timing = field(default_factory=Timing)

    @property
    def runtime_dir(self) -> Path:
        return self.socket.parent

    @property
    def lock(self) -> Path:
        return self.socket.with_name(self.socket.name + ".lock")

    @property
    def engine_endpoint(self) -> Path:
        return self.socket.with_name(self.socket.name + ".engines")


def default_socket(environment: Mapping[str, str], uid: int) -> Path:
    """Where this daemon listens when it is not told: first CUPCAKE_SOCKET, then the user's runtime
    directory, then a directory of the user's own under /tmp. (The client looks in the same order and
    also tries the system service's /run/cupcake.)"""
    if named := environment.get("CUPCAKE_SOCKET"):
        return Path(named)
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "cupcake" / "daemon.sock"
    return Path(f"/tmp/cupcake-{uid}") / "daemon.sock"


def _directory(environment: Mapping[str, str], service: str, xdg: str, fallback: str) -> Path:
    """systemd's directory for the unit, else the XDG one, else the fallback below HOME."""
    if given := environment.get(service):
        return Path(given.split(":")[0])
    if base := environment.get(xdg):
        return Path(base) / "cupcake"
    return Path(environment.get("HOME", "/")) / fallback / "cupcake"


def global_directory(environment: Mapping[str, str]) -> Path:
    """The user's global policy layer, where Cupcake in Rust looks for it. It need not exist."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "cupcake"
    named = environment.get("XDG_CONFIG_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".config") / "cupcake"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="cupcaked", description="Serve policy decisions to the hooks of AI coding agents."
    )
    made.add_argument(
        "--socket", help="where to listen (default: CUPCAKE_SOCKET, else the runtime directory)"
    )
    made.add_argument(
        "--engines", type=int, help="engine processes (default: CUPCAKE_ENGINES, else one a CPU)"
    )
    made.add_argument(
        "--state-dir", help="trust keys and last generations (default: XDG_STATE_HOME)"
    )
    made.add_argument("--cache-dir", help="compiled policies (default: XDG_CACHE_HOME)")
    made.add_argument(
        "--global-dir",
        help="the global policy layer's folder (default: the user's, ~/.config/cupcake)",
    )
    made.add_argument("--log-file", help="append JSON lines here (default: standard error)")
    made.add_argument(
        "--queue", type=int, default=1024, help="requests that may wait, more are refused"
    )
    made.add_argument("--idle-exit", type=float, default=0.0, metavar="MINUTES",
                      help="leave when unused for so long (default: never)")  # fmt: skip
    made.add_argument("--group", type=int, help="group id that may connect (system service)")
    made.add_argument("--verbose", action="store_true", help="log also what is ordinary")
    return made


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> Config:
    """Raises ConfigError with the option and what it may be; argparse itself leaves on --help."""
    given = parser().parse_args(arguments)
    text = (
        str(given.engines) if given.engines is not None else environment.get("CUPCAKE_ENGINES", "")
    )
    try:
        engines = int(text) if text else os.cpu_count() or 1
    except ValueError:
        raise ConfigError(f"CUPCAKE_ENGINES is {text!r}: give a number from 1 to 256") from None
    if not 1 <= engines <= 256:
        raise ConfigError(f"{engines} engines: give a number from 1 to 256")
    if not 1 <= given.queue <= 1_000_000:
        raise ConfigError(f"--queue {given.queue}: give a number from 1 to 1000000")
    socket = Path(given.socket) if given.socket else default_socket(environment, os.getuid())
    if len(os.fsencode(socket)) > 90:
        raise ConfigError(f"socket path is too long for the system (at most 90 bytes): {socket}")
    state = _directory(environment, "STATE_DIRECTORY", "XDG_STATE_HOME", ".local/state")
    cache = _directory(environment, "CACHE_DIRECTORY", "XDG_CACHE_HOME", ".cache")
    return Config(
        socket=_absolute(socket),
        state_dir=_absolute(Path(given.state_dir) if given.state_dir else state),
        cache_dir=_absolute(Path(given.cache_dir) if given.cache_dir else cache),
        engines=engines,
        queue_bound=given.queue,
        idle_exit=given.idle_exit * 60.0,
        group=given.group,
        global_dir=_absolute(
            Path(given.global_dir) if given.global_dir else global_directory(environment)
        ),
        log_file=_absolute(Path(given.log_file)) if given.log_file else None,
        verbose=given.verbose,
    )


def _absolute(path: Path) -> Path:
    """Made absolute now, since the daemon changes to / before it uses it."""
    return Path(os.path.abspath(path))
