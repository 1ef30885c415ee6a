"""Hand-made plans, compiled and run: what each statement of the IR means.

The plans here are written down, not planned: so that a defect of the planner cannot hide one of codegen.
"""

from __future__ import annotations

from typing import Any

import pytest

from cupcake.engine.errors import EvaluationError
from cupcake.engine.plan import ir
from cupcake.engine.vm import load
from cupcake.engine.wasm.assemble import assemble
from cupcake.engine.wasm.errors import CodegenError
from cupcake.engine.wasm.image import runtime_image

STRINGS = ("result", "a", "b", "c", "1.50", "x", "conflict", "g0", "p", "q", "zz")
CONSTS: tuple[ir.Const, ...] = (
    ir.ConstArray((ir.ConstNumber("10"), ir.ConstNumber("20"))),
    ir.ConstObject((("a", ir.ConstNumber("1")), ("b", ir.ConstNumber("2")))),
    ir.ConstSet(("a", "b", "a")),
    ir.ConstArray(()),
)
IN, DATA = 0, 1
R = 9  # the local that a case leaves its result in


def L(local: int) -> ir.LocalOperand:
    return ir.LocalOperand(local)


def S(text: str) -> ir.StringOperand:
    return ir.StringOperand(STRINGS.index(text))


def block(*stmts: ir.Stmt) -> ir.Block:
    return ir.Block(stmts)


def num(value: int, target: int) -> ir.MakeNumberIntStmt:
    return ir.MakeNumberIntStmt(value, target)


def policy(
    blocks: tuple[ir.Block, ...], funcs: tuple[ir.Func, ...] = (), data: ir.Const = None
) -> ir.Policy:
    """A plan that runs `blocks`, then adds {"result": local R} when R is set."""
    final = block(
        ir.IsDefinedStmt(R),
        ir.MakeObjectStmt(8),
        ir.ObjectInsertStmt(S("result"), L(R), 8),
        ir.ResultSetAddStmt(8),
    )
    base = ir.ConstObject(()) if data is None else data
    return ir.Policy(
        ir.Static(STRINGS, consts=CONSTS), (ir.Plan("t", (*blocks, final)),), funcs, base
    )


def run(made: ir.Policy, document: object = None) -> Any:
    """The result, or "undefined"; the same from both forms of the module."""
    artifact = assemble(made)
    ours = load(artifact).evaluate("t", document)
    linked = load(artifact.wasm).evaluate("t", document)
    assert ours == linked or (not ours and not linked)
    return ours if ours or ours in (0, False, [], {}) else "undefined"


def get(target: int, key: str, source: int = IN) -> ir.DotStmt:
    return ir.DotStmt(L(source), S(key), target)


