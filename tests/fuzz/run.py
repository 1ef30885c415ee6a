"""`python tests/fuzz/run.py NAME --seconds N`: fuzz one target; without a name, list them.

Exit codes: 0 nothing found, 1 something (inputs and traces below `--output`), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
faulthandler.enable()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="?", help="target; `native-*` are the C runtime's")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--guided", action="store_true", help="coverage-guided: needs atheris")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="check one input and stop")
    options = parser.parse_args()
    import native
    from driver import digest, explore, guided, minimised
    from targets import TARGETS

    if options.name is None:
        print("\n".join([*TARGETS, *native.NAMES]))
        return 0
    if options.name in native.NAMES:
        return native.fuzz(options.name, options.seconds, options.seed, options.output)
    # What goes wild must end with MemoryError, not with the machine. Reserved address space does not count.
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))
    target = TARGETS.get(options.name)
    if target is None:
        print(
            f"no target {options.name!r}: {', '.join([*TARGETS, *native.NAMES])}", file=sys.stderr
        )
        return 2
    if options.replay:
        target.check(options.replay.read_bytes())
        return 0
    if options.guided:
        guided(target, options.seconds, options.seed)
        return 0
    outcome = explore(target, options.seconds, options.seed)
    rate = outcome.runs / outcome.seconds
    print(
        f"{target.name}: {outcome.runs} runs, {rate:.0f} a second, {len(outcome.findings)} findings"
    )
    for trace, data in outcome.findings.items():
        options.output.mkdir(parents=True, exist_ok=True)
        small = minimised(target, data)
        path = options.output / f"{target.name}-{digest(small)}"
        path.write_bytes(small)
        path.with_suffix(".txt").write_text(trace[-6000:])
        print(f"\n{path}\n{trace[-1500:]}")
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
