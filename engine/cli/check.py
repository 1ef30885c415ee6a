"""`cupcake rego check`: every error of policies, with carets or in the shape of `opa check --format json`."""

from __future__ import annotations

import argparse
from typing import Any

from cupcake.engine.cli.files import Loaded, LoadProblem, load_bundles, policy_files
from cupcake.engine.cli.options import (
    DONE,
    NO,
    Parser,
    Version,
    allowed_builtins,
    common,
    compiling,
    ignoring,
    parse_all,
    switch,
    version_of,
)
from cupcake.engine.cli.schema_files import load_schemas
from cupcake.engine.errors import CompileErrors, Diagnostic


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "check",
        parents=[common(), ignoring(), compiling()],
        help=help,
        description="Parse and compile policies and show every error, with its line and a caret.",
        epilog="Exit codes: 0 no error, 1 errors, 2 wrong usage.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy file or folder")
    switch(parser, "-b", "--bundle", help="read each PATH as a bundle's file or folder")
    switch(
        parser,
        "-S",
        "--strict",
        help="also unused variables and imports, and deprecated builtins",
    )
    switch(parser, "--v0-v1", help="policies must be right both as Rego v0 and as Rego v1")
    parser.add_argument(
        "-m",
        "--max-errors",
        type=int,
        default=0,
        metavar="N",
        help="show at most N errors (default: all)",
    )
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints nothing when all is well."""
    if options.bundle:
        loaded = load_bundles(options.paths, options.ignore)
    else:
        loaded = Loaded(policy_files(options.paths, options.ignore))
    if not loaded.modules:
        raise LoadProblem(f"no .rego file in {', '.join(options.paths)}")
    versions: tuple[Version, ...] = ("v0", "v1") if options.v0_v1 else (version_of(options),)
    for version in versions:
        found = _errors(loaded, version, options)
        if found:
            _print(found, options)
            return NO
    return DONE


def _errors(
    loaded: Loaded, version: Version, options: argparse.Namespace
) -> tuple[Diagnostic, ...]:
    from cupcake.engine.builtins.libraries import absent_libraries
    from cupcake.engine.rego.compile import check

    try:
        check(
            parse_all(loaded, version),
            sources=loaded.modules,
            data_paths=loaded.data,
            strict=options.strict,
            absent=absent_libraries(),
            allowed=allowed_builtins(options),
            schemas=load_schemas(options.schema),
        )
    except CompileErrors as errors:
        return errors.diagnostics
    return ()


def _print(found: tuple[Diagnostic, ...], options: argparse.Namespace) -> None:
    from cupcake.engine.cli import print_diagnostics
    from cupcake.engine.cli.output import diagnostic_json, errors_json

    if options.format == "json":
        limit = options.max_errors or len(found)
        shapes = [diagnostic_json(d) for d in found[:limit]]
        if len(found) > limit:
            shapes.append({"message": "error limit reached", "code": "rego_compile_error"})
        print(errors_json(shapes))
    else:
        print_diagnostics(found, options.max_errors)
