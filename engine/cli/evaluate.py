"""`cupcake rego eval`: a query, with `opa eval`'s flags, output formats and exit codes.

This file has the flags; `evaluation.py` evaluates and `results.py` prints.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cupcake.engine.cli.effects import Session, add_options, session_of
from cupcake.engine.cli.evaluation import Asked, Outcome, Prepared, Timers
from cupcake.engine.cli.files import Loaded, load_bundles, load_paths, merge_into, read_input
from cupcake.engine.cli.options import (
    DONE,
    FAILED,
    NO,
    Parser,
    UsageError,
    allowed_builtins,
    common,
    compiling,
    duration,
    ignoring,
    positive,
    switch,
    version_of,
    wide_limits,
)
from cupcake.engine.cli.results import print_outcome
from cupcake.engine.cli.schema_files import load_schemas
from cupcake.engine.cli.verifying import verification_of, verifying

_NO_TRACE = (
    "the evaluation runs as machine code, not as the steps of OPA's interpreter. What there is: --explain notes for what "
    "trace(...) says, --profile and --coverage for what was reached, print(...) in a policy, and `cupcake rego test`, which "
    "shows the values of a failing expression"
)
#: Flags of `opa eval` that are refused, and why.
_REFUSED = {
    "partial": "--partial: there is no partial evaluation; evaluate with the whole input",
    "instrument": "--instrument counts steps of OPA's interpreter, which does not run here; --metrics and --profile give "
    "times",
}


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "eval",
        parents=[common(), ignoring(), compiling(), verifying()],
        help=help,
        description="Evaluate a Rego query and print the result.",
        epilog="Exit codes: 0 done (also when the result is undefined), 1 with --fail or --fail-defined, 2 errors.",
    )
    _what(parser.add_argument_group("what to evaluate"))
    _how(parser.add_argument_group("how"))
    _shown(parser.add_argument_group("what to print"))
    add_options(parser, records=True)
    _for_opas_sake(parser)
    return parser


def _what(group: Any) -> None:
    group.add_argument("query", nargs="?", help="the query, such as 'data.example.allow'")
    switch(group, "--stdin", help="read the query from stdin")
    group.add_argument(
        "-d",
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="policy or data file, or a folder of them; a.b:FILE puts data below data.a.b; may be repeated",
    )
    group.add_argument(
        "-b", "--bundle", action="append", default=[], metavar="PATH", help="bundle file or folder"
    )
    group.add_argument("-i", "--input", metavar="FILE", help="input document (JSON or YAML)")
    switch(group, "-I", "--stdin-input", help="read the input document from stdin")
    group.add_argument("--package", default="", help="the package the query is in, such as a.b")
    group.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="REF", help="data.x [as y]"
    )


def _how(group: Any) -> None:
    switch(group, "-S", "--strict", help="strict mode of the compiler")
    switch(group, "--strict-builtin-errors", help="a builtin's error ends the evaluation")
    group.add_argument(
        "--timeout",
        type=duration,
        default=0.0,
        metavar="TIME",
        help="of the evaluation, such as 500ms or 10s (default: none)",
    )
    switch(group, "--show-builtin-errors", help="print the errors of builtins that were met")
    switch(group, "--disable-indexing", help="evaluate every rule, also those that cannot hold")
    group.add_argument(
        "--count", type=positive, default=1, help="evaluate so many times (for --metrics)"
    )


def _shown(group: Any) -> None:
    group.add_argument(
        "-f",
        "--format",
        choices=["json", "values", "bindings", "pretty", "raw", "discard", "source"],
        default="json",
        help="how to print the result (default json)",
    )
    group.add_argument(
        "--pretty-limit", type=positive, metavar="N", help="cut cells of pretty tables at N letters"
    )
    switch(group, "--fail", help="exit 1 when the result is undefined or empty")
    switch(group, "--fail-defined", help="exit 1 when the result is defined")
    switch(group, "--coverage", help="also which rows were reached, and how often rules held")
    switch(group, "--metrics", help="also how long each step took")
    group.add_argument(
        "--explain",
        choices=["off", "full", "notes", "fails", "debug"],
        default="off",
        help="notes: what trace(...) said, and in which rules; the others are refused",
    )
    switch(
        group,
        "--profile",
        help="also which expressions took how long (with JSON and pretty output)",
    )
    group.add_argument(
        "--profile-limit",
        type=int,
        metavar="N",
        help="show N rows of the profile (default 10, 0 for all)",
    )
    group.add_argument(
        "--profile-sort",
        action="append",
        choices=["total_time_ns", "num_eval", "num_redo", "num_gen_expr", "file", "line"],
        help="what the profile is sorted by, from the largest on; may be repeated",
    )


def _for_opas_sake(parser: Parser) -> None:
    group = parser.add_argument_group(
        "for opa's sake",
        "Taken, and without effect on the result: --target, --optimize, --entrypoint, --disable-early-exit, "
        "--disable-inlining, --shallow-inlining, --nondeterminstic-builtins, --unknowns, --coverage-runs, --var-values, "
        "--optimize-store-for-read-speed. Refused, with what to do instead: --partial, --explain full, fails and debug, "
        "--instrument, --format source.",
    )
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS}
    group.add_argument("-t", "--target", choices=["rego", "wasm"], **hidden)
    group.add_argument("-O", "--optimize", type=int, **hidden)
    for name in ("-e", "--entrypoint"), ("--disable-inlining",), ("-u", "--unknowns"):
        group.add_argument(*name, action="append", **hidden)
    group.add_argument("--coverage-runs", **hidden)
    for name in (
        ("--disable-early-exit",),
        ("--instrument",),
        ("--nondeterminstic-builtins",),
        ("--optimize-store-for-read-speed",),
        ("-p", "--partial"),
        ("--shallow-inlining",),
        ("--var-values",),
    ):
        switch(group, *name, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Evaluates and prints."""
    text = _query(options)
    _refuse(options)
    timers = Timers()
    with timers.measure("load_files"):
        loaded = load_paths(options.data, options.ignore)
        if options.bundle:
            merge_into(
                loaded, load_bundles(options.bundle, options.ignore, verification_of(options))
            )
    with timers.measure("input_parse"):
        given, document = read_input(options.input, options.stdin_input)
    session = session_of(options)
    try:
        outcome = _evaluated(
            text, loaded, (document,) if given else (), options, timers, session=session
        )
    finally:
        session.save()
    print_outcome(outcome, options)
    if outcome.error is not None:
        return FAILED
    failed = options.fail_defined if outcome.solutions else options.fail
    return NO if failed else DONE


