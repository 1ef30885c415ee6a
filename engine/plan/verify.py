"""Checks that a policy keeps the rules of the IR; run between passes in tests and before code generation in doubt.

It changes nothing. `verify` raises `IRError` that names the function (or plan) and the path to the statement.
"""

from __future__ import annotations

from collections.abc import Iterable

from cupcake.engine.plan import ir


class IRError(Exception):
    """A statement that breaks a rule of the IR; the message starts with where it is."""


def verify(policy: ir.Policy) -> None:
    """Checks indices, locals, break depths, calls and returns of the whole policy.

    A local that is read must be written by some statement before it in the same function, a parameter, or (for
    IsDefined/IsUndefined/Return/Reset/AssignVarOnce, which accept nothing) any local at all."""
    funcs: dict[str, ir.Func] = {}
    for func in policy.funcs:
        if func.name in funcs:
            raise IRError(f"{func.name}: defined twice")
        funcs[func.name] = func
    names = [plan.name for plan in policy.plans]
    if len(set(names)) != len(names):
        raise IRError(f"plans: a name is used twice: {names}")
    builtins = {decl.name for decl in policy.static.builtins}
    for plan in policy.plans:
        _Checker(policy, funcs, builtins, plan.name, {0, 1}, is_plan=True).run(plan.blocks)
    for func in policy.funcs:
        if func.params[:2] != (0, 1) or len(set(func.params)) != len(func.params):
            raise IRError(
                f"{func.name}: parameters must start with 0 and 1 and differ: {func.params}"
            )
        _Checker(policy, funcs, builtins, func.name, set(func.params), is_plan=False).run(
            func.blocks
        )
        if not _returns(func.blocks):
            raise IRError(f"{func.name}: the last block does not end in ReturnLocalStmt")


def _returns(blocks: tuple[ir.Block, ...]) -> bool:
    return bool(
        blocks and blocks[-1].stmts and isinstance(blocks[-1].stmts[-1], ir.ReturnLocalStmt)
    )


