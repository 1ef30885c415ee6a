"""`cupcake rego test`: runs `test_*` rules, with `opa test`'s flags, JSON and exit codes."""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.options import (
    DONE,
    FAILED,
    UsageError,
    load_given,
    parse_all,
    version_of,
    wide_limits,
)
from cupcake.engine.cli.output import dump, evaluation_error_json
from cupcake.engine.errors import EngineError

if TYPE_CHECKING:
    from cupcake.engine.testing.coverage import Coverage
    from cupcake.engine.testing.explain import Failure
    from cupcake.engine.testing.runner import CaseResult, TestResult

_RULE = "-" * 80
_LONGEST = 200


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "test",
        parents=[common],
        help="run the test_* rules of policies",
        description="Run every rule whose name starts with test_: it passes when its value is true. "
        "todo_test_ rules are skipped. A failure shows the expression and the values of its parts.",
        epilog="Exit codes: 0 all passed, 1 the files cannot be loaded or compiled, "
        "2 a test failed, had an error or was skipped (see -z), the coverage is below the threshold, or wrong usage.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy or data file, or folder")
    parser.add_argument(
        "-b", "--bundle", action="store_true", help="read each PATH as a bundle's file or folder"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="list tests that pass too")
    parser.add_argument(
        "-r", "--run", metavar="REGEX", help="only tests whose name (data.a.test_x) matches"
    )
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    parser.add_argument(
        "-c", "--coverage", action="store_true", help="print which rows the tests reach, as JSON"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="PERCENT",
        help="fail when the coverage is below this (implies --coverage)",
    )
    parser.add_argument(
        "-z", "--exit-zero-on-skipped", action="store_true", help="skipped tests exit 0"
    )
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="SECONDS", help="of each test (default 5)"
    )
    parser.add_argument(
        "-w", "--watch", action="store_true", help="run again whenever a file changes"
    )


def run(options: argparse.Namespace) -> int:
    """Runs once, or until interrupted."""
    if options.run is not None:
        try:
            re.compile(options.run)
        except re.error as error:
            raise UsageError(f"--run {options.run!r} is no regular expression: {error}") from None
    if options.threshold is not None and not 0 <= options.threshold <= 100:
        raise UsageError("--threshold must be between 0 and 100")
    wide_limits(options.timeout)
    if options.watch:
        return _watch(options)
    return run_once(options)


def _watch(options: argparse.Namespace) -> int:
    from cupcake.engine.cli import report

    before: object = None
    while True:
        now = _stamps(options.paths)
        if now != before:
            before = now
            try:
                run_once(options)
            except EngineError as error:
                report(error, options)
            print(f"{_RULE}\nWatching for changes; end with Ctrl-C.", flush=True)
        time.sleep(0.3)


