"""Whole functions and plans: what stands around their statements, and which of an earlier compile serve again.

What statements become is `statements.py`'s.
"""

from __future__ import annotations

from cupcake.engine.plan import ir
from cupcake.engine.wasm import opcodes as op
from cupcake.engine.wasm.asm import Assembled
from cupcake.engine.wasm.known import UNKNOWN
from cupcake.engine.wasm.statements import FunctionWriter
from cupcake.engine.wasm.unit import Made, Unit, plan_symbol, policy_symbol
from cupcake.engine.wasm.uses import read_locals


def compile_function(unit: Unit, func: ir.Func) -> Assembled:
    """A planned function: (one i32 a parameter) -> value or 0."""
    functions, memo = unit.cache.functions, bool(unit.memo_slots)
    before = functions.get(func.name)
    if (
        before is not None
        and before.func is func
        and before.memo == memo
        and all(unit.constants.get(n, UNKNOWN) == v for n, v in before.callees.items())
    ):
        return before.code
    writer = FunctionWriter(unit, policy_symbol(func.name), func.params, func.conflict)
    code = _function(writer, func)
    functions[func.name] = Made(func, memo, writer.callees, code)
    return code


def compile_plan(unit: Unit, index: int, plan: ir.Plan) -> Assembled:
    """A plan: (input, data) -> result set."""
    conflict = "complete rules must not produce multiple outputs"
    return _plan(FunctionWriter(unit, plan_symbol(index), (0, 1), conflict), plan)


def _function(writer: FunctionWriter, func: ir.Func) -> Assembled:
    asm = writer.asm
    writer.read = read_locals(func.blocks)
    place = _first_place(func.blocks)
    if place is not None:
        writer.mark(place)
    memoized = func.name in writer.unit.memo_slots
    if memoized:
        # A frame's entry: 0 not evaluated, 1 undefined, else the value.
        asm.get_global(writer.unit.memo_global)
        asm.load(f"slot {func.name}")
        asm.tee(writer.result)
        asm.if_()
        asm.get(writer.result)
        asm.const(0)
        asm.get(writer.result)
        asm.const(1)
        asm.emit(op.I32_NE, op.SELECT, op.RETURN)
        asm.end()
    writer.exit = asm.block()
    writer.blocks(func.blocks)
    asm.end()
    if memoized:
        asm.get_global(writer.unit.memo_global)
        asm.get(writer.result)
        asm.const(1)
        asm.get(writer.result)
        asm.emit(op.SELECT)
        asm.store(f"slot {func.name}")
    asm.get(writer.result)
    return asm.finish()


def _plan(writer: FunctionWriter, plan: ir.Plan) -> Assembled:
    asm = writer.asm
    writer.is_plan = True
    writer.read = read_locals(plan.blocks)
    asm.const(0)
    writer.call("rt_set")
    asm.set(writer.result)
    writer.exit = asm.block()
    writer.blocks(plan.blocks)
    asm.end()
    asm.get(writer.result)
    return asm.finish()


def _first_place(blocks: tuple[ir.Block, ...]) -> ir.Place | None:
    for block in blocks:
        for stmt in block.stmts:
            if stmt.place.row:
                return stmt.place
            if isinstance(stmt, ir.BlockStmt):
                inner = _first_place(stmt.blocks)
                if inner is not None:
                    return inner
    return None
