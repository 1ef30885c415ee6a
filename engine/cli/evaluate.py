"""`cupcake rego eval`: a query, with `opa eval`'s flags, output formats and exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.effects import Session, add_options, session_of
from cupcake.engine.cli.files import Loaded, load_bundles, load_paths, merge_into, read_input
from cupcake.engine.cli.options import (
    DONE,
    NO,
    UsageError,
    Version,
    parse_all,
    version_of,
    wide_limits,
)
from cupcake.engine.cli.output import NumberText, dump, read_exact, table
from cupcake.engine.errors import EngineError, EvaluationError
from cupcake.engine.rego import ast
from cupcake.engine.solutions import HIDDEN, in_order

if TYPE_CHECKING:
    from cupcake.engine.vm import Limits

_VALUE = "__value{}__"
_CELL = 80


def add(commands: Any, common: argparse.ArgumentParser) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "eval",
        parents=[common],
        help="evaluate a query",
        description="Evaluate a Rego query and print the result.",
        epilog="Exit codes: 0 done (also when the result is undefined), 1 with --fail or --fail-defined, 2 errors.",
    )
    parser.add_argument("query", nargs="?", help="the query, such as 'data.example.allow'")
    parser.add_argument("--stdin", action="store_true", help="read the query from stdin")
    parser.add_argument(
        "-d",
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="policy or data file, or a folder of them; a.b:FILE puts data below data.a.b; may be repeated",
    )
    parser.add_argument(
        "-b", "--bundle", action="append", default=[], metavar="PATH", help="bundle file or folder"
    )
    parser.add_argument("-i", "--input", metavar="FILE", help="input document (JSON or YAML)")
    parser.add_argument(
        "-I", "--stdin-input", action="store_true", help="read the input document from stdin"
    )
    parser.add_argument(
        "-f",
        "--format",
        choices=["json", "values", "bindings", "pretty", "raw", "discard"],
        default="json",
        help="how to print the result (default json)",
    )
    parser.add_argument("--package", default="", help="the package the query is in, such as a.b")
    parser.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="REF", help="data.x [as y]"
    )
    parser.add_argument("--fail", action="store_true", help="exit 1 when the result is undefined")
    parser.add_argument(
        "--fail-defined", action="store_true", help="exit 1 when the result is defined"
    )
    parser.add_argument("-S", "--strict", action="store_true", help="strict mode of the compiler")
    parser.add_argument(
        "--strict-builtin-errors", action="store_true", help="a builtin's error ends the evaluation"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="of the evaluation (default 60)",
    )
    add_options(parser, records=True)
    parser.add_argument("--partial", "-p", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Evaluates and prints."""
    if options.partial:
        raise UsageError("--partial: there is no partial evaluation; evaluate with the whole input")
    if options.stdin and options.stdin_input:
        raise UsageError("--stdin and --stdin-input cannot both read stdin")
    if options.stdin and options.query is not None:
        raise UsageError("give the query as an argument or with --stdin, not both")
    text = sys.stdin.read() if options.stdin else options.query
    if text is None:
        raise UsageError("a query is missing: give it as an argument or with --stdin")
    loaded = load_paths(options.data, options.ignore)
    if options.bundle:
        merge_into(loaded, load_bundles(options.bundle, options.ignore))
    given, document = read_input(options.input, options.stdin_input)
    session = session_of(options)
    try:
        shaped = evaluate(
            text,
            loaded,
            (document,) if given else (),
            version=version_of(options),
            package=options.package,
            imports=options.imports,
            strict=options.strict,
            strict_builtin_errors=options.strict_builtin_errors,
            limits=wide_limits(options.timeout),
            session=session,
        )
    finally:
        session.save()
    print_results(shaped, options.format)
    failed = (options.fail and not shaped) or (options.fail_defined and shaped)
    return NO if failed else DONE


def evaluate(
    text: str,
    loaded: Loaded,
    document: tuple[Any, ...],
    *,
    version: Version,
    package: str = "",
    imports: Sequence[str] = (),
    strict: bool = False,
    strict_builtin_errors: bool = False,
    limits: Limits | None = None,
    session: Session | None = None,
) -> list[dict[str, Any]]:
    """One {"expressions", "bindings"} a solution, as `opa eval` shows them."""
    from cupcake.engine.builtins.libraries import absent_libraries
    from cupcake.engine.documents import document as base_document
    from cupcake.engine.plan.planner import plan
    from cupcake.engine.prints import PRINT, printer
    from cupcake.engine.rego.compile import check
    from cupcake.engine.rego.parser import parse_module, parse_query
    from cupcake.engine.vm import load
    from cupcake.engine.vm.policy import STRICT
    from cupcake.engine.wasm.assemble import assemble

    if not text.strip():
        raise EngineError("cannot evaluate empty query")
    parsed = parse_all(loaded, version)
    body = parse_query(text, "<query>", rego_version=version)
    imported: list[ast.Import] = []
    for one in imports:
        module = parse_module(f"package p\nimport {one}", "<import>", rego_version=version)
        imported += module.imports
    asked = _capture(body)
    checked = check(
        parsed,
        asked,
        data_paths=loaded.data,
        absent=absent_libraries(),
        strict=strict,
        query_package=package,
        query_imports=imported,
        extra_builtins=[PRINT],
        prints=True,
        sources={**loaded.modules, "<query>": text},
    )
    assert checked.query is not None
    query = in_order(checked.query)
    artifact = assemble(
        plan(checked, (), base_document(loaded.data), query=query), extra_builtins=[PRINT]
    )
    shown = {PRINT.name: printer(lambda line: print(line, file=sys.stderr))}
    artifact = replace(artifact, rego_version=version)
    allowed = None if session is None else session.effects
    policy = load(artifact, limits=limits, builtins=shown, effects=allowed, quick=True)
    given = dump(document[0]).encode() if document else b""
    flags = STRICT if strict_builtin_errors else 0
    try:
        found = policy.evaluate_json(
            artifact.entrypoints[0],
            given,
            options=flags,
            recorder=None if session is None else session.recorder,
            replay=None if session is None else session.replay,
        )
    except EvaluationError as error:
        if not error.place and "\n" not in text:
            error.place, error.col = "<query>:1", 1  # no rule was running: the query itself
        raise
    return [_shaped(bindings, body, text) for bindings in read_exact(found)]


