"""Runs IR over Python values: the oracle that tests the planner without a code generator.

Undefined statements raise `_Undefined`, breaks raise `_Break`; neither is fast nor meant to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from values import Obj, Set, number, order

from cupcake.engine.plan import ir

Builtin = Callable[..., Any]


class RegoError(Exception):
    """An evaluation error with its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class UndefinedResult(Exception):
    """A builtin has no result."""


class _Undefined(Exception):
    pass


class _Break(Exception):
    def __init__(self, depth: int) -> None:
        self.depth = depth


class _Return(Exception):
    pass


_MISSING = object()


def const_value(const: ir.Const) -> Any:
    match const:
        case ir.ConstNumber():
            return number(const.text)
        case ir.ConstArray():
            return [const_value(item) for item in const.items]
        case ir.ConstSet():
            return Set(const_value(item) for item in const.items)
        case ir.ConstObject():
            return Obj((const_value(k), const_value(v)) for k, v in const.pairs)
    return const


class Interpreter:
    """One policy; `run` evaluates one of its plans."""

    def __init__(self, policy: ir.Policy, builtins: Mapping[str, Builtin]) -> None:
        self.policy = policy
        self.builtins = builtins
        self.funcs = {func.name: func for func in policy.funcs}
        self.paths = {func.path: func for func in policy.funcs if func.path}
        self.strings = policy.static.strings
        self.consts = [const_value(const) for const in policy.static.consts]
        self.calls: list[str] = []
        self.steps = 0

    def run(self, plan: str, input_value: Any = _MISSING, data: Any = _MISSING) -> list[Any]:
        """The result set of `plan`."""
        found = next(p for p in self.policy.plans if p.name == plan)
        frame = _Frame(self, "")
        frame.results = []
        if input_value is not _MISSING:
            frame.regs[0] = input_value
        frame.regs[1] = const_value(self.policy.data) if data is _MISSING else data
        frame.blocks(found.blocks)
        return frame.results