def _query(options: argparse.Namespace) -> str:
    if options.stdin and options.stdin_input:
        raise UsageError("--stdin and --stdin-input cannot both read stdin")
    if options.stdin_input and options.input:
        raise UsageError("give the input with --stdin-input or with --input, not with both")
    if options.stdin and options.query is not None:
        raise UsageError("give the query as an argument or with --stdin, not both")
    if options.fail and options.fail_defined:
        raise UsageError("--fail and --fail-defined together would always fail: give one")
    text: str | None = sys.stdin.read() if options.stdin else options.query
    if text is None:
        raise UsageError("a query is missing: give it as an argument or with --stdin")
    return text


def _refuse(options: argparse.Namespace) -> None:
    for name, why in _REFUSED.items():
        if getattr(options, name):
            raise UsageError(why)
    if options.explain not in ("off", "notes"):
        raise UsageError(f"--explain {options.explain}: {_NO_TRACE}")
    if options.profile_limit is not None or options.profile_sort:
        options.profile = True
    if options.profile:
        options.metrics = True
    if options.format == "source":
        raise UsageError(
            "--format source shows the result of a partial evaluation, which there is none of"
        )


def _evaluated(
    text: str,
    loaded: Loaded,
    document: tuple[Any, ...],
    options: argparse.Namespace,
    timers: Timers,
    *,
    session: Session,
) -> Outcome:
    asked = Asked(
        text,
        loaded,
        version=version_of(options),
        package=options.package,
        imports=tuple(options.imports),
        strict=options.strict,
        allowed=allowed_builtins(options),
        indexed=not options.disable_indexing,
        counting=options.coverage,
        profiling=options.profile,
        notes=options.explain == "notes",
        errors=options.show_builtin_errors,
        schemas=load_schemas(options.schema),
    )
    prepared = Prepared.of(asked, wide_limits(options.timeout), timers, session)
    return prepared.evaluate(
        document, strict=options.strict_builtin_errors, times=options.count, timers=timers
    )
