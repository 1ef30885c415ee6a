"""`cupcake rego test`: runs `test_*` rules, with `opa test`'s flags, JSON and exit codes.

This file has the flags, what decides the exit code, and watching; `test_report.py` prints.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli import test_report
from cupcake.engine.cli.options import (
    DONE,
    FAILED,
    NO,
    Parsed,
    Parser,
    UsageError,
    allowed_builtins,
    common,
    compiling,
    duration,
    ignoring,
    load_given,
    parse_all,
    positive,
    switch,
    version_of,
    wide_limits,
)
from cupcake.engine.cli.schema_files import load_schemas
from cupcake.engine.cli.verifying import verifying
from cupcake.engine.errors import EngineError

if TYPE_CHECKING:
    from cupcake.engine.testing.coverage import Coverage
    from cupcake.engine.testing.runner import Suite, TestResult

_TIMEOUT, _BENCH_TIMEOUT = 5.0, 30.0
_WATCHED = (".rego", ".json", ".yaml", ".yml", ".gz")


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "test",
        parents=[common(), ignoring(), compiling(), verifying()],
        help=help,
        description="Run every rule whose name starts with test_: it passes when its value is true. "
        "todo_test_ rules are skipped. A failure shows the expression and the values of its parts.",
        epilog="Exit codes: 0 all passed, 1 the files cannot be loaded or compiled, or there is no test with "
        "--fail-on-empty, 2 a test failed, had an error or was skipped (see -z), the coverage is below the threshold, "
        "or wrong usage. For opa's sake, without effect: --target, --var-values, --parallel, "
        "--benchmem, --coverage-runs.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy or data file, or folder")
    switch(parser, "-b", "--bundle", help="read each PATH as a bundle's file or folder")
    switch(parser, "-v", "--verbose", help="list tests that pass too")
    parser.add_argument(
        "-r", "--run", metavar="REGEX", help="only tests whose name (data.a.test_x) matches"
    )
    parser.add_argument("-f", "--format", choices=["pretty", "json", "gobench"], default="pretty")
    parser.add_argument(
        "--sort", choices=["none", "duration"], default="none", help="order of the JSON results"
    )
    switch(
        parser,
        "-c",
        "--coverage",
        help="print as JSON which rows the tests reach, and how often rules gave a value",
    )
    parser.add_argument(
        "--explain",
        choices=["fails", "full", "notes", "debug"],
        default="fails",
        help="notes: of a failure also what trace(...) said; full and debug are refused",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="PERCENT",
        help="fail when the coverage is below this (implies --coverage)",
    )
    switch(parser, "-z", "--exit-zero-on-skipped", help="skipped tests exit 0")
    switch(parser, "--fail-on-empty", help="exit 1 when there is no test to run")
    parser.add_argument(
        "--timeout",
        type=duration,
        metavar="TIME",
        help="of each test, such as 500ms (default 5s, 30s with --bench)",
    )
    parser.add_argument("--count", type=positive, default=1, metavar="N", help="run N times")
    switch(parser, "--bench", help="measure the tests that pass: runs a second each")
    parser.add_argument(
        "-m", "--max-errors", type=int, default=0, metavar="N", help="show at most N compile errors"
    )
    switch(parser, "-w", "--watch", help="run again whenever a file changes")
    _for_opas_sake(parser)
    return parser


def _for_opas_sake(parser: Parser) -> None:
    hidden: dict[str, Any] = {"help": argparse.SUPPRESS}
    parser.add_argument("-t", "--target", choices=["rego", "wasm"], **hidden)
    parser.add_argument("-p", "--parallel", type=int, **hidden)
    parser.add_argument("--coverage-runs", **hidden)
    switch(parser, "--var-values", help=argparse.SUPPRESS)
    switch(parser, "--benchmem", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Runs once, or until interrupted."""
    _check(options)
    if options.timeout is None:
        options.timeout = _BENCH_TIMEOUT if options.bench else _TIMEOUT
    wide_limits(options.timeout)
    if options.watch:
        return _watch(options)
    return run_once(options)


def _check(options: argparse.Namespace) -> None:
    if options.run is not None:
        try:
            re.compile(options.run)
        except re.error as error:
            raise UsageError(f"--run {options.run!r} is no regular expression: {error}") from None
    if options.threshold is not None and not 0 <= options.threshold <= 100:
        raise UsageError("--threshold must be between 0 and 100")
    if options.explain in ("full", "debug"):
        raise UsageError(
            f"--explain {options.explain}: tests run as machine code, not as the steps of OPA's interpreter; a failure shows the "
            "expression that stopped it and the values of its parts, --explain notes what trace(...) says, and print(...) "
            "what you ask for"
        )
    if options.explain == "notes" and (options.coverage or options.threshold is not None):
        raise UsageError("--explain notes and --coverage watch in different ways: give one of them")
    if options.format == "gobench" and not options.bench:
        raise UsageError("--format gobench shows benchmarks: give --bench too")
    if options.bench and (options.coverage or options.threshold is not None):
        raise UsageError("--bench and --coverage: counting would be measured too; give one of them")


