"""Runs conformance cases through front end, planner and test interpreter; a module for tests and, run alone, a report."""

from __future__ import annotations

import gzip
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from few_builtins import BUILTINS
from interpreter import Interpreter, RegoError, const_value
from values import from_json, order, to_json

from cupcake.engine.errors import CompileErrors
from cupcake.engine.plan import ir
from cupcake.engine.plan.emitter import PlanError
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.verify import verify
from cupcake.engine.rego import compile as front
from cupcake.engine.rego import parser

DEFAULT = Path(__file__).parents[2].parent / "shared" / "conformance"


def path() -> Path:
    named = Path(os.environ.get("CUPCAKE_CONFORMANCE") or DEFAULT)
    return named / "open.jsonl.gz" if named.is_dir() else named


def load() -> list[dict[str, Any]]:
    with gzip.open(path(), "rt") as lines:
        return [json.loads(line, parse_float=Decimal) for line in lines]


def as_const(value: Any) -> ir.Const:
    """A JSON value as a constant of the IR."""
    match value:
        case None | bool() | str():
            return value
        case list():
            return ir.ConstArray(tuple(as_const(item) for item in value))
        case dict():
            return ir.ConstObject(tuple((k, as_const(v)) for k, v in value.items()))
    return ir.ConstNumber(str(value))


Pass = Callable[[ir.Policy], ir.Policy]


def run(case: dict[str, Any], *, index: bool = True, passes: Sequence[Pass] = ()) -> str:
    """`ok`, or why not: `front ...`, `skip ...`, `wrong ...`. `passes` are applied to the plan first."""
    modules = []
    version = case.get("rego_version", "v1")
    try:
        for number, text in enumerate(case["modules"]):
            modules.append(parser.parse_module(text, f"m{number}.rego", rego_version=version))
        query = parser.parse_query(case["query"], rego_version=version)
        checked = front.check(modules, query)
        term = case["input_term"]
        term = parser.parse_term(term) if term else None
    except CompileErrors as error:
        return f"front {error}"
    data = case["data"] if case["data"] is not None else {}
    try:
        queries = {} if checked.query is None else {"query": checked.query}
        policy = plan(checked, (), as_const(data), queries=queries, index=index)
    except PlanError as error:
        return f"wrong plan: {error}"
    verify(policy)
    for each in passes:
        policy = each(policy)
        verify(policy)
    missing = [d.name for d in policy.static.builtins if d.name not in BUILTINS]
    if missing:
        return f"skip {missing[0]}"
    machine = Interpreter(policy, BUILTINS)
    args = []
    if term is not None:
        args = [const_value(_ground(term))]
    elif case["input"] is not None:
        args = [from_json(case["input"])]
    try:
        results = machine.run("query", *args)
    except KeyError as error:
        return f"skip {error}"
    except RegoError as error:
        if case["want_error_code"]:
            if error.code != case["want_error_code"]:
                return f"wrong {error}"
            return "ok" if (case["want_error"] or "") in str(error) else f"wrong {error}"
        return f"wrong {error}"
    if case["want_error_code"] == "eval_conflict_error":
        return f"wrong: wanted {case['want_error']}, got {to_json(results)}"
    if case["want_error_code"] or case["want_error"]:
        return "skip error"
    if case["want_result"] is None:
        return "ok"
    got = [to_json(item) for item in results]
    if case["sort_bindings"]:
        for item in got:
            for key, value in item.items():
                if isinstance(value, list):
                    item[key] = sorted(value, key=lambda v: order(from_json(v)))
    have = {order(from_json(_plain(item))) for item in got}
    want = {order(from_json(_plain(item))) for item in case["want_result"]}
    return "ok" if have == want else f"wrong: got {got} want {case['want_result']}"


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=float))


def _ground(term: Any) -> ir.Const:
    from cupcake.engine.plan.constants import constant

    return constant(term)  # type: ignore[return-value]


def main() -> None:
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    counts: Counter[str] = Counter()
    for case in load():
        if only not in case["id"]:
            continue
        try:
            outcome = run(case)
        except Exception:
            outcome = "crash " + traceback.format_exc(limit=-3)
        counts[outcome.split(" ")[0].rstrip(":")] += 1
        if not outcome.startswith(("ok", "skip")):
            print(case["id"], "=>", outcome[:600])
            if only:
                print(
                    json.dumps({k: v for k, v in case.items() if v}, indent=1, default=str).replace(
                        "\\n", "\n"
                    )
                )
    print(counts)


if __name__ == "__main__":
    main()
