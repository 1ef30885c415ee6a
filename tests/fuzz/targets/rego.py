"""Lexer, parser and the whole compiler: any text is a tree, a module or diagnostics with a place; nothing else comes out."""

from __future__ import annotations

import json
import re

import wasmtime
from driver import Finding, Target, token_mutator

from cupcake.engine import api
from cupcake.engine.api import compile_policy
from cupcake.engine.artifact import Artifact
from cupcake.engine.errors import (
    CompileErrors,
    EngineError,
    EvaluationError,
    UnknownEntrypoints,
)
from cupcake.engine.rego import ast
from cupcake.engine.rego.parser import parse_module, parse_query, parse_term
from cupcake.engine.rego.render import dump
from cupcake.engine.vm import Limits, load

TOKEN = re.compile(
    r'"(?:[^"\\\n]|\\.)*"|`[^`]*`|#[^\n]*\n?|[A-Za-z_][A-Za-z0-9_]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?'
    r"|:=|==|!=|<=|>=|[ \t\r\n]+|.",
    re.DOTALL,
)
WORDS = [
    *("package a\n", "import data.b as c\n", "import rego.v1\n", "import future.keywords.in\n", "import input.x\n"),
    *(" if ", " contains ", " every ", " some ", " in ", "not ", " with ", " as ", " else ", "default ", "null"),
    *("true", "false", "data", "input", "data.a", "input.x", "a", "b", "p", "q", "f(x)", "f(1)", "_", "x", "y", "z"),
    *(" := ", " = ", " == ", " != ", " < ", " | ", " & ", " - ", " + ", " * ", " / ", " % ", ",", ";", ":", ".", "\n"),
    *("{", "}", "[", "]", "(", ")", "[_]", "[x]", "{x | x := input[_]}", "[1, 2]", '{"a": 1}', "set()", "{}", "[]"),
    *('"s"', '"\\u00e9"', '"\\', "`r`", '$"{x}"', '$"', "0", "1", "-1", "1.5e3", "1e400", "9" * 40, "1e999999999"),
    *("\0", "\u202e", "\ufeff", "\udcff", "é", "\r\n", "\t"),
    *("# METADATA\n# scope: package\n", "# METADATA\n# title: x\n# custom: {a: [1]}\n", "# entrypoint: true\n"),
    *("count(x)", "sum([1])", 'regex.match("a+", x)', "walk(input, [p, v])", "json.patch(x, [])", "object.get(x, y, 0)"),
    *('sprintf("%d", [x])', "to_number(x)", "numbers.range(1, 9)", "rego.metadata.rule()", "time.now_ns()", "print(x)"),
    *(" with input as {} ", " with data.b as 1 ", " with count as f ", " else := 2 if { true }", "p.q[x].r contains y if "),
]  # fmt: skip
mutate = token_mutator(TOKEN, WORDS)
CODES = frozenset(
    {
        *("rego_parse_error", "rego_unsafe_var_error", "rego_type_error", "rego_recursion_error"),
        *("rego_compile_error", "rego_conflict_error"),
    }
)  # fmt: skip
LIMITS = Limits(memory_bytes=32 << 20, seconds=0.3)
INPUT = {"x": [1, 2, {"a": None}], "a": {"b": "text"}, "y": -1.5}


def text_of(data: bytes) -> str:
    """Surrogates stay in, as a caller may give them."""
    return data.decode("utf-8", "surrogateescape")


def refused(error: CompileErrors, text: str) -> None:
    """Diagnostics are complete: code, message, a place inside of the text."""
    if not error.diagnostics:
        raise Finding("no diagnostic")
    rows = text.count("\n") + 2
    for found in error.diagnostics:
        if found.code not in CODES or not found.message:
            raise Finding(f"not a diagnostic: {found!r}")
        if not (0 <= found.row <= rows and found.col >= 0):
            raise Finding(f"a place outside of the text: {found!r}")
    str(error)


def check_parser(data: bytes) -> None:
    text = text_of(data)
    for version in ("v1", "v0"):
        try:
            module = parse_module(text, "a.rego", rego_version=version)  # type: ignore[arg-type]
            dump(module)
        except CompileErrors as error:
            refused(error, text)
        try:
            parse_query(text, rego_version=version)  # type: ignore[arg-type]
        except CompileErrors as error:
            refused(error, text)
    try:
        parse_term(text)
    except CompileErrors as error:
        refused(error, text)


def package_of(text: str) -> str:
    module = parse_module(text, "a.rego")
    steps = [t.value for t in module.package.terms[1:] if isinstance(t, ast.String)]
    return "/".join(steps)


_ENGINE = wasmtime.Engine()


def is_valid(artifact: Artifact) -> None:
    for wasm in (artifact.wasm, artifact.wasm_owned):
        try:
            wasmtime.Module.validate(_ENGINE, wasm)
        except wasmtime.WasmtimeError as error:
            raise Finding(f"the module is not valid: {error}") from error


def evaluated(artifact: Artifact) -> None:
    """An answer, or an error that is no defect of ours."""
    policy = load(artifact, limits=LIMITS, quick=True)
    text = json.dumps(INPUT).encode()
    for options in (0, 1):
        try:
            found = policy.evaluate_json(artifact.entrypoints[0], text, options=options)
            json.loads(found, parse_int=str)
        except EvaluationError as error:
            if error.code == "eval_internal_error":
                raise Finding(str(error)) from error


def check_compiler(data: bytes) -> None:
    text = text_of(data)
    try:
        path = package_of(text) or "a"
        artifact = compile_policy({"a.rego": text}, data={"b": {"c": [1]}}, entrypoints=(path,))
    except UnknownEntrypoints:
        return None  # no rule has a value
    except CompileErrors as error:
        return refused(error, text)
    is_valid(artifact)
    if len(data) % 8 == 0:
        evaluated(artifact)
    if len(data) % 16 == 1:
        again = compile_policy({"a.rego": text}, data={"b": {"c": [1]}}, entrypoints=(path,))
        if again.wasm != artifact.wasm:
            raise Finding("equal input, other bytes")
    return None


def check_query(data: bytes) -> None:
    text = text_of(data)
    modules = {"a.rego": "package a\np := 1\nf(x) := x\nq contains x if some x in input.x\n"}
    try:
        api.query(text, modules, {"b": 1}, INPUT, limits=LIMITS)
    except CompileErrors as error:
        refused(error, text)
    except EvaluationError as error:
        if error.code == "eval_internal_error":
            raise Finding(str(error)) from error
    except EngineError:
        pass


TARGETS = (
    Target("parser", check_parser, mutate),
    Target("compiler", check_compiler, mutate),
    Target("query", check_query, mutate, max_size=400),
)
