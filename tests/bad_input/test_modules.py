"""Modules of others that are damaged, lie about the ABI, run away or answer nonsense: a typed error, in bounded time and memory."""

from __future__ import annotations

import pytest
import wasmtime

from cupcake.engine import EvaluationError, Limits, LoadError, load

LIMITS = Limits(memory_bytes=16 << 20, seconds=0.2)

HEAD = """
(import "env" "memory" (memory 2))
(import "env" "opa_abort" (func $abort (param i32)))
(import "env" "opa_builtin0" (func $b0 (param i32 i32) (result i32)))
(import "env" "opa_builtin1" (func $b1 (param i32 i32 i32) (result i32)))
"""
MALLOC = """(func (export "opa_malloc") (param i32) (result i32)
  global.get $heap global.get $heap local.get 0 i32.add global.set $heap)"""
DUMP = '(func (export "opa_value_dump") (param i32) (result i32) local.get 0)'
ENTRYPOINTS = '(func (export "entrypoints") (result i32) i32.const 16)'
NAMES = '(data (i32.const 16) "{\\"a/p\\":0}\\00")'
BUILTINS = '(data (i32.const 64) "{}\\00")'
EVAL = '(func (export "opa_eval") (param i32 i32 i32 i32 i32 i32 i32) (result i32) {})'
ANSWER = EVAL.format("i32.const 80")
REST = """
(global $heap (mut i32) (i32.const 4096))
(data (i32.const 80) "[{\\"result\\":1}]\\00")
(func (export "builtins") (result i32) i32.const 64)
(func (export "opa_json_dump") (param i32) (result i32) local.get 0)
(func (export "opa_json_parse") (param i32 i32) (result i32) local.get 0)
(func (export "opa_value_parse") (param i32 i32) (result i32) local.get 0)
(func (export "opa_heap_ptr_get") (result i32) global.get $heap)
"""
COUNT = '(data (i32.const 64) "{\\"count\\":0}\\00")'


def module(
    body: str = ANSWER,
    *,
    head: str = HEAD,
    malloc: str = MALLOC,
    dump: str = DUMP,
    entrypoints: str = ENTRYPOINTS,
    names: str = NAMES,
    builtins: str = BUILTINS,
    rest: str = REST,
) -> bytes:
    """A module that is right but for what is given."""
    parts = (head, malloc, dump, entrypoints, names, builtins, rest, body)
    return bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})"))


def runs(code: str, **parts: str) -> bytes:
    return module(EVAL.format(code), **parts)


def answers(text: str) -> bytes:
    return module(f'(data (i32.const 200) "{text}\\00") {EVAL.format("i32.const 200")}')


def test_the_module_without_faults_runs() -> None:
    assert load(module(), limits=LIMITS).evaluate("a/p", {"x": 1}) == 1


