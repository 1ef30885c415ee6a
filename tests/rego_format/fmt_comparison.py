"""Compares the formatter with `opa fmt`, text by text.

    python tests/rego_format/fmt_comparison.py OPA [--mode MODE] FOLDER ...

prints the differences in all .rego files below the folders, and how many there are: `other text` where both say what the
policy says, `OPA says something else` where only ours does.
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from fmt_golden import MODES

from cupcake.engine.errors import EngineError
from cupcake.engine.format.printer import format_text
from cupcake.engine.format.same import say_the_same
from cupcake.engine.rego.parser import parse_module

Verdict: TypeAlias = Literal[
    "equal", "both refuse", "OPA says something else", "other text", "only OPA refuses", "we refuse"
]
#: What is no fault of ours.
FINE: tuple[Verdict, ...] = ("equal", "both refuse", "OPA says something else", "only OPA refuses")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One text; `difference` is a unified diff from OPA's result to ours, or our error."""

    name: str
    verdict: Verdict
    difference: str = ""


def opa_fmt(opa: str, text: str, flags: Sequence[str]) -> str | None:
    """What `opa fmt` makes of a text; None when it refuses. OPA takes no heed of some flags for texts on stdin."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "policy.rego")
        path.write_bytes(text.encode())
        result = subprocess.run([opa, "fmt", *flags, path], capture_output=True, check=False)
    return None if result.returncode else result.stdout.decode()


def compare(opa: str, name: str, text: str, mode: str = "v1") -> Comparison:
    """Formats a text with both."""
    flags, arguments = MODES[mode]
    wanted = opa_fmt(opa, text, flags)
    try:
        got = format_text(text, name, **arguments)
    except EngineError as error:
        verdict: Verdict = "both refuse" if wanted is None else "we refuse"
        return Comparison(name, verdict, "" if wanted is None else f"{error}\n")
    if wanted is None:
        return Comparison(name, "only OPA refuses")
    if wanted == got:
        return Comparison(name, "equal")
    lines = difflib.unified_diff(
        wanted.splitlines(keepends=True), got.splitlines(keepends=True), "opa", "ours", n=2
    )
    verdict = "other text" if _says_the_same(text, wanted, mode) else "OPA says something else"
    return Comparison(name, verdict, "".join(lines))


def _says_the_same(text: str, result: str, mode: str) -> bool:
    """Whether OPA's result has the meaning and the comments of the text."""
    arguments = MODES[mode][1]
    version = "v0" if arguments.get("target") == "v0" else "v1"
    try:
        before = parse_module(text, "", rego_version=arguments.get("rego_version", "v1"))
        after = parse_module(result, "", rego_version=version)
    except EngineError:
        return False
    return say_the_same(before, after)


def policies(folders: Iterable[str]) -> Iterator[Path]:
    """All .rego files below the folders."""
    for folder in folders:
        yield from sorted(path for path in Path(folder).rglob("*.rego") if path.is_file())


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare with opa fmt.")
    parser.add_argument("opa")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--mode", choices=sorted(MODES), default="v1")
    options = parser.parse_args()
    counts: Counter[Verdict] = Counter()
    for path in policies(options.folders):
        text = path.read_bytes().decode(errors="replace")
        found = compare(options.opa, str(path), text, options.mode)
        counts[found.verdict] += 1
        if found.difference:
            print(f"== {found.name}: {found.verdict}\n{found.difference}")
    for verdict, count in counts.most_common():
        print(f"{count:7}  {verdict}")
    return 0 if all(verdict in FINE for verdict in counts) else 1


if __name__ == "__main__":
    sys.exit(main())