def _capture(body: ast.Body) -> ast.Body:
    """The query with a variable for the value of every bare term. A lone one that does not iterate may also be false."""
    asked: list[ast.Expr] = []
    must_hold: list[ast.Expr] = []
    for number, expr in enumerate(body):
        term = _value_of(expr)
        if term is None:
            asked.append(expr)
            continue
        variable = ast.Var(_VALUE.format(number), expr.loc)
        asked.append(replace(expr, kind=ast.Unify(variable, term)))
        if len(body) > 1 or _iterates(term):
            must_hold.append(ast.Expr(variable, loc=expr.loc, generated=True))
    return (*asked, *must_hold)


def _iterates(node: Any) -> bool:
    """Whether a term has a ref with a variable operand, comprehensions aside."""
    match node:
        case ast.Ref(terms):
            return any(isinstance(t, ast.Var) for t in terms[1:]) or _iterates(terms)
        case ast.Call(_, args):
            return _iterates(args)
        case ast.Array(items) | ast.Set(items):
            return _iterates(items)
        case ast.Object(pairs):
            return _iterates(pairs)
        case tuple():
            return any(_iterates(item) for item in node)
        case _:
            return False


def _value_of(expr: ast.Expr) -> ast.Term | None:
    """The term whose value the expression shows."""
    from cupcake.engine.builtins.registry import REGISTRY
    from cupcake.engine.rego.resolve import dotted, is_print

    if not isinstance(expr.kind, ast.Term) or expr.negated or is_print(expr.kind):
        return None
    if isinstance(expr.kind, ast.Call):
        builtin = REGISTRY.get(dotted(expr.kind.operator))
        # `plus(1, 2, x)` captures its result itself.
        if builtin and len(expr.kind.args) > len(builtin.args) and not builtin.variadic:
            return None
    return expr.kind


def _shaped(bindings: dict[str, Any], body: ast.Body, text: str) -> dict[str, Any]:
    expressions = [
        {
            "value": bindings.get(_VALUE.format(i), True),
            "text": text[expr.loc.offset : expr.loc.end].strip().rstrip(";").strip(),
            "location": {"row": expr.loc.row, "col": expr.loc.col},
        }
        for i, expr in enumerate(body)
    ]
    named = {k: bindings[k] for k in sorted(bindings) if not k.startswith(("__value", HIDDEN))}
    return {"expressions": expressions, **({"bindings": named} if named else {})}


def print_results(results: list[dict[str, Any]], form: str) -> None:
    """The solutions on stdout."""
    values = [[e["value"] for e in r["expressions"]] for r in results]
    match form:
        case "json":
            print(dump({"result": results} if results else {}, 2))
        case "discard":
            print(dump({"result": "discarded"} if results else {}, 2))
        case "values":
            for row in values:
                print(dump(row, 2))
        case "bindings":
            for result in results:
                print(dump(result.get("bindings", {}), 2))
        case "raw":
            for row in values:
                print(" ".join(_raw(v) for v in row))
        case _:
            _print_pretty(results, values)


def _raw(value: Any) -> str:
    plain = isinstance(value, str) and not isinstance(value, NumberText)
    return str(value) if plain else dump(value)


def _print_pretty(results: list[dict[str, Any]], values: list[list[Any]]) -> None:
    if not results:
        print("undefined")
        return
    first = results[0]
    names = list(first.get("bindings", ()))
    alone = len(values[0]) == 1 or all(isinstance(v, bool) for v in values[0])
    if len(results) == 1 and not names and alone:
        print(dump(values[0][0], 2))
        return
    shown = [i for i, v in enumerate(values[0]) if not isinstance(v, bool) or not names]
    header = [*names, *(first["expressions"][i]["text"] for i in shown)]
    rows = [
        [_cell(result["bindings"][n]) for n in names] + [_cell(row[i]) for i in shown]
        for result, row in zip(results, values, strict=True)
    ]
    print(table(header, rows))


def _cell(value: Any) -> str:
    text = dump(value)
    return text if len(text) <= _CELL else text[:_CELL] + "..."
