"""Builds `runtime.wasm` from the C files of this folder: `python -m cupcake.engine.runtime.build [--check]`.

Needs the clang that the PyPI package `ziglang` carries (pinned in pyproject.toml). Equal sources give equal bytes: no
paths, times or build ids go into the module. The result is committed, so an install never runs this.
"""

from __future__ import annotations

import argparse
import fcntl
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE / "runtime.wasm"

ZIG = (sys.executable, "-m", "ziglang")
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Werror")
COMPILE = (
    "--target=wasm32-freestanding",
    "-mcpu=generic+bulk_memory+sign_ext+nontrapping_fptoint+mutable_globals",
    "-std=c11",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-sanitize=all",
    "-fno-stack-protector",
    "-fvisibility=hidden",
    "-fno-ident",
    "-g0",
    *WARNINGS,
)
# Measured: -Os makes the module a sixth smaller, and Cranelift's time goes with its size, at no cost but in these files.
HOT = frozenset(
    (
        "access",
        "arena",
        "array",
        "json_read",
        "json_write",
        "number",
        "object",
        "order",
        "set",
        "table",
        "text",
    )
)
LINK = (
    "--no-entry",
    "--stack-first",
    "--import-memory",
    "--export-dynamic",
    # Without bulk-memory among the module's features, zeroed variables are data bytes; with it, wasm-ld makes a start function
    # that fills them at every instantiation, because an imported memory need not be zero.
    "--features=mutable-globals,nontrapping-fptoint,sign-ext",
    "--no-check-features",
    "--export=__heap_base",
    "--strip-all",
    "-z",
    "stack-size=98304",
)


class BuildError(Exception):
    """The compiler or the linker failed, or is missing; the message holds its output and what to do."""


def sources() -> list[Path]:
    """All C files of the folder, in a fixed order (it decides the order of functions)."""
    return sorted(HERE.glob("*.c"))


def _run(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if "No module named ziglang" in done.stderr:
            raise BuildError("ziglang is not installed: pip install 'cupcake-policy[dev]'")
        raise BuildError(f"{' '.join(command)}\n{done.stderr}")


def build() -> bytes:
    """Compiles and links; returns the module's bytes. Touches nothing but a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="cupcake-runtime-") as folder:
        objects: list[str] = []
        for source in sources():
            target = str(Path(folder) / f"{source.stem}.o")
            level = "-O2" if source.stem in HOT else "-Os"
            _run(
                [*ZIG, "cc", *COMPILE, level, "-c", source.name, "-o", target],
                cwd=HERE,
            )
            objects.append(target)
        output = Path(folder) / "runtime.wasm"
        _run(
            [*ZIG, "wasm-ld", *LINK, *objects, "-o", str(output)],
            cwd=HERE,
        )
        return output.read_bytes()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0: written, or with --check equal to the committed bytes; 1: not equal, or the build failed."""
    parser = argparse.ArgumentParser(
        prog="python -m cupcake.engine.runtime.build", description=__doc__
    )
    parser.add_argument(
        "--check", action="store_true", help="compare with the committed runtime.wasm"
    )
    options = parser.parse_args(arguments)
    try:
        with (HERE / "build.py").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            module = build()
            if options.check:
                if OUTPUT.exists() and OUTPUT.read_bytes() == module:
                    print(f"{OUTPUT.name} is what its sources build ({len(module)} bytes)")
                    return 0
                print(
                    f"{OUTPUT.name} differs from its sources; build it again and commit it",
                    file=sys.stderr,
                )
                return 1
            fresh = OUTPUT.with_suffix(".new")
            fresh.write_bytes(module)
            fresh.replace(OUTPUT)  # a reader sees the old module or the new one, never half of one
            # The linker's index of call sites belongs to these bytes; without it every process looks for them again.
            _run([sys.executable, "-m", "cupcake.engine.wasm.image"], cwd=HERE)
    except BuildError as error:
        print(f"the runtime was not built: {error}", file=sys.stderr)
        return 1
    print(f"{OUTPUT.name}: {len(module)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
