"""The decoder of WebAssembly modules, foreign modules in the VM, and the reader of plans."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence

import wasmtime
from driver import Finding, Target, mutate_bytes, token_mutator

from cupcake.engine.api import compile_policy
from cupcake.engine.errors import EngineError, EvaluationError, LoadError
from cupcake.engine.plan.json_form import PlanFormatError, from_json, to_json
from cupcake.engine.plan.planner import plan
from cupcake.engine.plan.verify import IRError, verify
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.parser import parse_module
from cupcake.engine.vm import Limits, load
from cupcake.engine.wasm.assemble import assemble
from cupcake.engine.wasm.decode import decode, references
from cupcake.engine.wasm.encode import encode
from cupcake.engine.wasm.errors import WasmError

SOURCE = """package a
p if input.x == data.k
q contains x if some x in input.xs
r := sprintf("%d", [count(q)])
s[x] := y if some x, y in input.o
t := regex.match("a+b", input.s)
"""
_ENGINE = wasmtime.Engine()
LIMITS = Limits(memory_bytes=16 << 20, seconds=0.2)


@functools.cache
def module() -> bytes:
    return compile_policy({"a.rego": SOURCE}, {"k": 1}, ("a/p", "a/q", "a/r")).wasm


@functools.cache
def small_modules() -> Sequence[bytes]:
    texts = (
        '(module (import "env" "memory" (memory 1)) (func (export "f") (param i32) (result i32) local.get 0))',
        "(module (type (func (result i32))) (table 2 funcref) (elem (i32.const 0) 0 0)"
        " (func (result i32) i32.const 0 call_indirect (type 0)))",
        '(module (memory 1 2) (data (i32.const 8) "abc") (global (mut i32) (i32.const 7))'
        " (func (local i64 f64) block br_table_end end) )".replace("br_table_end", ""),
        '(module (func (export "g") (block (loop (br_table 0 1 (i32.const 3))))) (start 0))',
    )
    return [bytes(wasmtime.wat2wasm(text)) for text in texts]


def check_decoder(data: bytes) -> None:
    try:
        found = decode(data)
        for code in found.codes:
            list(references(code.body))
    except WasmError:
        return
    again = encode(found)
    if decode(again) != found:
        raise Finding("encoding what was decoded gives another module")


def check_foreign(data: bytes) -> None:
    """Mutated modules run, or are refused; the VM stays within its limits."""
    try:
        policy = load(data, limits=LIMITS, quick=True)
        for entrypoint in policy.entrypoints[:2]:
            policy.evaluate(entrypoint, {"x": 1})
    except (LoadError, EvaluationError):
        pass


@functools.cache
def plans() -> Sequence[bytes]:
    checked = check([parse_module(SOURCE, "a.rego")])
    return [json.dumps(to_json(plan(checked, ["a/p", "a/q", "a/r"], None))).encode()]


def check_plan(data: bytes) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        policy = from_json(document)
        verify(policy)
        artifact = assemble(policy)
    except (PlanFormatError, IRError, EngineError):
        return
    try:
        wasmtime.Module.validate(_ENGINE, artifact.wasm)
    except wasmtime.WasmtimeError as error:
        raise Finding(f"the module is not valid: {error}") from error


JSON_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[a-z]+|\s+|.', re.DOTALL
)
PLAN_WORDS = [
    *("0", "1", "-1", "7", "99999999999", "1.5", "null", "true", "[]", "{}", '"local"', '"string_index"', '"bool"'),
    *('"CallStmt"', '"ScanStmt"', '"BlockStmt"', '"BreakStmt"', '"WithStmt"', '"NotStmt"', '"AssignVarStmt"', ","),
    *('"type"', '"value"', '"stmt"', '"stmts"', '"blocks"', '"source"', '"target"', '"func"', '"args"', '"index"'),
]  # fmt: skip

TARGETS = (
    Target("decoder", check_decoder, mutate_bytes, lambda: [*small_modules(), module()], 1 << 17),
    Target("foreign", check_foreign, mutate_bytes, lambda: [*small_modules(), module()], 1 << 17),
    Target("plan", check_plan, token_mutator(JSON_TOKEN, PLAN_WORDS), plans, 1 << 16),
)
