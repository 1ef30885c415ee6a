"""Compare many random programs with OPA and show each difference shrunk. On demand:

python tests/differential/explore.py [--first SEED] [--count N] [--most DIFFERENCES]
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from collections.abc import Callable

from comparison import compare_twice, differences, shrink
from known import reason
from random_programs import program
from reference import executables, running


def main(argv: list[str], say: Callable[[str], object] = print) -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--count", type=int, default=300)
    options.add_argument(
        "--most", type=int, default=10, help="shrink and show at most so many of a kind"
    )
    options.add_argument("--known", action="store_true", help="show expected differences too")
    options.add_argument("--only", default="", help="kinds that contain this")
    chosen = options.parse_args(argv)
    found_opas = executables()
    if not found_opas:
        say("no opa executable on the path to compare with")
        return 2
    opa = found_opas[-1]
    start = time.perf_counter()
    kinds: collections.Counter[tuple[str, ...]] = collections.Counter()
    with running(opa) as reference:
        for seed in range(chosen.first, chosen.first + chosen.count):
            source = program(seed, templates=opa.has_templates)
            found = compare_twice(program(seed, templates=opa.has_templates), [reference])
            if not chosen.known:
                found = [(d, of) for d, of in found if not reason(d, of, [reference])]
            if not found:
                continue
            first, source = next(
                (f for f in found if f[0].path.count("/") or not f[0].path), found[0]
            )
            kinds[first.kind()] += 1
            wanted = chosen.only in " ".join(first.kind())
            if wanted and kinds[first.kind()] <= chosen.most:
                small = shrink(source, reference, first.kind(), first.path)
                again = next(d for d in differences(small, reference) if d.path == first.path)
                say(f"==== seed {seed} path {first.path}\n{small.show()}")
                say(f"ours:   {str(again.ours)[:600]}\ntheirs: {str(again.theirs)[:600]}\n")
                sys.stdout.flush()
    say(
        f"{sum(kinds.values())} of {chosen.count} differ in {time.perf_counter() - start:.1f} s: {dict(kinds)}"
    )
    return 1 if kinds else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
