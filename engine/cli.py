"""`cupcake rego eval|check|build`: Rego on its own, with `opa`'s flags and output shapes where they exist.

Exit codes: 0 done, 1 diagnostics, an evaluation error, or (with --fail) an undefined result, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cupcake.engine.errors import CompileErrors, Diagnostic, EngineError

Version: TypeAlias = Literal["v0", "v1"]

MAX_FILE = 64 * 1024 * 1024


class UsageError(Exception):
    """A file or argument that cannot be used; the message names it."""


def main(argv: list[str]) -> int:
    """`argv` starts with the word `rego`."""
    parser = argparse.ArgumentParser(
        prog="cupcake rego", description="Rego on its own: no daemon, no OPA."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="eval|check|build")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--v0-compatible", action="store_true", help="read policies as Rego v0")
    evaluate = commands.add_parser("eval", parents=[common], help="evaluate a query")
    evaluate.add_argument("query")
    evaluate.add_argument(
        "-d",
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="policy or data file, or a folder of them",
    )
    evaluate.add_argument("-i", "--input", metavar="FILE", help="input document (JSON)")
    evaluate.add_argument(
        "-I", "--stdin-input", action="store_true", help="input document from stdin"
    )
    evaluate.add_argument(
        "-f", "--format", choices=["json", "values", "bindings", "raw", "pretty"], default="json"
    )
    evaluate.add_argument("--fail", action="store_true", help="exit 1 when the result is undefined")
    evaluate.add_argument(
        "--strict-builtin-errors", action="store_true", help="a builtin's error ends the evaluation"
    )
    check = commands.add_parser("check", parents=[common], help="show every error of policies")
    check.add_argument("paths", nargs="+", metavar="PATH")
    check.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    build = commands.add_parser(
        "build", parents=[common], help="compile to an OPA bundle or a .wasm module"
    )
    build.add_argument("paths", nargs="+", metavar="PATH")
    build.add_argument(
        "-e", "--entrypoint", action="append", required=True, help="rule to evaluate, a/b/c"
    )
    build.add_argument(
        "-o",
        "--output",
        default="bundle.tar.gz",
        help="FILE.tar.gz or FILE.wasm (default bundle.tar.gz)",
    )
    options = parser.parse_args(argv[1:])
    try:
        return {"eval": _eval, "check": _check, "build": _build}[options.command](options)
    except UsageError as error:
        print(f"cupcake rego: {error}", file=sys.stderr)
        return 2
    except CompileErrors as errors:
        print_diagnostics(errors.diagnostics)
        return 1
    except (EngineError, OSError) as error:
        print(f"cupcake rego: {error}", file=sys.stderr)
        return 1


def print_diagnostics(diagnostics: tuple[Diagnostic, ...]) -> None:
    for diagnostic in diagnostics:
        print(diagnostic.render(), file=sys.stderr)
    count = len(diagnostics)
    print(f"{count} error{'s' if count != 1 else ''}", file=sys.stderr)


def _walk(paths: list[str]) -> Iterator[Path]:
    for name in paths:
        path = Path(name)
        if path.is_dir():
            yield from sorted(
                p
                for p in path.rglob("*")
                if p.suffix in (".rego", ".json", ".yaml", ".yml") and p.is_file()
            )
        elif path.is_file():
            yield path
        else:
            raise UsageError(f"{name}: no such file or folder")


def _read(path: Path) -> str:
    data = path.read_bytes()
    if len(data) > MAX_FILE:
        raise UsageError(f"{path} is {len(data)} bytes, at most {MAX_FILE} are read")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8") from None


def parse_json(text: str, name: str) -> Any:
    """JSON with exact numbers (int, Decimal). Raises UsageError with the place."""
    try:
        return json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise UsageError(f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{name}: nested too deeply") from None


def load_files(paths: list[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """(policy texts by name, base document). JSON files merge into the root of the base document, as `opa` does."""
    modules: dict[str, str] = {}
    data: dict[str, Any] = {}
    for path in _walk(paths):
        if path.suffix == ".rego":
            modules[str(path)] = _read(path)
        else:
            if path.suffix in (".yaml", ".yml"):
                from cupcake.engine.policy.yaml_text import YamlProblem, parse_yaml

                try:
                    document = parse_yaml(_read(path)).value
                except YamlProblem as problem:
                    raise UsageError(f"{path}:{problem.row}: not YAML: {problem}") from None
            else:
                document = parse_json(_read(path), str(path))
            if not isinstance(document, dict):
                raise UsageError(f"{path}: the base document must be an object")
            _merge(data, document, str(path))
    return modules, data


def _merge(into: dict[str, Any], new: dict[str, Any], name: str) -> None:
    for key, value in new.items():
        if key not in into:
            into[key] = value
        elif isinstance(into[key], dict) and isinstance(value, dict):
            _merge(into[key], value, name)
        else:
            raise UsageError(f"{name}: `{key}` is in another data file already")


def _eval(options: argparse.Namespace) -> int:
    from cupcake.engine.api import query
    from cupcake.engine.rego.ast import Expr, Term
    from cupcake.engine.rego.parser import parse_query

    version: Version = "v0" if options.v0_compatible else "v1"
    modules, data = load_files(options.data)
    document = None
    given = bool(options.stdin_input or options.input)
    if options.stdin_input:
        document = parse_json(sys.stdin.read(), "<stdin>")
    elif options.input:
        document = parse_json(_read(Path(options.input)), options.input)
    body = parse_query(options.query, rego_version=version)

    def is_value(expr: Expr) -> bool:
        return isinstance(expr.kind, Term) and not expr.negated

    # A bare term gets a variable, so that its value (also `false`) can be shown.
    texts = [options.query[e.loc.offset : e.loc.end].strip().rstrip(";").strip() for e in body]
    asked = "; ".join(
        f"__value{i}__ = {text}" if is_value(expr) else text
        for i, (expr, text) in enumerate(zip(body, texts, strict=True))
    )
    results = query(
        asked,
        modules,
        data,
        document,
        # A null document is an input; None would mean that there is none.
        input_term="null" if given and document is None else None,
        rego_version=version,
        strict_builtin_errors=options.strict_builtin_errors,
    )
    shaped = []
    for bindings in results:
        expressions = [
            {
                "value": bindings.get(f"__value{i}__", True),
                "text": text,
                "location": {"row": expr.loc.row, "col": expr.loc.col},
            }
            for i, (expr, text) in enumerate(zip(body, texts, strict=True))
        ]
        named = {k: v for k, v in bindings.items() if not k.startswith("__value")}
        shaped.append({"expressions": expressions, **({"bindings": named} if named else {})})
    _print_results(shaped, options.format)
    return 1 if options.fail and not shaped else 0


class _Encoder(json.JSONEncoder):
    """Decimals keep every digit."""

    def default(self, o: Any) -> Any:
        if isinstance(o, Decimal):
            return int(o) if o == o.to_integral_value() else float(o)
        return super().default(o)


def _dump(value: Any, **options: Any) -> str:
    return json.dumps(value, cls=_Encoder, ensure_ascii=False, **options)


def _print_results(results: list[dict[str, Any]], form: str) -> None:
    values = [[e["value"] for e in r["expressions"]] for r in results]
    match form:
        case "json":
            print(_dump({"result": results} if results else {}, indent=2))
        case "values":
            print(_dump([v[0] if len(v) == 1 else v for v in values], indent=2))
        case "bindings":
            print(_dump([r.get("bindings", {}) for r in results], indent=2))
        case "raw":
            for row in values:
                print(
                    " ".join(
                        v if isinstance(v, str) else _dump(v, separators=(",", ":")) for v in row
                    )
                )
        case _:
            if not results:
                print("undefined")
            for result, row in zip(results, values, strict=True):
                if "bindings" in result:
                    for name, value in result["bindings"].items():
                        print(f"{name} = {_dump(value)}")
                else:
                    for value in row:
                        print(_dump(value, indent=2))


def _check(options: argparse.Namespace) -> int:
    modules = {str(p): _read(p) for p in _walk(options.paths) if p.suffix == ".rego"}
    if not modules:
        raise UsageError(f"no .rego file in {', '.join(options.paths)}")
    try:
        check_modules(modules, "v0" if options.v0_compatible else "v1")
    except CompileErrors as errors:
        if options.format == "json":
            print(_dump({"errors": [_as_json(d) for d in errors.diagnostics]}, indent=2))
        else:
            print_diagnostics(errors.diagnostics)
        return 1
    if options.format == "json":
        print("{}")
    return 0


def check_modules(modules: dict[str, str], version: Version) -> None:
    """Parses and checks; raises CompileErrors with the errors of all files."""
    from cupcake.engine.rego.ast import Module
    from cupcake.engine.rego.compile import check
    from cupcake.engine.rego.parser import parse_module

    parsed: list[Module] = []
    wrong: list[Diagnostic] = []
    for name, text in modules.items():
        try:
            parsed.append(parse_module(text, name, rego_version=version))
        except CompileErrors as errors:
            wrong += errors.diagnostics
    if wrong:
        raise CompileErrors(tuple(wrong))
    check(parsed, sources=modules)


def _as_json(d: Diagnostic) -> dict[str, Any]:
    """`opa check --format json`'s shape."""
    return {
        "message": d.message,
        "code": d.code,
        "location": {"file": d.file, "row": d.row, "col": d.col},
    }


def _build(options: argparse.Namespace) -> int:
    from cupcake.engine.api import compile_policy
    from cupcake.engine.bundle import write_bundle

    modules, data = load_files(options.paths)
    artifact = compile_policy(
        modules,
        data,
        tuple(options.entrypoint),
        rego_version="v0" if options.v0_compatible else "v1",
    )
    output = Path(options.output)
    if output.suffix == ".wasm":
        output.write_bytes(artifact.wasm)
    else:
        write_bundle(artifact, output)
    print(f"{output}: {output.stat().st_size} bytes, entrypoints {', '.join(artifact.entrypoints)}")
    return 0