def _stamps(paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    stamps: dict[str, tuple[int, int]] = {}
    for name in paths:
        root = Path(name)
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            try:
                state = path.stat()
            except OSError:
                continue
            stamps[str(path)] = (state.st_mtime_ns, state.st_size)
    return stamps


def run_once(options: argparse.Namespace) -> int:
    """Runs the tests and prints the report."""
    from cupcake.engine.testing.runner import compile_tests

    loaded = load_given(options)
    measured = options.coverage or options.threshold is not None
    suite = compile_tests(
        parse_all(loaded, version_of(options)),
        loaded.data,
        loaded.modules,
        only=None if options.run is None else re.compile(options.run),
        coverage=measured,
        limits=wide_limits(options.timeout),
    )
    as_json = options.format == "json"
    results = list(suite.run(explained=not as_json))
    coverage = suite.coverage()
    if coverage is not None:
        code = _print_coverage(coverage, results, options, loaded.modules)
    elif as_json:
        print(dump([_to_json(r) for r in results], 2))
        code = DONE
    else:
        _print_pretty(results, options.verbose, loaded.modules)
        code = DONE
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
        _print_pretty(wrong, False, sources, file=sys.stderr)
    below = options.threshold is not None and coverage.percent < options.threshold
    if below:
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
    return FAILED if below else DONE


# -- JSON ----------------------------------------------------------------------------------------


def _to_json(result: TestResult) -> dict[str, Any]:
    """As `opa test --format json`, without its traces."""
    test = result.test
    shape: dict[str, Any] = {
        "location": {"file": test.loc.file, "row": test.loc.row, "col": test.loc.col},
        "package": test.package,
        "name": test.name,
    }
    if result.error is not None:
        shape["error"] = [evaluation_error_json(result.error)]
    if result.failed:
        shape["fail"] = True
    if result.skipped:
        shape["skip"] = True
    shape["duration"] = result.duration_ns
    if result.printed:
        text = "".join(f"{line}\n" for line in result.printed)
        shape["output"] = base64.b64encode(text.encode("utf-8", "replace")).decode()
    if result.cases:
        shape["sub_results"] = _cases_json(result.cases)
    return shape


def _cases_json(cases: Sequence[CaseResult]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for case in sorted(cases, key=lambda c: c.name):
        found[case.name] = {"name": case.name}
        if not case.passed:
            found[case.name]["fail"] = True
        if case.inner:
            found[case.name]["sub_results"] = _cases_json(case.inner)
    return found


# -- for people ----------------------------------------------------------------------------------


def _print_pretty(
    results: Sequence[TestResult],
    verbose: bool,
    sources: Mapping[str, str],
    file: Any = None,
) -> None:
    file = file or sys.stdout
    before = ""
    for result in results:
        if result.passed and not verbose:
            continue
        if result.test.loc.file != before:
            before = result.test.loc.file
            print(f"{before}:", file=file)
        for line in _lines(result, sources):
            print(line, file=file)
    if before:
        print(_RULE, file=file)
    counts = {
        "PASS": sum(r.passed for r in results),
        "FAIL": sum(r.failed for r in results),
        "SKIPPED": sum(r.skipped for r in results),
        "ERROR": sum(r.error is not None for r in results),
    }
    for word, count in counts.items():
        if count:
            print(f"{word}: {count}/{len(results)}", file=file)
    if not results:
        print("no test was found: a test is a rule whose name starts with test_", file=file)


def _lines(result: TestResult, sources: Mapping[str, str]) -> list[str]:
    name = result.test.full_name
    took = _duration(result.duration_ns)
    if result.skipped:
        return [f"{name}: SKIPPED"]
    if result.error is not None:
        lines = [f"{name}: ERROR ({took})", f"  {result.error}"]
        return lines + [f"  printed: {line}" for line in result.printed]
    lines = [f"{name}: {'PASS' if result.passed else 'FAIL'} ({took})"]
    lines += _case_lines(result.cases, "  ")
    if result.failure is not None:
        lines += _failure_lines(result.failure, sources)
    elif result.failed and not result.cases:
        place = f"{result.test.loc.file}:{result.test.loc.row}"
        shown = "undefined" if repr(result.value) == "UNDEFINED" else _short(result.value)
        lines += [f"  {place}: its value is {shown}, a test passes with true"]
    lines += [f"  printed: {line}" for line in result.printed]
    return lines


def _case_lines(cases: Sequence[CaseResult], indent: str) -> list[str]:
    lines: list[str] = []
    for case in cases:
        lines.append(f"{indent}{case.name}: {'PASS' if case.passed else 'FAIL'}")
        lines += _case_lines(case.inner, indent + "  ")
    return lines


def _failure_lines(failure: Failure, sources: Mapping[str, str]) -> list[str]:
    loc = failure.loc
    rows = sources.get(loc.file, "").split("\n")
    lines = [f"  {loc.file}:{loc.row}:{loc.col}: {failure.note or 'this does not hold:'}"]
    if 0 < loc.row <= len(rows):
        text = rows[loc.row - 1].rstrip("\r")
        pad = "".join("\t" if c == "\t" else " " for c in text[: max(loc.col - 1, 0)])
        lines += [f"    {text}", f"    {pad}^"]
    for number, parts in enumerate(failure.parts, 1):
        indent = "      "
        if failure.total > 1:
            lines.append(f"      with solution {number} of {failure.total} of what stands before:")
            indent += "  "
        width = max((len(p.text) for p in parts), default=0)
        lines += [f"{indent}{p.text.ljust(width)} = {_values(p.values)}" for p in parts]
    if failure.items:
        lines.append(f"      its body does not hold for {_values(failure.items)}")
    return lines


def _values(values: Sequence[Any]) -> str:
    if not values:
        return "undefined"
    shown = _short(values[0])
    return shown if len(values) == 1 else f"{shown} and {len(values) - 1} more"


def _short(value: Any) -> str:
    text = dump(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _duration(ns: int) -> str:
    if ns >= 1_000_000_000:
        return f"{ns / 1e9:.3f}s"
    return f"{ns / 1e6:.3f}ms" if ns >= 1_000_000 else f"{ns / 1e3:.1f}µs"
