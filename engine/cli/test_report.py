"""Prints the results of tests: as `opa test --format json`, or for people."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.output import dump, evaluation_error_json

if TYPE_CHECKING:
    from cupcake.engine.testing.bench import Timing
    from cupcake.engine.testing.explain import Failure
    from cupcake.engine.testing.runner import CaseResult, TestResult

RULE = "-" * 80
_LONGEST = 200


def print_json(results: Sequence[TestResult], *, by_duration: bool = False) -> None:
    """As `opa test --format json`, without its traces."""
    shown = sorted(results, key=lambda r: -r.duration_ns) if by_duration else results
    print(dump([_to_json(r) for r in shown], 2))


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


def print_timings(
    timings: Sequence[Timing],
    results: Sequence[TestResult],
    form: str,
    sources: Mapping[str, str],
) -> None:
    """What `--bench` measured, as `opa test --bench` prints it, without its counts of allocations."""
    if form == "json":
        found = {t.test: t for t in timings}
        shapes = [_to_json(r) for r in results]
        for shape, result in zip(shapes, results, strict=True):
            if result.test in found:
                timing = found[result.test]
                shape["benchmark_result"] = {"N": timing.runs, "T": timing.total_ns}
        print(dump(shapes, 2))
        return
    for timing in timings:
        name = timing.test.full_name
        if form == "gobench":
            name = "Benchmark" + "".join(w[:1].upper() + w[1:] for w in re.split(r"[._]", name))
        print(f"{name}\t{timing.runs:8}\t{timing.ns_per_run:10} ns/op")
    wrong = [r for r in results if not r.passed]
    if wrong:
        print_pretty(wrong, False, sources)


# -- for people ----------------------------------------------------------------------------------


def print_pretty(
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
        print(RULE, file=file)
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
        print(
            "no test was run: a test is a rule whose name starts with test_, see also --run",
            file=file,
        )


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
    if result.notes and not result.passed:
        from cupcake.engine.cli.results import note_lines

        lines += [f"  {line}" for line in note_lines(result.notes)]
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