def _watch(options: argparse.Namespace) -> int:
    """Runs, and again after each change, until Ctrl-C."""
    from watchfiles import Change, watch

    from cupcake.engine.cli import report

    # Editors save a file by putting a new one in its place: so its folder is watched.
    files = {str(Path(p).resolve()) for p in options.paths if not Path(p).is_dir()}
    folders = [str(Path(p).resolve()) for p in options.paths if Path(p).is_dir()]
    parents = {str(Path(p).parent) for p in files}

    def wanted(_: Change, path: str) -> bool:
        inside = any(Path(path).is_relative_to(folder) for folder in folders)
        return path in files or (inside and path.endswith(_WATCHED))

    work = _Work()

    def once() -> None:
        try:
            run_once(options, work)
        except (EngineError, OSError) as error:
            report(error, options)
        print(f"{test_report.RULE}\nWatching for changes; end with Ctrl-C.", flush=True)

    watching = watch(
        *folders,
        *parents,
        watch_filter=wanted,
        debounce=300,
        step=30,
        rust_timeout=200,
        yield_on_timeout=True,
    )
    try:
        next(watching)  # it notes changes from here on, also while tests run
        once()
        for changes in watching:
            if changes:
                once()
    except KeyboardInterrupt:
        pass
    return DONE


class _Work:
    """What a run leaves for the next one of the same files."""

    def __init__(self) -> None:
        from cupcake.engine.testing.runner import SuiteCache

        self.parsed: Parsed = {}
        self.compiled = SuiteCache()


def run_once(options: argparse.Namespace, before: _Work | None = None) -> int:
    """Runs the tests and prints the report. After a run `before`, only what has changed is compiled."""
    work = before or _Work()
    from cupcake.engine.compiler import collector_at_rest
    from cupcake.engine.testing.runner import compile_tests
    from cupcake.engine.vm.cache import default_folder

    loaded = load_given(options)
    with collector_at_rest():
        suite = compile_tests(
            parse_all(loaded, version_of(options), work.parsed),
            loaded.data,
            loaded.modules,
            only=None if options.run is None else re.compile(options.run),
            coverage=options.coverage or options.threshold is not None,
            notes=options.explain == "notes",
            limits=wide_limits(options.timeout),
            allowed=allowed_builtins(options),
            core_cache=default_folder(),
            schemas=load_schemas(options.schema),
            cache=work.compiled,
        )
    if options.fail_on_empty and not suite.tests:
        print("no tests were run", file=sys.stderr)
        return NO
    for _ in range(options.count):
        code = _run(suite, options, loaded.modules)
        if code != DONE:
            return code
    return DONE


def _run(suite: Suite, options: argparse.Namespace, sources: Mapping[str, str]) -> int:
    as_json = options.format == "json"
    results = suite.run(explained=not as_json)
    coverage = suite.coverage()
    code = DONE
    if coverage is not None:
        code = _print_coverage(coverage, results, options, sources)
    elif options.bench:
        from cupcake.engine.testing.bench import measure

        timings = [measure(suite, r.test) for r in results if r.passed]
        test_report.print_timings(timings, results, options.format, sources)
    elif as_json:
        test_report.print_json(results, by_duration=options.sort == "duration")
    else:
        test_report.print_pretty(results, options.verbose, sources)
    if any(r.failed or r.error for r in results):
        return FAILED
    if any(r.skipped for r in results) and not options.exit_zero_on_skipped:
        return FAILED
    return code


def _print_coverage(
    coverage: Coverage,
    results: Sequence[TestResult],
    options: argparse.Namespace,
    sources: Mapping[str, str],
) -> int:
    wrong = [r for r in results if r.failed or r.error]
    if wrong:
        test_report.print_pretty(wrong, False, sources, file=sys.stderr)
    if options.threshold is None or coverage.percent >= options.threshold:
        print(json.dumps(coverage.to_json(), indent=2))
        return DONE
    print(
        f"Code coverage threshold not met: got {coverage.percent:.2f} instead of {options.threshold:.2f}",
        file=sys.stderr,
    )
    if options.verbose:
        print("Lines not covered:", file=sys.stderr)
        for place in coverage.missing():
            print(f"\t{place}", file=sys.stderr)
    if options.coverage:
        print(json.dumps(coverage.to_json(), indent=2))
    return FAILED
