"""`cupcake rego build`: policies and data to an OPA bundle, a plan bundle or a bare module. Equal input gives equal bytes."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from cupcake.engine.cli.options import (
    DONE,
    Parser,
    UsageError,
    allowed_builtins,
    common,
    compiling,
    ignoring,
    load_given,
    switch,
    version_of,
)


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "build",
        parents=[common(), ignoring(), compiling()],
        help=help,
        description="Compile policies and data. The output is reproducible: equal input, equal bytes.",
        epilog="Exit codes: 0 done, 1 errors, 2 wrong usage.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy or data file, or folder")
    parser.add_argument(
        "-e",
        "--entrypoint",
        action="append",
        default=[],
        help="rule to evaluate, a/b/c; may be repeated",
    )
    switch(parser, "-b", "--bundle", help="read each PATH as a bundle's file or folder")
    parser.add_argument(
        "-t",
        "--target",
        choices=["wasm", "plan"],
        default="wasm",
        help="a WebAssembly module (default), or OPA's intermediate representation",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="bundle.tar.gz",
        help="FILE.tar.gz, or FILE.wasm or FILE.json for the bare module or plan (default bundle.tar.gz)",
    )
    parser.add_argument("-r", "--revision", default="", help="revision for the bundle's manifest")
    parser.add_argument(
        "-O",
        "--optimize",
        type=int,
        default=0,
        metavar="LEVEL",
        help="accepted for `opa`'s sake: the compiler always optimizes",
    )
    switch(parser, "-S", "--strict", help="strict mode of the compiler")
    return parser


def run(options: argparse.Namespace) -> int:
    """Builds and writes by a temporary file, so that a reader never sees half of it."""
    from dataclasses import replace

    from cupcake.engine.bundle import bundle_bytes, plan_bundle_bytes
    from cupcake.engine.cli.plan import plain_form, planned
    from cupcake.engine.documents import document
    from cupcake.engine.wasm.assemble import assemble, document_json

    if not options.entrypoint:
        raise UsageError("give at least one entrypoint, such as -e example/allow")
    output = Path(options.output)
    loaded = load_given(options)
    version = version_of(options)
    policy = planned(
        loaded,
        options.entrypoint,
        version,
        strict=options.strict,
        allowed=allowed_builtins(options),
    )
    if options.target == "plan":
        if output.suffix == ".wasm":
            raise UsageError("-t plan makes no .wasm: name a .tar.gz or .json")
        text = json.dumps(plain_form(policy), separators=(",", ":")).encode()
        data = document_json(document(loaded.data)).encode()
        content = text if output.suffix == ".json" else plan_bundle_bytes(
            text, data, loaded.modules, revision=options.revision, rego_version=version
        )  # fmt: skip
    else:
        artifact = assemble(replace(policy, data=document(loaded.data)))
        content = artifact.wasm if output.suffix == ".wasm" else bundle_bytes(
            artifact, revision=options.revision
        )  # fmt: skip
    _write(output, content)
    names = ", ".join(plan.name for plan in policy.plans)
    print(f"{output}: {len(content)} bytes, entrypoints {names}", file=sys.stderr)
    return DONE


def _write(output: Path, content: bytes) -> None:
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(output)
    finally:
        temporary.unlink(missing_ok=True)
