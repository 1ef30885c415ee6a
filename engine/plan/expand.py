"""Rewrites our two extensions of the IR into OPA's statements, for consumers that know no others."""

from __future__ import annotations

from dataclasses import replace

from cupcake.engine.plan import ir
from cupcake.engine.plan.rewrite import map_blocks, shift_breaks, statements


def expand(policy: ir.Policy) -> ir.Policy:
    """The same policy without LoadConstStmt, SwitchStmt and constants. `data` is kept."""
    strings = {text: index for index, text in enumerate(policy.static.strings)}
    consts = policy.static.consts
    funcs = []
    for func in policy.funcs:
        work = _Expander(strings, consts, _first_free(func.blocks, func.params))
        funcs.append(replace(func, blocks=tuple(work.block(block) for block in func.blocks)))
    plans = []
    for plan in policy.plans:
        work = _Expander(strings, consts, _first_free(plan.blocks, (0, 1)))
        plans.append(ir.Plan(plan.name, tuple(work.block(block) for block in plan.blocks)))
    static = replace(policy.static, strings=tuple(strings), consts=())
    return replace(policy, static=static, plans=tuple(plans), funcs=tuple(funcs))


def _first_free(blocks: tuple[ir.Block, ...], params: tuple[int, ...]) -> int:
    used = set(params)
    for stmt in statements(blocks):
        if isinstance(stmt, ir.AssignIntStmt | ir.MakeNumberIntStmt):
            used.add(stmt.target)
            continue
        for name in (
            "target",
            "result",
            "key",
            "value",
            "source",
            "array",
            "object",
            "set",
            "a",
            "b",
        ):
            held = getattr(stmt, name, None)
            if isinstance(held, ir.LocalOperand):
                used.add(held.local)
            elif isinstance(held, int) and not isinstance(held, bool):
                used.add(held)
    return max(used) + 1


class _Expander:
    def __init__(self, strings: dict[str, int], consts: tuple[ir.Const, ...], free: int) -> None:
        self._strings = strings
        self._consts = consts
        self._free = free

    def block(self, block: ir.Block) -> ir.Block:
        """One block without extensions."""
        out: list[ir.Stmt] = []
        for stmt in block.stmts:
            match stmt:
                case ir.LoadConstStmt():
                    self._load(self._consts[stmt.index], stmt.target, stmt.place, out)
                case ir.CountStmt():
                    continue
                case ir.SwitchStmt():
                    out.append(self._switch(stmt))
                case _:
                    out.append(map_blocks(stmt, self.block))
        return ir.Block(tuple(out))

    def _local(self) -> int:
        self._free += 1
        return self._free - 1

    def _string(self, text: str) -> int:
        return self._strings.setdefault(text, len(self._strings))

    def _load(self, const: ir.Const, target: int, place: ir.Place, out: list[ir.Stmt]) -> None:
        match const:
            case None:
                out.append(ir.MakeNullStmt(target, place))
            case bool():
                out.append(ir.AssignVarStmt(ir.BoolOperand(const), target, place))
            case str():
                out.append(ir.AssignVarStmt(ir.StringOperand(self._string(const)), target, place))
            case ir.ConstNumber():
                out.append(ir.MakeNumberRefStmt(self._string(const.text), target, place))
            case ir.ConstArray():
                out.append(ir.MakeArrayStmt(len(const.items), target, place))
                for item in const.items:
                    out.append(ir.ArrayAppendStmt(self._operand(item, place, out), target, place))
            case ir.ConstSet():
                out.append(ir.MakeSetStmt(target, place))
                for item in const.items:
                    out.append(ir.SetAddStmt(self._operand(item, place, out), target, place))
            case ir.ConstObject():
                out.append(ir.MakeObjectStmt(target, place))
                for key, value in const.pairs:
                    left = self._operand(key, place, out)
                    right = self._operand(value, place, out)
                    out.append(ir.ObjectInsertStmt(left, right, target, place))

    def _operand(self, const: ir.Const, place: ir.Place, out: list[ir.Stmt]) -> ir.Operand:
        if isinstance(const, bool):
            return ir.BoolOperand(const)
        if isinstance(const, str):
            return ir.StringOperand(self._string(const))
        target = self._local()
        self._load(const, target, place, out)
        return ir.LocalOperand(target)

    def _switch(self, stmt: ir.SwitchStmt) -> ir.Stmt:
        """Tries the cases in turn; each ends the whole when it was the one, whatever became of its block."""
        place = stmt.place
        source = ir.LocalOperand(stmt.source)
        tried: list[ir.Block] = []
        for strings, block in stmt.cases:
            hit = self._local()
            tests = tuple(
                ir.Block(
                    (
                        ir.EqualStmt(source, ir.StringOperand(string), place),
                        ir.AssignVarStmt(ir.BoolOperand(True), hit, place),
                    )
                )
                for string in strings
            )
            body = shift_breaks(self.block(block), 2)
            tried.append(
                ir.Block(
                    (
                        ir.ResetLocalStmt(hit, place),
                        ir.BlockStmt(tests, place),
                        ir.IsDefinedStmt(hit, place),
                        ir.BlockStmt((body,), place),
                        ir.BreakStmt(1, place),
                    )
                )
            )
        tried.append(shift_breaks(self.block(stmt.default), 1))
        return ir.BlockStmt((ir.Block((ir.BlockStmt(tuple(tried), place),)),), place)
