"""The options of what an evaluation may do beyond computing, and of its record."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cupcake.engine.cli.options import UsageError

if TYPE_CHECKING:
    from cupcake.engine.builtins.effects import Effects, Record, Recorder


@dataclass(frozen=True, slots=True)
class Session:
    """The effects of one command's evaluation. `save` writes the record where one is wanted."""

    effects: Effects
    recorder: Recorder | None = None
    replay: Record | None = None
    record_to: str = ""

    def save(self) -> None:
        if self.recorder is not None:
            Path(self.record_to).write_text(self.recorder.record.to_json() + "\n", "utf-8")


def add_options(parser: argparse.ArgumentParser, *, records: bool = False) -> None:
    """`--allow-net`, `--allow-env`; with `records` also `--record` and `--replay`."""
    parser.add_argument(
        "--allow-net",
        action="append",
        default=[],
        metavar="HOST,...",
        help="hosts that http.send and net.lookup_ip_addr may reach, as host or host:port; '*' is any host (default none)",
    )
    parser.add_argument(
        "--allow-env",
        action="append",
        default=[],
        metavar="NAME,...",
        help="variables that opa.runtime().env shows; '*' is all (default none)",
    )
    if records:
        parser.add_argument(
            "--record",
            default="",
            metavar="FILE",
            help="write every effect (time, random numbers, requests ...) of the evaluation to FILE",
        )
        parser.add_argument(
            "--replay",
            default="",
            metavar="FILE",
            help="take the effects from FILE (of --record, or a decision log's nd_builtin_cache) and perform none",
        )


def session_of(options: argparse.Namespace) -> Session:
    """UsageError for options that do not go together."""
    from cupcake.engine.builtins.effects import Effects, Record, Recorder

    effects = Effects(allow_net=_names(options.allow_net), env=_names(options.allow_env))
    record_to, replay_from = getattr(options, "record", ""), getattr(options, "replay", "")
    if record_to and replay_from:
        raise UsageError("--record and --replay do not go together: a replay has no effects")
    replay = None
    if replay_from:
        try:
            replay = Record.from_json(Path(replay_from).read_bytes())
        except OSError as error:
            raise UsageError(f"--replay: {replay_from}: {error.strerror}") from None
    return Session(effects, Recorder() if record_to else None, replay, record_to)


def _names(given: list[str]) -> tuple[str, ...] | None:
    names = tuple(name for text in given for name in text.split(",") if name)
    return None if "*" in names else names
