"""Options that several `cupcake rego` commands share, the exit codes, and how flags are read.

Flags behave as `opa`'s do: `--fail=true`, `--ignore a,b`, durations such as `1m30s`. It must not do a command's work.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from cupcake.engine.cli.files import MAX_FILE, Loaded, LoadProblem, load_bundles, load_paths
from cupcake.engine.cli.verifying import verification_of
from cupcake.engine.errors import CompileErrors, Diagnostic, did_you_mean

if TYPE_CHECKING:
    from cupcake.engine.rego.ast import Module
    from cupcake.engine.vm import Limits

Version: TypeAlias = Literal["v0", "v1"]

#: Done; the answer is no; could not be done. Wrong options are argparse's, 2 too.
DONE, NO, FAILED = 0, 1, 2
MAX_SECONDS = 86_400
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


class UsageError(Exception):
    """Arguments that do not go together; the message says which."""


class Parser(argparse.ArgumentParser):
    """Says what a misspelt word may have been; takes no abbreviations, so that new flags break no script."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '?([^' ]+)'? \(choose from (.*)\)", message)
        if found:
            message += did_you_mean(found[1], re.findall(r"[\w-]+", found[2]))
        self.exit(FAILED, f"{self.prog}: {message}\n")

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Ends with the first of the words that no option took, if there is one."""
        for word in words:
            name = word.partition("=")[0]
            if name.startswith("-") and name != "-":
                known = re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", self.format_help())
                self.error(f"there is no option {name}{did_you_mean(name, known)}")
            self.error(f"{word!r} is one argument too many")


def switch(parser: Any, *names: str, help: str, dest: str | None = None) -> None:
    """A flag without a value, which also takes `=true` and `=false`."""
    long = names[-1]
    dest = dest or long.lstrip("-").replace("-", "_")
    parser.add_argument(*names, action="store_true", dest=dest, help=help)
    for word, value in (("true", True), ("false", False)):
        parser.add_argument(
            f"{long}={word}",
            action="store_const",
            const=value,
            dest=dest,
            default=False,
            help=argparse.SUPPRESS,
        )


def common() -> argparse.ArgumentParser:
    """What every command takes."""
    parser = argparse.ArgumentParser(add_help=False)
    switch(parser, "--v0-compatible", help="read policies and queries as Rego v0")
    switch(parser, "--v1-compatible", help=argparse.SUPPRESS)
    return parser


def ignoring() -> argparse.ArgumentParser:
    """`--ignore`, for what reads folders."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--ignore",
        action="extend",
        type=lambda text: text.split(","),
        default=[],
        metavar="PATTERN,...",
        help="file and folder names to leave out, such as '.*'; may be repeated",
    )
    return parser


def compiling() -> argparse.ArgumentParser:
    """What every command that compiles takes."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument(
        "--capabilities",
        metavar="FILE|VERSION",
        help="refuse builtins that are not in this capabilities.json, or that OPA of this version (v1.7.0) lacks",
    )
    parser.add_argument(
        "-s",
        "--schema",
        metavar="PATH",
        help="check types against JSON Schemas: a file is that of input, a folder's are for `schemas:` in METADATA",
    )
    return parser


def duration(text: str) -> float:
    """Seconds of `1m30s`, `500ms`, or of a plain number of seconds."""
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(n + unit for n, unit in parts) != text:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 500ms, 10s or 1m30s")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def positive(text: str) -> int:
    """A count."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def version_of(options: argparse.Namespace) -> Version:
    return "v0" if options.v0_compatible and not options.v1_compatible else "v1"


def load_given(options: argparse.Namespace) -> Loaded:
    """PATHs, read as bundles with `-b`."""
    if options.bundle:
        return load_bundles(options.paths, options.ignore, verification_of(options))
    if getattr(options, "verification_key", None):
        raise UsageError("--verification-key is for bundles: add --bundle")
    return load_paths(options.paths, options.ignore)


def allowed_builtins(options: argparse.Namespace) -> frozenset[str] | None:
    """The builtins that `--capabilities` leaves; None for all."""
    if options.capabilities is None:
        return None
    from cupcake.engine.cli.capabilities import read_builtins

    return read_builtins(options.capabilities, version_of(options))


#: Name of a file -> its text, the version that it was parsed as, and the module.
Parsed: TypeAlias = "dict[str, tuple[str, str, Module]]"


def parse_all(loaded: Loaded, version: Version, known: Parsed | None = None) -> list[Module]:
    """Parses every module, as `version` where its bundle states none; raises CompileErrors with the parse errors of all. What
    is `known` from before, which is brought up to date, is not parsed again."""
    from cupcake.engine.rego.parser import parse_module

    known = {} if known is None else known

    parsed: list[Module] = []
    wrong: list[Diagnostic] = []
    for name, text in loaded.modules.items():
        stated = loaded.versions.get(name, version)
        before = known.get(name)
        if before is not None and before[:2] == (text, stated):
            parsed.append(before[2])
            continue
        try:
            parsed.append(parse_module(text, name, rego_version=stated))
            known[name] = (text, stated, parsed[-1])
        except CompileErrors as errors:
            wrong += errors.diagnostics
    if wrong:
        raise CompileErrors(tuple(wrong))
    for module in parsed:
        _check_root(module, loaded)
    return parsed


def _check_root(module: Module, loaded: Loaded) -> None:
    """LoadProblem when a bundle holds a policy outside of the paths that its manifest claims."""
    roots = loaded.roots.get(module.file)
    if roots is None or roots == ("",):
        return
    from cupcake.engine.bundle_files import Manifest

    steps = tuple(getattr(term, "value", "") for term in module.package.terms[1:])
    if not Manifest(roots).permits(steps):
        raise LoadProblem(
            f"{module.file}: the roots {list(roots)} of the bundle's manifest do not permit "
            f"package {'.'.join(map(str, steps))}"
        )


def wide_limits(seconds: float) -> Limits:
    """Limits for a person's own policies and data: much more than an agent's event gets. UsageError for too much time;
    0 is as much as there is."""
    from cupcake.engine.vm import Limits

    if not 0 <= seconds < MAX_SECONDS:
        raise UsageError(f"--timeout must be less than {MAX_SECONDS} seconds")
    return Limits(memory_bytes=2 << 30, seconds=seconds or MAX_SECONDS - 1, input_bytes=MAX_FILE)