SET = num(1, R)
CASES: dict[str, tuple[ir.Block, object, object]] = {
    "dot finds a key": (block(get(R, "a")), {"a": 7}, 7),
    "dot is undefined without the key": (block(get(3, "a"), SET), {"b": 7}, "undefined"),
    "dot is undefined on a scalar": (block(get(3, "a"), SET), 5, "undefined"),
    "dot finds an array's element": (block(num(1, 3), ir.DotStmt(L(IN), L(3), R)), [5, 6], 6),
    "equal holds for equal numbers": (
        block(ir.MakeNumberRefStmt(4, 3), ir.EqualStmt(L(IN), L(3)), SET), 1.5, 1),
    "equal is undefined otherwise": (block(ir.EqualStmt(L(IN), S("a")), SET), "b", "undefined"),
    "not equal to false holds for null": (
        block(ir.NotEqualStmt(L(IN), ir.BoolOperand(False)), SET), [None], 1),
    "not equal to false is undefined for false": (
        block(get(3, "a"), ir.NotEqualStmt(L(3), ir.BoolOperand(False)), SET), {"a": False}, "undefined"),
    "not equal compares values": (block(ir.NotEqualStmt(L(IN), S("a")), SET), "a", "undefined"),
    "is array": (block(ir.IsArrayStmt(L(IN)), SET), [1], 1),
    "is array refuses an object": (block(ir.IsArrayStmt(L(IN)), SET), {}, "undefined"),
    "is object": (block(ir.IsObjectStmt(L(IN)), SET), {}, 1),
    "is set refuses an array": (block(ir.IsSetStmt(L(IN)), SET), [1], "undefined"),
    "is set takes a set": (block(ir.LoadConstStmt(2, 3), ir.IsSetStmt(L(3)), SET), None, 1),
    "a local that was never set is undefined": (block(ir.IsUndefinedStmt(5), SET), None, 1),
    "a reset local is undefined": (
        block(num(2, 5), ir.ResetLocalStmt(5), ir.IsDefinedStmt(5), SET), None, "undefined"),
    "length of an array": (block(ir.LenStmt(L(IN), R)), [1, 2, 3], 3),
    "length of an empty object is 0": (block(ir.LenStmt(L(IN), R)), {}, 0),
    "length of a number is undefined": (block(ir.LenStmt(L(IN), R)), 3, "undefined"),
    "an array is built in order": (
        block(ir.MakeArrayStmt(2, R), ir.ArrayAppendStmt(S("b"), R), ir.ArrayAppendStmt(S("a"), R)), None, ["b", "a"]),
    "a set is sorted and holds each element once": (
        block(ir.MakeSetStmt(R), *(ir.SetAddStmt(S(x), R) for x in "cabca")), None, ["a", "b", "c"]),
    "inserting again replaces the value": (
        block(ir.MakeObjectStmt(R), ir.ObjectInsertStmt(S("a"), S("b"), R), ir.ObjectInsertStmt(S("a"), S("c"), R)),
        None, {"a": "c"}),
    "inserting once takes an equal value again": (
        block(ir.MakeObjectStmt(R), *[ir.ObjectInsertOnceStmt(S("a"), S("b"), R)] * 2), None, {"a": "b"}),
    "merge prefers the first and goes deep": (
        block(get(3, "a"), get(4, "b"), ir.ObjectMergeStmt(3, 4, R)),
        {"a": {"x": {"p": 1}, "y": 1}, "b": {"x": {"q": 2}, "y": 2}}, {"x": {"p": 1, "q": 2}, "y": 1}),
    "null is a value": (block(ir.MakeNullStmt(3), ir.MakeArrayStmt(1, R), ir.ArrayAppendStmt(L(3), R)), None, [None]),
    "constants are laid out": (block(ir.LoadConstStmt(1, R)), None, {"a": 1, "b": 2}),
    "a constant set comes sorted": (block(ir.LoadConstStmt(2, R)), None, ["a", "b"]),
    "scan visits values in order": (
        block(ir.MakeArrayStmt(0, R), ir.ScanStmt(IN, 3, 4, block(ir.ArrayAppendStmt(L(4), R)))), [3, 1, 2], [3, 1, 2]),
    "scan visits an object's keys in order": (
        block(ir.MakeArrayStmt(0, R), ir.ScanStmt(IN, 3, 4, block(ir.ArrayAppendStmt(L(3), R)))),
        {"b": 1, "a": 2}, ["a", "b"]),
    "scan goes on after an undefined statement": (
        block(ir.MakeArrayStmt(0, R),
              ir.ScanStmt(IN, 3, 4, block(ir.EqualStmt(L(4), S("a")), ir.ArrayAppendStmt(L(3), R)))),
        ["a", "b", "a"], [0, 2]),
    "scan of a scalar is undefined": (block(ir.ScanStmt(IN, 3, 4, block()), SET), 5, "undefined"),
    "scan of nothing is undefined": (block(ir.ScanStmt(IN, 3, 4, block()), SET), [], "undefined"),
    "a break out of a scan ends it": (
        block(ir.MakeArrayStmt(0, R), ir.BlockStmt((block(
            ir.ScanStmt(IN, 3, 4, block(ir.ArrayAppendStmt(L(4), R), ir.BreakStmt(1)))),))), [4, 5, 6], [4]),
    "not succeeds when its block is undefined": (
        block(ir.NotStmt(block(ir.EqualStmt(L(IN), S("a")))), SET), "b", 1),
    "not is undefined when its block succeeds": (
        block(ir.NotStmt(block(ir.EqualStmt(L(IN), S("a")))), SET), "a", "undefined"),
    "an undefined block does not end the one around it": (
        block(ir.BlockStmt((block(ir.EqualStmt(L(IN), S("a")), num(2, R)), block(num(3, R))))), "b", 3),
    "break 0 ends its own block": (
        block(ir.BlockStmt((block(num(1, R), ir.BreakStmt(0), num(2, R)),))), None, 1),
    "break 1 ends the block around it": (
        block(ir.BlockStmt((block(num(1, R), ir.BlockStmt((block(ir.BreakStmt(1)),)), num(2, R)),))), None, 1),
    "with replaces the input for its block": (
        block(ir.WithStmt(IN, (), S("x"), block(ir.AssignVarStmt(L(IN), R)))), "old", "x"),
    "with restores the input": (
        block(ir.WithStmt(IN, (), S("x"), block()), ir.AssignVarStmt(L(IN), R)), "old", "old"),
    "with puts a value at a path": (
        block(ir.WithStmt(IN, (1, 2), S("x"), block(ir.AssignVarStmt(L(IN), R)))),
        {"a": {"c": 1}}, {"a": {"b": "x", "c": 1}}),
    "with leaves the original alone": (
        block(ir.WithStmt(IN, (1, 2), S("x"), block()), ir.AssignVarStmt(L(IN), R)), {"a": {"c": 1}}, {"a": {"c": 1}}),
    "an undefined with is undefined": (
        block(ir.WithStmt(IN, (), S("x"), block(ir.EqualStmt(L(IN), S("a")))), SET), "a", "undefined"),
    "a break out of with restores the input": (
        block(ir.BlockStmt((block(ir.BlockStmt((block(
            ir.WithStmt(IN, (), S("x"), block(ir.WithStmt(IN, (), S("b"), block(ir.BreakStmt(2)))))),)),
            ir.AssignVarStmt(S("c"), R)),)), ir.AssignVarStmt(L(IN), R)), "old", "old"),
    "switch takes the case of its string": (
        block(ir.SwitchStmt(IN, (((1, 2), block(num(1, R))), ((3,), block(num(2, R)))), block(num(3, R)))), "c", 2),
    "switch takes the second string of a case": (
        block(ir.SwitchStmt(IN, (((1, 2), block(num(1, R))), ((3,), block(num(2, R)))), block(num(3, R)))), "b", 1),
    "switch falls to the default for another string": (
        block(ir.SwitchStmt(IN, (((1,), block(num(1, R))),), block(num(3, R)))), "zz", 3),
    "switch falls to the default for another type": (
        block(ir.SwitchStmt(IN, (((1,), block(num(1, R))),), block(num(3, R)))), ["a"], 3),
    "switch falls to the default for an unset local": (
        block(ir.SwitchStmt(5, (((1,), block(num(1, R))),), block(num(3, R)))), "a", 3),
    "undefined in a case ends only the case": (
        block(ir.SwitchStmt(IN, (((1,), block(ir.EqualStmt(L(IN), S("b")), num(1, R))),), block()), ir.NopStmt(), SET),
        "a", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_statement(name: str) -> None:
    made, document, wanted = CASES[name]
    assert run(policy((made,)), document) == wanted


CONFLICTS = {
    "assigning a different value once": block(num(1, R), ir.AssignVarOnceStmt(S("a"), R)),
    "inserting a different value once": block(
        ir.MakeObjectStmt(R),
        ir.ObjectInsertOnceStmt(S("a"), S("b"), R),
        ir.ObjectInsertOnceStmt(S("a"), S("c"), R),
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict_ends_the_evaluation(name: str) -> None:
    with pytest.raises(EvaluationError) as caught:
        load(assemble(policy((CONFLICTS[name],)))).evaluate("t", None)
    assert caught.value.code == "eval_conflict_error"


def rule(
    name: str, *stmts: ir.Stmt, path: tuple[str, ...] = (), params: tuple[int, ...] = (0, 1)
) -> ir.Func:
    return ir.Func(name, params, 2, (block(*stmts), block(ir.ReturnLocalStmt(2))), path)


def call(name: str, result: int, *extra: ir.Operand) -> ir.CallStmt:
    return ir.CallStmt(name, (L(IN), L(DATA), *extra), result)


def test_an_undefined_rule_is_undefined_each_time_it_is_called() -> None:
    f = rule("f", ir.EqualStmt(L(IN), S("a")), num(5, 2))
    made = policy((block(call("f", 3), SET), block(ir.IsUndefinedStmt(R), call("f", 4), SET)), (f,))
    assert run(made, "b") == "undefined"
    assert run(made, "a") == 1


def test_a_function_of_three_parameters_is_not_memoized() -> None:
    f = rule("f", ir.AssignVarStmt(L(5), 2), params=(0, 1, 5))
    made = policy(
        (
            block(
                call("f", 3, S("a")),
                call("f", 4, S("b")),
                ir.MakeArrayStmt(2, R),
                ir.ArrayAppendStmt(L(3), R),
                ir.ArrayAppendStmt(L(4), R),
            ),
        ),
        (f,),
    )
    assert run(made) == ["a", "b"]


def test_memoized_rules_see_the_input_of_their_with_and_the_old_one_after_it() -> None:
    f = rule("f", ir.AssignVarStmt(L(IN), 2))
    made = policy(
        (
            block(
                ir.MakeArrayStmt(0, R),
                call("f", 3),
                ir.ArrayAppendStmt(L(3), R),
                ir.WithStmt(
                    IN,
                    (),
                    S("x"),
                    block(
                        call("f", 4),
                        ir.ArrayAppendStmt(L(4), R),
                        ir.WithStmt(
                            IN, (), S("zz"), block(call("f", 5), ir.ArrayAppendStmt(L(5), R))
                        ),
                        call("f", 6),
                        ir.ArrayAppendStmt(L(6), R),
                    ),
                ),
                call("f", 7),
                ir.ArrayAppendStmt(L(7), R),
            ),
        ),
        (f,),
    )
    assert run(made, "old") == ["old", "x", "zz", "x", "old"]


def test_a_return_out_of_with_restores_what_it_replaced() -> None:
    f = ir.Func(
        "f",
        (0, 1, 4),
        2,
        (
            block(
                ir.WithStmt(
                    IN, (), S("x"), block(ir.AssignVarStmt(L(IN), 2), ir.ReturnLocalStmt(2))
                )
            ),
        ),
    )
    g = rule("g", ir.AssignVarStmt(L(IN), 2))
    made = policy(
        (
            block(
                call("f", 3, S("a")),
                call("g", 4),
                ir.MakeArrayStmt(2, R),
                ir.ArrayAppendStmt(L(3), R),
                ir.ArrayAppendStmt(L(4), R),
            ),
        ),
        (f, g),
    )
    assert run(made, "old") == ["x", "old"]


@pytest.mark.parametrize(
    ("name", "wanted"), [("p", "a"), ("q", "b"), ("zz", "undefined"), (None, "undefined")]
)
def test_dynamic_calls_go_by_path(name: str | None, wanted: str) -> None:
    funcs = (
        rule("f", ir.AssignVarStmt(S("a"), 2), path=("g0", "p")),
        rule("g", ir.AssignVarStmt(S("b"), 2), path=("g0", "q")),
        rule("h", ir.AssignVarStmt(S("c"), 2), path=("g0", "q", "x")),
    )
    made = policy((block(ir.CallDynamicStmt((IN, DATA), R, (S("g0"), L(IN)))),), funcs)
    assert run(made, name) == wanted


def test_the_base_document_of_the_policy_is_data() -> None:
    made = policy((block(get(R, "a", DATA)),), data=ir.ConstObject((("a", ir.ConstNumber("3")),)))
    assert load(assemble(made)).evaluate("t") == 3


def test_sdks_may_bring_their_own_base_document() -> None:
    made = policy((block(get(R, "a", DATA)),), data=ir.ConstObject((("a", ir.ConstNumber("3")),)))
    # Bare bytes come without a document: the loader gives {}, which hides the policy's own.
    assert not load(assemble(made).wasm).evaluate("t")


def test_equal_policies_give_equal_bytes() -> None:
    first, second = assemble(policy((block(SET),))), assemble(policy((block(SET),)))
    assert (first.wasm, first.wasm_owned, first.core) == (
        second.wasm,
        second.wasm_owned,
        second.core,
    )


def test_blocks_nested_too_deeply_are_refused_with_the_function_s_name() -> None:
    inner = block(SET)
    for _ in range(400):
        inner = block(ir.NotStmt(inner))
    with pytest.raises(CodegenError, match=r"plan:0 nests more than \d+ blocks"):
        assemble(policy((inner,)))


def test_too_many_locals_are_refused() -> None:
    many = block(*(num(1, 100 + i) for i in range(50_001)))
    with pytest.raises(CodegenError, match="locals"):
        assemble(policy((many,)))


def test_an_unknown_function_is_refused_by_name() -> None:
    with pytest.raises(CodegenError, match=r"no\.such\.thing"):
        assemble(policy((block(ir.CallStmt("no.such.thing", (), R)),)))


def test_only_reached_functions_of_the_runtime_are_linked() -> None:
    from cupcake.engine.wasm.decode import decode

    small = decode(assemble(policy((block(SET),))).wasm)
    assert len(small.codes) < len(runtime_image().module.codes)


def test_endless_recursion_is_a_limit_and_no_crash() -> None:
    # Rego has no recursion; the sandbox must hold all the same.
    f = rule("f", call("f", 3, L(5)), ir.AssignVarStmt(L(3), 2), params=(0, 1, 5))
    with pytest.raises(EvaluationError) as caught:
        load(assemble(policy((block(call("f", R, S("a"))),), (f,)))).evaluate("t", None)
    assert caught.value.code == "eval_limit_depth"


def test_a_loop_of_withs_uses_its_memo_frames_again() -> None:
    f = rule("f", ir.AssignVarStmt(L(IN), 2))
    body = block(ir.WithStmt(IN, (), L(4), block(call("f", 5), ir.ArrayAppendStmt(L(5), R))))
    made = policy((block(ir.MakeArrayStmt(0, R), ir.ScanStmt(IN, 3, 4, body)),), (f,))
    numbers = list(range(3000))
    assert run(made, numbers) == numbers
