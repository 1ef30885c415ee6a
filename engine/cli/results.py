"""Prints what `cupcake rego eval` found, as `opa eval` prints it."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from cupcake.engine.cli import error_shapes
from cupcake.engine.cli.evaluation import Outcome
from cupcake.engine.cli.output import NumberText, dump, table


def print_outcome(outcome: Outcome, options: argparse.Namespace) -> None:
    """The solutions on stdout, or the error: on stdout in JSON's formats, on stderr in others."""
    form = options.format
    if form in ("json", "discard"):
        print(dump(_document(outcome, options), 2))
        return
    if outcome.error is not None:
        print(outcome.error, file=sys.stderr)
    else:
        print_results(outcome.solutions, form, options.pretty_limit)
    if form == "pretty":
        if options.metrics:
            print(_metrics_table(outcome, options.count))
        if outcome.coverage is not None:
            print(table(["Overall Coverage", f"{outcome.coverage.percent:.2f}"], []))


def _document(outcome: Outcome, options: argparse.Namespace) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    if outcome.error is not None:
        shape["errors"] = error_shapes(outcome.error)
    if outcome.solutions:
        shape["result"] = "discarded" if options.format == "discard" else outcome.solutions
    if options.metrics and options.count == 1:
        shape["metrics"] = {name: times[0] for name, times in _timers(outcome)}
    elif options.metrics:
        shape["aggregated_metrics"] = {name: _statistics(ts) for name, ts in _timers(outcome)}
    if outcome.coverage is not None:
        shape["coverage"] = outcome.coverage.to_json()
    return shape


def _timers(outcome: Outcome) -> list[tuple[str, list[int]]]:
    return [(f"timer_rego_{step}_ns", ts) for step, ts in sorted(outcome.timers.found.items())]


def _statistics(times: Sequence[int]) -> dict[str, int | float]:
    ordered = sorted(times)

    def at(part: float) -> int:
        return ordered[min(int(part * len(ordered)), len(ordered) - 1)]

    return {
        "90%": at(0.9),
        "99%": at(0.99),
        "max": ordered[-1],
        "mean": statistics.fmean(ordered),
        "min": ordered[0],
    }


def _metrics_table(outcome: Outcome, count: int) -> str:
    if count == 1:
        return table(
            ["Metric", "Value"], [[name, str(times[0])] for name, times in _timers(outcome)]
        )
    keys = ["min", "max", "mean", "90%", "99%"]
    rows = [
        [name, *(str(_statistics(times)[key]) for key in keys)] for name, times in _timers(outcome)
    ]
    return table(["Metric", *(key.title() for key in keys)], rows)


def print_results(results: list[dict[str, Any]], form: str, limit: int | None = None) -> None:
    """The solutions in a format that is not a whole JSON document."""
    values = [[e["value"] for e in r["expressions"]] for r in results]
    match form:
        case "values":
            for row in values:
                print(dump(row, 2))
        case "bindings":
            for result in results:
                print(dump(result.get("bindings", {}), 2))
        case "raw":
            for row in values:
                print(" ".join(_raw(v) for v in row))
        case _:
            _print_pretty(results, values, limit)


def _raw(value: Any) -> str:
    plain = isinstance(value, str) and not isinstance(value, NumberText)
    return str(value) if plain else dump(value)


def _print_pretty(
    results: list[dict[str, Any]], values: list[list[Any]], limit: int | None
) -> None:
    if not results:
        print("undefined")
        return
    first = results[0]
    names = list(first.get("bindings", ()))
    alone = len(values[0]) == 1 or all(isinstance(v, bool) for v in values[0])
    if len(results) == 1 and not names and alone:
        print(dump(values[0][0], 2))
        return
    shown = [i for i, v in enumerate(values[0]) if not isinstance(v, bool) or not names]
    header = [*names, *(first["expressions"][i]["text"] for i in shown)]
    rows = [
        [_cell(result["bindings"][n], limit) for n in names] + [_cell(row[i], limit) for i in shown]
        for result, row in zip(results, values, strict=True)
    ]
    print(table(header, rows))


def _cell(value: Any, limit: int | None) -> str:
    text = dump(value)
    return text if limit is None or len(text) <= limit else text[:limit] + "..."
