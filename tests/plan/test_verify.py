"""Each rule of the IR that `verify` enforces, by a policy that breaks it."""

from __future__ import annotations

import pytest

from cupcake.engine.plan import ir
from cupcake.engine.plan.json_form import PlanFormatError, from_json
from cupcake.engine.plan.verify import IRError, verify

L = ir.LocalOperand


def policy(*stmts: ir.Stmt, plan: tuple[ir.Stmt, ...] = ()) -> ir.Policy:
    """One function `f` with these statements, then a return."""
    func = ir.Func("f", (0, 1), 2, (ir.Block(stmts), ir.Block((ir.ReturnLocalStmt(2),))))
    static = ir.Static(strings=("s",), builtins=(ir.BuiltinDecl("count"),), consts=(None,))
    return ir.Policy(static, (ir.Plan("p", (ir.Block(plan),)),), (func,))


GOOD = {
    "a body": (ir.MakeArrayStmt(0, 3), ir.CallStmt("count", (L(3),), 2)),
    "a break to the block around": (ir.BlockStmt((ir.Block((ir.BreakStmt(1),)),)),),
}

BAD: dict[str, tuple[tuple[ir.Stmt, ...], str]] = {
    "unset local": ((ir.EqualStmt(L(5), L(0)),), "local 5 is read but never written"),
    "string index": ((ir.EqualStmt(ir.StringOperand(1), L(0)),), "string 1 does not exist"),
    "constant index": ((ir.LoadConstStmt(1, 2),), "constant 1 does not exist"),
    "write to input": ((ir.MakeNullStmt(0),), "local 0 is input or data"),
    "break too far": ((ir.BreakStmt(1),), "break 1 leaves 1 blocks"),
    "unknown function": (
        (ir.CallStmt("g", (), 2),),
        "g is neither a function nor a declared builtin",
    ),
    "arity": ((ir.CallStmt("f", (L(0),), 2),), "f takes 2 arguments, 1 given"),
    "result in a function": ((ir.ResultSetAddStmt(0),), "only plans add results"),
    "break out of with": (
        (ir.WithStmt(0, (), L(1), ir.Block((ir.BreakStmt(1),))),),
        "break 1 leaves a WithStmt",
    ),
    "return out of with": (
        (ir.WithStmt(0, (), L(1), ir.Block((ir.ReturnLocalStmt(2),))),),
        "return out of a WithStmt",
    ),
    "case listed twice": (
        (ir.SwitchStmt(0, (((0,), ir.Block(())), ((0,), ir.Block(()))), ir.Block(())),),
        "string 0 is listed twice",
    ),
    "a read inside a scan": (
        (ir.ScanStmt(0, 3, 4, ir.Block((ir.DotStmt(L(9), L(3), 5),))),),
        "local 9 is read but never written",
    ),
    "file": ((ir.NopStmt(ir.Place(3, 1, 1)),), "file 3 does not exist"),
    "a row without files": ((ir.NopStmt(ir.Place(0, 1)),), "file 0 does not exist"),
    "a number of 65 bits": ((ir.MakeNumberIntStmt(1 << 63, 2),), "does not fit into 64 bits"),
}


@pytest.mark.parametrize("name", list(GOOD))
def test_accepted(name: str) -> None:
    verify(policy(*GOOD[name]))


@pytest.mark.parametrize("name", list(BAD))
def test_refused_with_its_place(name: str) -> None:
    stmts, message = BAD[name]
    with pytest.raises(IRError) as caught:
        verify(policy(*stmts))
    assert str(caught.value).startswith("f/0/0.")
    assert message in str(caught.value)


def test_a_function_must_return() -> None:
    func = ir.Func("f", (0, 1), 2, (ir.Block(()),))
    with pytest.raises(IRError, match="does not end in ReturnLocalStmt"):
        verify(ir.Policy(ir.Static(), (), (func,)))


def test_a_plan_does_not_return() -> None:
    with pytest.raises(IRError, match="plans do not return"):
        verify(policy(plan=(ir.ReturnLocalStmt(0),)))


@pytest.mark.parametrize(
    "document",
    [
        {
            "plans": {
                "plans": [{"name": "p", "blocks": [{"stmts": [{"type": "FooStmt", "stmt": {}}]}]}]
            }
        },
        {
            "plans": {
                "plans": [{"name": "p", "blocks": [{"stmts": [{"type": "DotStmt", "stmt": {}}]}]}]
            }
        },
        {"plans": {"plans": [{"blocks": []}]}},
        {
            "plans": {
                "plans": [
                    {
                        "name": "p",
                        "blocks": [{"stmts": [{"type": "BreakStmt", "stmt": {"index": 4}}]}],
                    }
                ]
            }
        },
        {"static": {"strings": 3}},
        {"static": {"cupcake:consts": [3]}},
    ],
)
def test_json_that_is_no_plan_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(PlanFormatError):
        from_json(document)
