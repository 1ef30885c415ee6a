"""Prints what `cupcake rego eval` found, as `opa eval` prints it."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli import error_shapes
from cupcake.engine.cli.evaluation import Outcome
from cupcake.engine.cli.output import NumberText, dump, table
from cupcake.engine.errors import EvaluationError

if TYPE_CHECKING:
    from cupcake.engine.testing.notes import Line
    from cupcake.engine.testing.profile import Row


def print_outcome(outcome: Outcome, options: argparse.Namespace) -> None:
    """The solutions on stdout, or the error: on stdout in JSON's formats, on stderr in others."""
    form = options.format
    if form in ("json", "discard"):
        print(dump(_document(outcome, options), 2))
        return
    if form == "pretty" and outcome.notes:
        print("\n".join(note_lines(outcome.notes)))
    errors = _errors(outcome)
    if outcome.builtin_errors:
        head = f"{len(errors)} error{'s' if len(errors) > 1 else ''} occurred:"
        print(head, *errors, sep=" " if len(errors) == 1 else "\n", file=sys.stderr)
    elif errors:
        print(errors[0], file=sys.stderr)
    else:
        print_results(outcome.solutions, form, options.pretty_limit)
    if form == "pretty":
        if options.metrics:
            print(_metrics_table(outcome, options.count))
        if options.profile:
            print(profile_table(outcome.profile, options, outcome.text))
        if outcome.coverage is not None:
            print(table(["Overall Coverage", f"{outcome.coverage.percent:.2f}"], []))


def _document(outcome: Outcome, options: argparse.Namespace) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    errors = [shape for one in _errors(outcome) for shape in error_shapes(one)]
    if errors:
        shape["errors"] = errors
    if outcome.solutions:
        shape["result"] = "discarded" if options.format == "discard" else outcome.solutions
    if options.metrics and options.count == 1:
        shape["metrics"] = {name: times[0] for name, times in _timers(outcome)}
    elif options.metrics:
        shape["aggregated_metrics"] = {name: _statistics(ts) for name, ts in _timers(outcome)}
    if outcome.notes:
        shape["explanation"] = [_note_json(line) for line in outcome.notes]
    if options.profile:
        name = "profile" if options.count == 1 else "aggregated_profile"
        shape[name] = [
            _profile_json(row, options.count) for row in _shown(outcome.profile, options)
        ]
    if outcome.coverage is not None:
        shape["coverage"] = outcome.coverage.to_json()
    return shape


def _errors(outcome: Outcome) -> list[EvaluationError]:
    """Those of builtins that were asked for, and the one that ended the evaluation."""
    return [*outcome.builtin_errors, *([] if outcome.error is None else [outcome.error])]


def _note_json(line: Line) -> dict[str, Any]:
    """An event of OPA's traces, with what is known of it."""
    file = "" if line.place.file == "<query>" else line.place.file
    return {
        "Op": line.op,
        "Location": {"file": file, "row": line.place.row, "col": line.place.col},
        "Message": json.loads(line.text) if line.op == "Note" else "",
        "Text": "" if line.op == "Note" else line.text,
    }


def note_lines(lines: Sequence[Line]) -> list[str]:
    """As OPA prints a trace."""
    places = [
        f"{'query' if line.place.file == '<query>' else line.place.file}:{line.place.row}"
        for line in lines
    ]
    width = max(map(len, places)) + 5
    return [
        f"{place.ljust(width)}{'| ' * line.depth}{line.op} {line.text}"
        for place, line in zip(places, lines, strict=True)
    ]


def _shown(rows: Sequence[Row], options: argparse.Namespace) -> list[Row]:
    from cupcake.engine.testing.profile import in_order

    limit = 10 if options.profile_limit is None else options.profile_limit
    ordered = in_order(rows, options.profile_sort or ())
    return ordered[:limit] if limit > 0 else ordered


def _profile_json(row: Row, count: int) -> dict[str, Any]:
    took: dict[str, Any] = (
        {"total_time_ns": row.total_ns}
        if count == 1
        else {"total_time_ns_stats": _statistics(row.times_ns)}
    )
    return {
        **took,
        "num_eval": row.evals,
        "num_redo": row.redos,
        "num_gen_expr": row.expressions,
        "location": {"file": row.file, "row": row.row, "col": row.col},
    }


def profile_table(rows: Sequence[Row], options: argparse.Namespace, query: str) -> str:
    """The profile as a table, with the first expression of a row of the query in place of a file."""
    one = options.count == 1
    header = ["Time"] if one else ["Min", "Max", "Mean", "90%", "99%"]
    header += ["Num Eval", "Num Redo", "Num Gen Expr", "Location"]
    cells: list[list[str]] = []
    for row in _shown(rows, options):
        found = _statistics(row.times_ns)
        times = [row.total_ns] if one else [found[k] for k in ("min", "max", "mean", "90%", "99%")]
        place = f"{row.file}:{row.row}" if row.file else query[row.first.offset : row.first.end]
        counts = (row.evals, row.redos, row.expressions)
        cells.append([*map(duration, times), *map(str, counts), place])
    return table(header, cells)


def duration(nanoseconds: float) -> str:
    """As Go prints a duration: `39.899µs`, `2ms`."""
    for size, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs")):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.9f}".rstrip("0").rstrip(".") + unit
    return f"{int(nanoseconds)}ns" if nanoseconds else "0s"


def _timers(outcome: Outcome) -> list[tuple[str, list[int]]]:
    return [(f"timer_rego_{step}_ns", ts) for step, ts in sorted(outcome.timers.found.items())]


def _statistics(times: Sequence[int]) -> dict[str, int | float]:
    ordered = sorted(times)

    def at(part: float) -> int | float:
        """Between the two that lie around it."""
        place = part * (len(ordered) + 1) - 1
        if place < 0 or place >= len(ordered) - 1:
            return ordered[0 if place < 0 else -1]
        low = int(place)
        return _number(ordered[low] + (place - low) * (ordered[low + 1] - ordered[low]))

    return {
        **{f"{part * 100:g}%": at(part) for part in (0.75, 0.9, 0.95, 0.99, 0.999, 0.9999)},
        "count": len(ordered),
        "max": ordered[-1],
        "mean": _number(statistics.fmean(ordered)),
        "median": at(0.5),
        "min": ordered[0],
        "stddev": _number(statistics.pstdev(ordered)),
    }


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value


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