RUNS_AWAY = {
    "a loop": (runs("(loop br 0) i32.const 80"), "eval_limit_time", "time limit"),
    "a loop that grows": (runs("(loop (drop (memory.grow (i32.const 1))) br 0) i32.const 80"), "eval_limit_time", "time limit"),
    "a recursion": (module("(func $r (call $r))" + EVAL.format("(call $r) i32.const 80")), "eval_limit_depth", "nests too deeply"),
    "a trap": (runs("unreachable"), "eval_internal_error", "UNREACHABLE"),
    "a division by zero": (runs("(i32.div_s (i32.const 1) (i32.const 0))"), "eval_internal_error", "DIVISION_BY_ZERO"),
    "a read outside": (runs("(i32.load (i32.const -8))"), "eval_internal_error", "OUT_OF_BOUNDS"),
    "an answer outside": (runs("i32.const -1"), "eval_internal_error", "outside of its memory"),
    "no answer": (runs("i32.const 0"), "eval_internal_error", "outside of its memory"),
    "a text without end": (
        runs("(memory.fill (i32.const 4096) (i32.const 65) (i32.const 126976)) i32.const 4096"), "eval_internal_error", "without an end"
    ),
    "brackets without end": (
        runs(
            "(memory.fill (i32.const 4096) (i32.const 91) (i32.const 100000))"
            " (i32.store8 (i32.const 104096) (i32.const 0)) i32.const 4096"
        ),
        "eval_limit_depth",
        "nests too deeply",
    ),
    "no JSON": (answers("hello"), "eval_internal_error", "no JSON"),
    "no UTF-8": (answers("[\\ff]"), "eval_internal_error", "no JSON"),
    "an object for a result set": (answers("{}"), "eval_internal_error", "no result set"),
    "numbers for results": (answers("[1]"), "eval_internal_error", "no result set"),
    "a result without its value": (answers('[{\\"x\\":1}]'), "eval_internal_error", "holds no result"),
    "an abort without text": (runs("(call $abort (i32.const 0)) i32.const 80"), "eval_internal_error", "outside of its memory"),
    "an abort with a code of its own": (
        module('(data (i32.const 200) "eval_made_up: boom\\00")' + EVAL.format("(call $abort (i32.const 200)) i32.const 80")),
        "eval_internal_error",
        "eval_made_up: boom",
    ),
    "a builtin without name": (runs("(call $b0 (i32.const 7) (i32.const 0))"), "eval_internal_error", "builtin"),
    "an operand outside": (
        runs("(call $b1 (i32.const 0) (i32.const 0) (i32.const -1))", builtins=COUNT), "eval_internal_error", "outside of its memory"
    ),
    "builtins without end": (
        runs("(loop (drop (call $b1 (i32.const 0) (i32.const 0) (i32.const 80))) br 0) i32.const 80", builtins=COUNT),
        "eval_limit_time",
        "time limit",
    ),
    "a builtin whose operand calls it": (
        runs(
            "(call $b1 (i32.const 0) (i32.const 0) (i32.const 80))",
            builtins=COUNT,
            dump='(func (export "opa_value_dump") (param i32) (result i32) (call $b1 (i32.const 0) (i32.const 0) (i32.const 80)))',
        ),
        "eval_limit_depth",
        "",
    ),
    "memory outside": (module(malloc='(func (export "opa_malloc") (param i32) (result i32) i32.const -8)'), "eval_limit_memory", "no memory"),
    "no memory": (module(malloc='(func (export "opa_malloc") (param i32) (result i32) i32.const 0)'), "eval_limit_memory", "no memory"),
    "a document that it does not read": (
        module(rest=REST.replace('"opa_json_parse") (param i32 i32) (result i32) local.get 0', '"opa_json_parse") (param i32 i32) (result i32) i32.const 0')),
        "eval_input_error",
        "cannot read a document",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS_AWAY)
def test_an_evaluation_that_goes_wrong_is_a_typed_error(name: str) -> None:
    wasm, code, message = RUNS_AWAY[name]
    policy = load(wasm, limits=LIMITS)
    with pytest.raises(EvaluationError) as caught:
        policy.evaluate("a/p", {"x": 1})
    assert caught.value.code == code
    assert message in caught.value.message


def imports(text: str) -> bytes:
    return module(head=text + HEAD)


def entrypoints(code: str) -> bytes:
    return module(entrypoints=f'(func (export "entrypoints") (result i32) {code})')


REFUSED = {
    "text": (b"(module)", "does not begin as one"),
    "nothing": (b"", "does not begin as one"),
    "another version": (b"\0asm\2\0\0\0", "does not begin as one"),
    "a component": (b"\0asm\x0d\0\1\0", "does not begin as one"),
    "garbage": (b"\0asm\1\0\0\0garbage", "cut off"),
    "half a module": (module()[:-20], "cut off"),
    "an invalid body": (runs(""), "not a valid WebAssembly module"),
    "no exports": (bytes(wasmtime.wat2wasm('(module (import "env" "memory" (memory 1)))')), "does not export builtins, .*opa_eval"),
    "more functions than anybody has": (bytes(wasmtime.wat2wasm(f"(module {'(func)' * 50_000})")), "50000 functions, the limit"),
    "a memory of its own": (module(head=HEAD.replace('(import "env" "memory" (memory 2))', "") + '(memory (export "memory") 2)'), "does not import env.memory"),
    "more memory than there is": (module(head=HEAD.replace("(memory 2)", "(memory 1000)")), "exceeds memory limits"),
    "a shared memory": (module(head=HEAD.replace("(memory 2)", "(memory 2 2 shared)")), "threads share"),
    "a memory of 64 bits": (module(head=HEAD.replace("(memory 2)", "(memory i64 2)")), "64 bits|not a valid"),
    "the system": (imports('(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'), "wasi_snapshot_preview1.proc_exit"),
    "another function of the host": (imports('(import "env" "opa_evil" (func (param i32)))'), "env.opa_evil"),
    "a global of the host": (imports('(import "env" "g" (global i32))'), "env.g"),
    "a table of the host": (imports('(import "env" "t" (table 10 funcref))'), "env.t"),
    "a builtin of another type": (module(head=HEAD.replace("(param i32 i32) (result i32)", "(param f64) (result f64)")), "env.opa_builtin0 as something else"),
    "an abort of another type": (module(head=HEAD.replace("$abort (param i32)", "$abort (param i64)")), "env.opa_abort as something else"),
    "opa_eval of other operands": (module('(func (export "opa_eval") (param i64) (result i64) local.get 0)'), "export opa_eval is no function"),
    "opa_eval that is a number": (module('(global (export "opa_eval") i32 (i32.const 1))'), "export opa_eval is no function"),
    "opa_eval that answers floats": (module(EVAL.format("f64.const nan").replace("(result i32)", "(result f64)")), "export opa_eval is no function"),
    "opa_eval without answer": (module(EVAL.format("").replace("(result i32)", "")), "export opa_eval is no function"),
    "opa_malloc without size": (module(malloc='(func (export "opa_malloc") (result i32) i32.const 4096)'), "export opa_malloc is no function"),
    "a start that traps": (module("(func $s unreachable) (start $s)" + ANSWER), "cannot be started: .*UNREACHABLE"),
    "a start without end": (module("(func $s (loop br 0)) (start $s)" + ANSWER), "cannot be started: .*time limit"),
    "a start that grows": (module("(func $s (loop (drop (memory.grow (i32.const 1))) br 0)) (start $s)" + ANSWER), "cannot be started"),
    "data that does not fit": (module('(data (i32.const 131070) "abcdef")' + ANSWER), "cannot be started: .*OUT_OF_BOUNDS"),
    "a table without measure": (module("(table 10000000 funcref)" + ANSWER), "exceeds table limits"),
    "entrypoints without end": (entrypoints("(loop br 0) i32.const 16"), "cannot be started: .*time limit"),
    "entrypoints that trap": (entrypoints("unreachable"), "cannot be started: .*UNREACHABLE"),
    "entrypoints outside": (entrypoints("i32.const -5"), "outside of its memory"),
    "entrypoints that are no JSON": (module(names='(data (i32.const 16) "nope\\00")'), "no object of names and numbers"),
    "entrypoints that are a list": (module(names='(data (i32.const 16) "[1]\\00")'), "no object of names and numbers"),
    "entrypoints without numbers": (module(names='(data (i32.const 16) "{\\"a\\":\\"x\\"}\\00")'), "no object of names and numbers"),
    "a builtin that nobody serves": (module(builtins='(data (i32.const 64) "{\\"no.such\\":0}\\00")'), r"does not serve: no\.such.*builtins="),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_is_none_of_opa_s_is_refused(name: str) -> None:
    wasm, message = REFUSED[name]
    with pytest.raises(LoadError, match=message):
        load(wasm, limits=LIMITS)


def test_a_table_that_grows_is_stopped() -> None:
    wasm = module(
        "(table $t 1 funcref)"
        + EVAL.format("(drop (table.grow $t (ref.null func) (i32.const 100000000))) i32.const 80")
    )
    assert load(wasm, limits=LIMITS).evaluate("a/p", {}) == 1  # it was told that it may not


def test_the_host_serves_on_afterwards() -> None:
    good = load(module(), limits=LIMITS)
    for wasm, _, _ in list(RUNS_AWAY.values())[:4]:
        with pytest.raises(EvaluationError):
            load(wasm, limits=LIMITS).evaluate("a/p", {})
        assert good.evaluate("a/p", {}) == 1
