"""All benchmarks, one command: a table on stdout, JSON in benchmarks/results/. Every figure stands beside a floor that was
measured in the same run, because machines differ and ratios travel.

    python benchmarks/run.py [--quick] [--only NAME ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

import compile_bench
import engine_bench
import hook_bench
import rego_bench
import serve_bench
from measure import Result

SUITES = {
    "hook": hook_bench.hook,
    "roundtrip": serve_bench.round_trip,
    "throughput": serve_bench.throughput,
    "kill": serve_bench.kill,
    "reload": serve_bench.reload,
    "memory": serve_bench.memory,
    "evaluate": engine_bench.evaluate,
    "scaling": engine_bench.scaling,
    "compile": compile_bench.compile_time,
    "growth": engine_bench.growth,
    "rego": rego_bench.compare,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Cupcake's benchmarks")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    parser.add_argument("--only", nargs="+", choices=SUITES, default=list(SUITES))
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "latest.json"
    )
    options = parser.parse_args()
    results: list[Result] = []
    for name in options.only:
        started = time.perf_counter()
        found = SUITES[name](0.1 if options.quick else 1.0)
        results += found
        for result in found:
            print(result.line(), flush=True)
        print(f"  ({name}: {time.perf_counter() - started:.1f} s)", file=sys.stderr)
    options.json.parent.mkdir(exist_ok=True)
    machine = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }
    options.json.write_text(
        json.dumps({"machine": machine, "results": [r.as_json() for r in results]}, indent=2) + "\n"
    )
    missed = [r.name for r in results if r.met is False]
    print(f"\nbars missed: {', '.join(missed)}" if missed else "\nevery bar met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
