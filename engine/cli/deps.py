"""`cupcake rego deps`: the documents and rules that a query depends on, as `opa deps` prints them."""

from __future__ import annotations

import argparse
from itertools import zip_longest
from typing import Any

from cupcake.engine.cli.files import load_bundles, load_paths, merge_into
from cupcake.engine.cli.options import DONE, Parser, common, ignoring, parse_all, version_of
from cupcake.engine.cli.output import dump, table


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "deps",
        parents=[common(), ignoring()],
        help=help,
        description="Print what a query depends on: base documents (input and data that no rule makes) and virtual ones "
        "(rules), by way of any number of rules.",
        epilog="Exit codes: 0 done, 1 errors, 2 wrong usage.",
    )
    parser.add_argument("query", help="the query, such as 'data.example.allow'")
    parser.add_argument(
        "-d",
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="policy or data file, or a folder of them; may be repeated",
    )
    parser.add_argument(
        "-b", "--bundle", action="append", default=[], metavar="PATH", help="bundle file or folder"
    )
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints the two lists."""
    from cupcake.engine.builtins.libraries import absent_libraries
    from cupcake.engine.prints import PRINT
    from cupcake.engine.rego import ast
    from cupcake.engine.rego.ast_json import term_to_json
    from cupcake.engine.rego.compile import check
    from cupcake.engine.rego.dependencies import dependencies_of
    from cupcake.engine.rego.parser import parse_query
    from cupcake.engine.rego.render import render_term

    loaded = load_paths(options.data, options.ignore)
    if options.bundle:
        merge_into(loaded, load_bundles(options.bundle, options.ignore))
    version = version_of(options)
    checked = check(
        parse_all(loaded, version),
        parse_query(options.query, "<query>", rego_version=version),
        data_paths=loaded.data,
        absent=absent_libraries(),
        extra_builtins=[PRINT],
        prints=True,
        sources={**loaded.modules, "<query>": options.query},
    )
    assert checked.query is not None
    needs = dependencies_of(checked, checked.query.body)
    virtual = [
        ast.Ref((ast.Var("data"), *(ast.String(p) if isinstance(p, str) else p for p in path)))
        for path in needs.virtual
    ]
    found: dict[str, list[ast.Ref | ast.Var]] = {"base": [*needs.base], "virtual": [*virtual]}
    if options.format == "json":
        shown = {
            name: [
                term_to_json(term)["value"]  # `input` alone is a ref of one term there
                for term in terms
            ]
            for name, terms in found.items()
            if terms
        }
        print(dump(shown, 2))
        return DONE
    columns = {
        f"{name.upper()} DOCUMENTS": [render_term(term) for term in terms]
        for name, terms in found.items()
        if terms
    }
    if columns:
        print(table(list(columns), zip_longest(*columns.values(), fillvalue="")))
    return DONE
