"""`cupcake rego plan`: the intermediate representation of policies, for reading or in the form of OPA's plan.json."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.files import Loaded
from cupcake.engine.cli.options import (
    DONE,
    Parser,
    Version,
    allowed_builtins,
    common,
    compiling,
    ignoring,
    load_given,
    parse_all,
    switch,
    version_of,
)
from cupcake.engine.cli.schema_files import load_schemas
from cupcake.engine.cli.verifying import verifying
from cupcake.engine.plan import ir

if TYPE_CHECKING:
    from cupcake.engine.rego.checked import Checked
    from cupcake.engine.rego.schemas import Schemas


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "plan",
        parents=[common(), ignoring(), compiling(), verifying()],
        help=help,
        description="Print the intermediate representation that policies compile to.",
        epilog="Exit codes: 0 done, 1 errors, 2 wrong usage.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="policy or data file, or folder")
    parser.add_argument(
        "-e", "--entrypoint", action="append", required=True, help="rule to evaluate, a/b/c"
    )
    switch(parser, "-b", "--bundle", help="read each PATH as a bundle's file or folder")
    parser.add_argument(
        "-f",
        "--format",
        choices=["pretty", "json"],
        default="pretty",
        help="json is the form of `opa build -t plan`",
    )
    switch(parser, "--places", help="pretty: show file:row:col")
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints the plan."""
    from cupcake.engine.plan.pretty import pretty

    loaded = load_given(options)
    checked = checked_policy(
        loaded,
        version_of(options),
        allowed=allowed_builtins(options),
        schemas=load_schemas(options.schema),
    )
    policy = planned(checked, options.entrypoint)
    if options.format == "json":
        print(json.dumps(plain_form(policy), indent=2))
    else:
        print(pretty(policy, places=options.places), end="")
    return DONE


def checked_policy(
    loaded: Loaded,
    version: Version,
    *,
    strict: bool = False,
    allowed: frozenset[str] | None = None,
    schemas: Schemas | None = None,
    prints: bool = False,
) -> Checked:
    """The policies, checked; with `prints` what they print is left in. Raises CompileErrors."""
    from cupcake.engine.builtins.libraries import absent_libraries
    from cupcake.engine.prints import PRINT
    from cupcake.engine.rego.compile import check

    return check(
        parse_all(loaded, version),
        data_paths=loaded.data,
        absent=absent_libraries(),
        strict=strict,
        sources=loaded.modules,
        allowed=allowed,
        schemas=schemas,
        extra_builtins=[PRINT],
        prints=prints,
    )


def planned(checked: Checked, entrypoints: Sequence[str]) -> ir.Policy:
    """The policy's IR, without its data. EngineError for an entrypoint that there is not."""
    from cupcake.engine.entrypoints import known_entrypoints
    from cupcake.engine.plan.planner import plan

    return plan(checked, known_entrypoints(checked, entrypoints))


def plain_form(policy: ir.Policy) -> dict[str, Any]:
    """As OPA's plan.json: its statements only, and without the base document, which a bundle holds beside the plan."""
    from cupcake.engine.builtins.registry import REGISTRY, type_to_json
    from cupcake.engine.builtins.types import FunctionOf
    from cupcake.engine.plan.expand import expand
    from cupcake.engine.plan.json_form import PREFIX, to_json

    form = to_json(expand(policy))
    form.pop(PREFIX + "data", None)
    for declared in form["static"]["builtin_funcs"]:
        builtin = REGISTRY.get(declared["name"])
        if builtin is not None:
            declared["decl"] = type_to_json(FunctionOf(builtin.args, builtin.result))
    for function in form["funcs"]["funcs"]:
        function.pop(PREFIX + "conflict", None)
    return form
