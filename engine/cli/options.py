"""Options that several `cupcake rego` commands share, and the exit codes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Literal, TypeAlias

from cupcake.engine.cli.files import MAX_FILE, Loaded, load_bundles, load_paths
from cupcake.engine.errors import CompileErrors, Diagnostic

if TYPE_CHECKING:
    from cupcake.engine.rego.ast import Module
    from cupcake.engine.vm import Limits

Version: TypeAlias = Literal["v0", "v1"]

#: Done; the answer is no; could not be done. Wrong options are argparse's, 2 too.
DONE, NO, FAILED = 0, 1, 2
MAX_SECONDS = 86_400


class UsageError(Exception):
    """Arguments that do not go together; the message says which."""


def common() -> argparse.ArgumentParser:
    """What every command takes."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--v0-compatible", action="store_true", help="read policies and queries as Rego v0"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="file and folder names to leave out, such as '.*'; may be repeated",
    )
    return parser


def version_of(options: argparse.Namespace) -> Version:
    return "v0" if options.v0_compatible else "v1"


def load_given(options: argparse.Namespace) -> Loaded:
    """PATHs, read as bundles with `-b`."""
    load = load_bundles if options.bundle else load_paths
    return load(options.paths, options.ignore)


def parse_all(loaded: Loaded, version: Version) -> list[Module]:
    """Parses every module, as `version` where its bundle states none; raises CompileErrors with the parse errors of all."""
    from cupcake.engine.rego.parser import parse_module

    parsed: list[Module] = []
    wrong: list[Diagnostic] = []
    for name, text in loaded.modules.items():
        stated = loaded.versions.get(name, version)
        try:
            parsed.append(parse_module(text, name, rego_version=stated))
        except CompileErrors as errors:
            wrong += errors.diagnostics
    if wrong:
        raise CompileErrors(tuple(wrong))
    return parsed


def wide_limits(seconds: float) -> Limits:
    """Limits for a person's own policies and data: much more than an agent's event gets. UsageError for no time."""
    from cupcake.engine.vm import Limits

    if not 0 < seconds < MAX_SECONDS:
        raise UsageError(f"--timeout must be more than 0 and less than {MAX_SECONDS} seconds")
    return Limits(memory_bytes=2 << 30, seconds=seconds, input_bytes=MAX_FILE)
