"""`cupcake rego check`: every error of policies, with carets or in the shape of `opa check --format json`."""

from __future__ import annotations

import argparse
from typing import Any

from cupcake.engine.cli.files import Loaded, LoadProblem, load_bundles, policy_files
from cupcake.engine.cli.options import DONE, parse_all, version_of


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "check",
        parents=[common],
        help="show every error of policies",
        description="Parse and compile policies and show every error, with its line and a caret.",
        epilog="Exit codes: 0 no error, 1 errors, 2 wrong usage.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy file or folder")
    parser.add_argument(
        "-b", "--bundle", action="store_true", help="read each PATH as a bundle's file or folder"
    )
    parser.add_argument(
        "-S",
        "--strict",
        action="store_true",
        help="also unused variables and imports, and deprecated builtins",
    )
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")


def run(options: argparse.Namespace) -> int:
    """Prints nothing when all is well."""
    from cupcake.engine.builtins.libraries import absent_libraries
    from cupcake.engine.rego.compile import check

    if options.bundle:
        loaded = load_bundles(options.paths, options.ignore)
    else:
        loaded = Loaded(policy_files(options.paths, options.ignore))
    if not loaded.modules:
        raise LoadProblem(f"no .rego file in {', '.join(options.paths)}")
    parsed = parse_all(loaded, version_of(options))
    check(
        parsed,
        sources=loaded.modules,
        strict=options.strict,
        absent=absent_libraries(),
    )
    return DONE