class _Frame:
    def __init__(self, machine: Interpreter, conflict: str) -> None:
        self.m = machine
        self.regs: dict[int, Any] = {}
        self.conflict = conflict
        self.results: list[Any] = []

    # -- operands

    def get(self, operand: ir.Operand | int) -> Any:
        match operand:
            case int() | ir.LocalOperand():
                local = operand if isinstance(operand, int) else operand.local
                value = self.regs.get(local, _MISSING)
                if value is _MISSING:
                    raise _Undefined
                return value
            case ir.BoolOperand():
                return operand.value
            case ir.StringOperand():
                return self.m.strings[operand.index]

    # -- control

    def blocks(self, blocks: tuple[ir.Block, ...]) -> None:
        for block in blocks:
            self.block(block)

    def block(self, block: ir.Block) -> bool:
        """Whether the block ran to its end."""
        try:
            for stmt in block.stmts:
                self.stmt(stmt)
        except _Undefined:
            return False
        except _Break as brk:
            if brk.depth:
                raise _Break(brk.depth - 1) from None
            return False
        return True

    def call(self, func: ir.Func, args: list[Any]) -> Any:
        self.m.calls.append(func.name)
        frame = _Frame(self.m, func.conflict)
        for param, arg in zip(func.params, args, strict=True):
            if arg is not _MISSING:
                frame.regs[param] = arg
        try:
            frame.blocks(func.blocks)
        except _Return:
            pass
        return frame.regs.get(func.result, _MISSING)

    def define(self, target: int, value: Any) -> None:
        if value is _MISSING:
            raise _Undefined
        self.regs[target] = value

    # -- statements

    def stmt(self, stmt: ir.Stmt) -> None:
        self.m.steps += 1
        getattr(self, type(stmt).__name__)(stmt)

    def ArrayAppendStmt(self, s: ir.ArrayAppendStmt) -> None:
        self.get(s.array).append(self.get(s.value))

    def AssignIntStmt(self, s: ir.AssignIntStmt) -> None:
        self.regs[s.target] = s.value

    def AssignVarOnceStmt(self, s: ir.AssignVarOnceStmt) -> None:
        value = self.get(s.source)
        old = self.regs.get(s.target, _MISSING)
        if old is not _MISSING and order(old) != order(value):
            raise RegoError("eval_conflict_error", self.conflict)
        self.regs[s.target] = value

    def AssignVarStmt(self, s: ir.AssignVarStmt) -> None:
        self.regs[s.target] = self.get(s.source)

    def BlockStmt(self, s: ir.BlockStmt) -> None:
        self.blocks(s.blocks)

    def BreakStmt(self, s: ir.BreakStmt) -> None:
        raise _Break(s.index)

    def CallStmt(self, s: ir.CallStmt) -> None:
        func = self.m.funcs.get(s.func)
        if func is None:
            args = [self.get(arg) for arg in s.args]
            try:
                self.define(s.result, self.m.builtins[s.func](*args))
            except UndefinedResult:
                raise _Undefined from None
            return
        first = [self.regs.get(getattr(arg, "local", -1), _MISSING) for arg in s.args[:2]]
        self.define(s.result, self.call(func, first + [self.get(arg) for arg in s.args[2:]]))

    def CallDynamicStmt(self, s: ir.CallDynamicStmt) -> None:
        func = self.m.paths.get(tuple(self.get(part) for part in s.path))
        if func is None:
            raise _Undefined
        self.define(s.result, self.call(func, [self.regs.get(arg, _MISSING) for arg in s.args]))

    def DotStmt(self, s: ir.DotStmt) -> None:
        source, key = self.get(s.source), self.get(s.key)
        match source:
            case list():
                if isinstance(key, int) and not isinstance(key, bool) and 0 <= key < len(source):
                    self.regs[s.target] = source[key]
                    return
            case Obj():
                found = source.get(key)
                if found is not None:
                    self.regs[s.target] = found[1]
                    return
            case Set():
                if key in source:
                    self.regs[s.target] = key
                    return
        raise _Undefined

    def _need(self, holds: bool) -> None:
        if not holds:
            raise _Undefined

    def EqualStmt(self, s: ir.EqualStmt) -> None:
        self._need(order(self.get(s.a)) == order(self.get(s.b)))

    def NotEqualStmt(self, s: ir.NotEqualStmt) -> None:
        self._need(order(self.get(s.a)) != order(self.get(s.b)))

    def IsArrayStmt(self, s: ir.IsArrayStmt) -> None:
        self._need(isinstance(self.get(s.source), list))

    def IsObjectStmt(self, s: ir.IsObjectStmt) -> None:
        self._need(isinstance(self.get(s.source), Obj))

    def IsSetStmt(self, s: ir.IsSetStmt) -> None:
        self._need(isinstance(self.get(s.source), Set))

    def IsDefinedStmt(self, s: ir.IsDefinedStmt) -> None:
        self.get(s.source)

    def IsUndefinedStmt(self, s: ir.IsUndefinedStmt) -> None:
        self._need(s.source not in self.regs)

    def LenStmt(self, s: ir.LenStmt) -> None:
        source = self.get(s.source)
        self._need(isinstance(source, list | Obj | Set | str))
        self.regs[s.target] = len(source.table if isinstance(source, Obj | Set) else source)

    def MakeArrayStmt(self, s: ir.MakeArrayStmt) -> None:
        self.regs[s.target] = []

    def MakeNullStmt(self, s: ir.MakeNullStmt) -> None:
        self.regs[s.target] = None

    def MakeNumberIntStmt(self, s: ir.MakeNumberIntStmt) -> None:
        self.regs[s.target] = s.value

    def MakeNumberRefStmt(self, s: ir.MakeNumberRefStmt) -> None:
        self.regs[s.target] = number(self.m.strings[s.index])

    def MakeObjectStmt(self, s: ir.MakeObjectStmt) -> None:
        self.regs[s.target] = Obj()

    def MakeSetStmt(self, s: ir.MakeSetStmt) -> None:
        self.regs[s.target] = Set()

    def NopStmt(self, s: ir.NopStmt) -> None:
        pass

    def NotStmt(self, s: ir.NotStmt) -> None:
        self._need(not self.block(s.block))

    def ObjectInsertOnceStmt(self, s: ir.ObjectInsertOnceStmt) -> None:
        target, key, value = self.get(s.object), self.get(s.key), self.get(s.value)
        old = target.get(key)
        if old is not None and order(old[1]) != order(value):
            raise RegoError("eval_conflict_error", "object keys must be unique")
        target.put(key, value)

    def ObjectInsertStmt(self, s: ir.ObjectInsertStmt) -> None:
        self.get(s.object).put(self.get(s.key), self.get(s.value))

    def ObjectMergeStmt(self, s: ir.ObjectMergeStmt) -> None:
        self.regs[s.target] = _merge(self.get(s.a), self.get(s.b))

    def ResetLocalStmt(self, s: ir.ResetLocalStmt) -> None:
        self.regs.pop(s.target, None)

    def ResultSetAddStmt(self, s: ir.ResultSetAddStmt) -> None:
        self.results.append(self.get(s.value))

    def ReturnLocalStmt(self, s: ir.ReturnLocalStmt) -> None:
        value = self.regs.get(s.source, _MISSING)
        if value is not _MISSING:
            self.regs[s.source] = value
        raise _Return

    def ScanStmt(self, s: ir.ScanStmt) -> None:
        source = self.get(s.source)
        match source:
            case list():
                items = list(enumerate(source))
            case Obj():
                items = list(source.items())
            case Set():
                items = [(item, item) for item in source.items()]
            case _:
                raise _Undefined
        self._need(bool(items))
        for key, value in items:
            self.regs[s.key], self.regs[s.value] = key, value
            self.block(s.block)

    def SetAddStmt(self, s: ir.SetAddStmt) -> None:
        self.get(s.set).add(self.get(s.value))

    def WithStmt(self, s: ir.WithStmt) -> None:
        value = self.get(s.value)
        old = self.regs.get(s.local, _MISSING)
        self.regs[s.local] = _upsert(old, [self.m.strings[i] for i in s.path], value)
        try:
            self._need(self.block(s.block))
        finally:
            if old is _MISSING:
                self.regs.pop(s.local, None)
            else:
                self.regs[s.local] = old

    def LoadConstStmt(self, s: ir.LoadConstStmt) -> None:
        self.regs[s.target] = self.m.consts[s.index]

    def SwitchStmt(self, s: ir.SwitchStmt) -> None:
        value = self.regs.get(s.source, _MISSING)
        if isinstance(value, str):
            for strings, block in s.cases:
                if any(self.m.strings[index] == value for index in strings):
                    self.block(block)
                    return
        self.block(s.default)


def _merge(a: Any, b: Any) -> Any:
    if not isinstance(a, Obj) or not isinstance(b, Obj):
        return a
    out = b.copy()
    for key, value in a.items():
        other = out.get(key)
        out.put(key, value if other is None else _merge(value, other[1]))
    return out


def _upsert(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    out = document.copy() if isinstance(document, Obj) else Obj()
    old = out.get(path[0])
    out.put(path[0], _upsert(_MISSING if old is None else old[1], path[1:], value))
    return out
