"""`cupcake rego parse`: the syntax tree of one policy, as `opa parse` prints it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cupcake.engine.cli.files import LoadProblem, read_text
from cupcake.engine.cli.options import DONE, Parser, UsageError, common, version_of
from cupcake.engine.cli.output import dump


def add(commands: Any, help: str) -> Parser:
    """Adds the command."""
    parser: Parser = commands.add_parser(
        "parse",
        parents=[common()],
        help=help,
        description="Print the syntax tree of a policy.",
        epilog="Exit codes: 0 done, 1 the file cannot be read or parsed, 2 wrong usage.",
    )
    parser.add_argument("path", metavar="PATH", help="policy file")
    parser.add_argument("-f", "--format", choices=["pretty", "json"], default="pretty")
    parser.add_argument(
        "--json-include",
        metavar="WORD,...",
        default="",
        help="with -comments, comments are left out of the JSON; locations of nodes are not served",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Prints the tree."""
    from cupcake.engine.rego.ast_json import module_to_json
    from cupcake.engine.rego.metadata import shown_annotations
    from cupcake.engine.rego.parser import parse_module

    included = [word for word in options.json_include.split(",") if word]
    for word in included:
        if word not in ("comments", "-comments", "-locations"):
            raise UsageError(f"--json-include {word}: only comments and -comments are served")
    path = Path(options.path)
    if path.is_dir():
        raise LoadProblem(f"{path}: a folder; `parse` takes one policy file")
    text = read_text(path)
    module = parse_module(text, str(path), rego_version=version_of(options))
    shape = module_to_json(module, text)
    notes = [shown_annotations(one) for one in module.annotations]
    for rule, shown in zip(module.rules, shape.get("rules", ()), strict=True):
        own = [shown_annotations(one) for one in rule.annotations]
        notes += own
        if own:
            shown["annotations"] = own
    if notes:
        shape = {"package": shape.pop("package"), "annotations": notes, **shape}
    if options.format == "pretty":
        print("\n".join(_module(shape)))
    else:
        if "-comments" in included:
            shape.pop("comments", None)
        print(dump(shape, 2))
    return DONE


# -- the tree for people, one word a line, deeper by one blank for each level ----------------------


def _deeper(lines: Iterator[str]) -> Iterator[str]:
    return (f" {line}" for line in lines)


def _module(shape: dict[str, Any]) -> Iterator[str]:
    yield "module"
    yield " package"
    yield from _deeper(_deeper(_term({"type": "ref", "value": shape["package"]["path"]})))
    for one in shape.get("imports", ()):
        yield " import"
        yield from _deeper(_deeper(_term(one["path"])))
        yield f"  {one.get('alias', '')}"
    for rule in shape.get("rules", ()):
        yield from _deeper(_rule(rule))
    for _ in shape.get("annotations", ()):
        yield " annotations"
    for _ in shape.get("comments", ()):
        yield " comment"


def _rule(rule: dict[str, Any]) -> Iterator[str]:
    head = rule["head"]
    yield "rule"
    yield " head"
    yield from _deeper(_deeper(_term({"type": "ref", "value": head["ref"]})))
    if "args" in head:
        yield "  args"
        for arg in head["args"]:
            yield from _deeper(_deeper(_deeper(_term(arg))))
    if "value" in head:
        yield from _deeper(_deeper(_term(head["value"])))
    yield from _deeper(_body(rule["body"]))
    if "else" in rule:
        yield from _deeper(_rule(rule["else"]))


def _body(body: list[dict[str, Any]]) -> Iterator[str]:
    yield "body"
    for expr in body:
        negated = "negated " if expr.get("negated") else ""
        yield f" expr {negated}index={expr['index']}"
        yield from _deeper(_deeper(_terms(expr["terms"])))
        for one in expr.get("with", ()):
            yield "  with"
            yield from _deeper(_deeper(_deeper(_term(one["target"]))))
            yield from _deeper(_deeper(_deeper(_term(one["value"]))))


def _terms(terms: Any) -> Iterator[str]:
    if isinstance(terms, list):
        for term in terms:
            yield from _term(term)
    elif "symbols" in terms:
        yield "somedecl"
        for symbol in terms["symbols"]:
            yield from _deeper(_term(symbol))
    elif "domain" in terms:
        yield "every"
        for name in ("key", "value", "domain"):
            if terms[name] is not None:
                yield from _deeper(_term(terms[name]))
        yield from _deeper(_body(terms["body"]))
    else:
        yield from _term(terms)


def _term(term: dict[str, Any]) -> Iterator[str]:
    kind, value = term["type"], term["value"]
    match kind:
        case "ref" | "call" | "array" | "set":
            yield kind
            for item in value:
                yield from _deeper(_term(item))
        case "object":
            yield kind
            for pair in value:
                for item in pair:
                    yield from _deeper(_term(item))
        case "arraycomprehension" | "setcomprehension" | "objectcomprehension":
            yield kind
            for name in ("key", "value", "term"):
                if name in value:
                    yield from _deeper(_term(value[name]))
            yield from _deeper(_body(value["body"]))
        case "var":
            yield "_" if value.startswith("$") else value
        case "string":
            yield json.dumps(value, ensure_ascii=False)
        case "null" | "boolean" | "number":
            yield "null" if kind == "null" else dump(value)
        case _:
            yield kind