class _Checker:
    """Walks one function. `written` grows in statement order: a read of a local never written before is an error."""

    def __init__(
        self,
        policy: ir.Policy,
        funcs: dict[str, ir.Func],
        builtins: set[str],
        name: str,
        written: set[int],
        *,
        is_plan: bool,
    ) -> None:
        self.static = policy.static
        self.counters = policy.counters
        self.funcs = funcs
        self.builtins = builtins
        self.name = name
        self.written = written
        self.is_plan = is_plan
        self.path: list[str] = []
        self.depth = 0
        self.with_depths: list[int] = []

    def error(self, message: str) -> IRError:
        """The error at the current statement."""
        return IRError(f"{self.name}/{'/'.join(self.path)}: {message}")

    def run(self, blocks: Iterable[ir.Block]) -> None:
        """Checks all blocks."""
        for index, block in enumerate(blocks):
            self.block(block, str(index))

    def block(self, block: ir.Block, label: str) -> None:
        """Checks one block."""
        self.depth += 1
        self.path.append(label)
        for index, stmt in enumerate(block.stmts):
            self.path.append(f"{index}.{type(stmt).__name__}")
            self.stmt(stmt)
            self.path.pop()
        self.path.pop()
        self.depth -= 1

    def read(self, *operands: ir.Operand | int) -> None:
        """Notes reads."""
        for operand in operands:
            match operand:
                case ir.StringOperand():
                    self.string(operand.index)
                case ir.BoolOperand():
                    pass
                case _:
                    local = operand if isinstance(operand, int) else operand.local
                    if local not in self.written:
                        raise self.error(f"local {local} is read but never written before")

    def write(self, local: int) -> None:
        """Notes a write."""
        if local < 2:
            raise self.error(f"local {local} is input or data and only changed by WithStmt")
        self.written.add(local)

    def string(self, index: int) -> None:
        """Checks a string index."""
        if not 0 <= index < len(self.static.strings):
            raise self.error(f"string {index} does not exist")

    def stmt(self, stmt: ir.Stmt) -> None:
        """Checks one statement."""
        files = len(self.static.files)
        if not (0 <= stmt.place.file < files or stmt.place == ir.Place()):
            raise self.error(f"file {stmt.place.file} does not exist")
        match stmt:
            case ir.ArrayAppendStmt():
                self.read(stmt.value, stmt.array)
            case ir.AssignIntStmt() | ir.MakeNumberIntStmt():
                if not -(1 << 63) <= stmt.value < 1 << 63:
                    raise self.error(f"{stmt.value} does not fit into 64 bits")
                self.write(stmt.target)
            case ir.MakeNullStmt():
                self.write(stmt.target)
            case ir.MakeArrayStmt():
                if stmt.capacity < 0:
                    raise self.error("negative capacity")
                self.write(stmt.target)
            case ir.MakeObjectStmt() | ir.MakeSetStmt():
                self.write(stmt.target)
            case ir.AssignVarOnceStmt() | ir.AssignVarStmt():
                self.read(stmt.source)
                self.write(stmt.target)
            case ir.BlockStmt():
                self.run(stmt.blocks)
            case ir.BreakStmt():
                if not 0 <= stmt.index < self.depth:
                    raise self.error(f"break {stmt.index} leaves {self.depth} blocks")
                if self.with_depths and stmt.index >= self.depth - self.with_depths[-1]:
                    raise self.error(f"break {stmt.index} leaves a WithStmt")
            case ir.CallStmt():
                self._call(stmt)
            case ir.CallDynamicStmt():
                self.read(*stmt.path, *(arg for arg in stmt.args if arg > 1))
                self.write(stmt.result)
            case ir.DotStmt():
                self.read(stmt.source, stmt.key)
                self.write(stmt.target)
            case ir.EqualStmt() | ir.NotEqualStmt():
                self.read(stmt.a, stmt.b)
            case ir.IsArrayStmt() | ir.IsObjectStmt() | ir.IsSetStmt():
                self.read(stmt.source)
            case ir.LenStmt():
                self.read(stmt.source)
                self.write(stmt.target)
            case ir.MakeNumberRefStmt():
                self.string(stmt.index)
                self.write(stmt.target)
            case ir.NotStmt():
                self.block(stmt.block, "not")
            case ir.ObjectInsertOnceStmt() | ir.ObjectInsertStmt():
                self.read(stmt.key, stmt.value, stmt.object)
            case ir.ObjectMergeStmt():
                self.read(stmt.a, stmt.b)
                self.write(stmt.target)
            case ir.ResetLocalStmt():
                self.write(stmt.target)
            case ir.IsDefinedStmt() | ir.IsUndefinedStmt() | ir.NopStmt():
                pass
            case ir.ResultSetAddStmt():
                if not self.is_plan:
                    raise self.error("only plans add results")
                self.read(stmt.value)
            case ir.ReturnLocalStmt():
                if self.is_plan:
                    raise self.error("plans do not return")
                if self.with_depths:
                    raise self.error("return out of a WithStmt")
            case ir.ScanStmt():
                self.read(stmt.source)
                self.write(stmt.key)
                self.write(stmt.value)
                self.block(stmt.block, "scan")
            case ir.SetAddStmt():
                self.read(stmt.value, stmt.set)
            case ir.WithStmt():
                self.read(stmt.value)
                for index in stmt.path:
                    self.string(index)
                self.with_depths.append(self.depth)
                self.block(stmt.block, "with")
                self.with_depths.pop()
            case ir.LoadConstStmt():
                if not 0 <= stmt.index < len(self.static.consts):
                    raise self.error(f"constant {stmt.index} does not exist")
                self.write(stmt.target)
            case ir.SwitchStmt():
                self._switch(stmt)
            case ir.CountStmt():
                if not 0 <= stmt.counter < self.counters:
                    raise self.error(f"counter {stmt.counter} does not exist")

    def _call(self, stmt: ir.CallStmt) -> None:
        func = self.funcs.get(stmt.func)
        if func is None:
            if stmt.func not in self.builtins:
                raise self.error(f"{stmt.func} is neither a function nor a declared builtin")
        elif len(stmt.args) != len(func.params):
            raise self.error(
                f"{stmt.func} takes {len(func.params)} arguments, {len(stmt.args)} given"
            )
        elif any(not isinstance(arg, ir.LocalOperand) for arg in stmt.args[:2]):
            raise self.error("the first two arguments are the locals of input and data")
        self.read(*stmt.args)
        self.write(stmt.result)

    def _switch(self, stmt: ir.SwitchStmt) -> None:
        seen: set[int] = set()
        for number, (strings, block) in enumerate(stmt.cases):
            for index in strings:
                self.string(index)
                if index in seen:
                    raise self.error(f"string {index} is listed twice")
                seen.add(index)
            if not strings:
                raise self.error(f"case {number} lists no string")
            self.block(block, f"case{number}")
        self.block(stmt.default, "default")
