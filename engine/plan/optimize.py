"""Passes IR -> IR that make a policy smaller without changing what it does.

Each pass is a pure function; `optimize` runs them in order. Whether a statement may be undefined decides whether it can
go: only those that always succeed are removed when nothing reads what they write.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace

from cupcake.engine.plan import ir
from cupcake.engine.plan.rewrite import inner_blocks, map_blocks, statements


def optimize(policy: ir.Policy) -> ir.Policy:
    """All passes."""
    policy = fold(policy)
    policy = share_functions(policy)
    policy = drop_unreachable(policy)
    return compact_static(policy)


# -- within functions


def fold(policy: ir.Policy) -> ir.Policy:
    """Removes comparisons of constants, what follows a certain end of its block, and writes nobody reads."""
    plans = tuple(replace(plan, blocks=_fold(plan.blocks, frozenset())) for plan in policy.plans)
    funcs = tuple(
        replace(func, blocks=_fold(func.blocks, frozenset((func.result,)))) for func in policy.funcs
    )
    return replace(policy, plans=plans, funcs=funcs)


_PURE = (
    ir.LoadConstStmt, ir.MakeArrayStmt, ir.MakeNullStmt, ir.MakeNumberIntStmt, ir.MakeNumberRefStmt,
    ir.MakeObjectStmt, ir.MakeSetStmt, ir.AssignIntStmt, ir.ResetLocalStmt,
)  # fmt: skip


def _fold(blocks: tuple[ir.Block, ...], keep: frozenset[int]) -> tuple[ir.Block, ...]:
    used = set(keep)
    for stmt in statements(blocks):
        used.update(reads(stmt))
    return tuple(_fold_block(block, used) for block in blocks)


def _fold_block(block: ir.Block, used: set[int]) -> ir.Block:
    out: list[ir.Stmt] = []
    for stmt in block.stmts:
        match stmt:
            case ir.EqualStmt() | ir.NotEqualStmt():
                holds = _compare(stmt)
                if holds is True:
                    continue
                out.append(stmt)
                if holds is False:
                    break
            case ir.NopStmt():
                pass
            case ir.BreakStmt() | ir.ReturnLocalStmt():
                out.append(stmt)
                break
            case ir.BlockStmt(blocks=()):
                pass
            case _ if isinstance(stmt, _PURE) and stmt.target not in used:
                pass
            case _:
                out.append(map_blocks(stmt, lambda inner: _fold_block(inner, used)))
    return ir.Block(tuple(out))


def _compare(stmt: ir.EqualStmt | ir.NotEqualStmt) -> bool | None:
    """Whether a comparison holds for certain, None when that is not known."""
    if isinstance(stmt.a, ir.LocalOperand) or isinstance(stmt.b, ir.LocalOperand):
        return None
    return (stmt.a == stmt.b) is isinstance(stmt, ir.EqualStmt)


def reads(stmt: ir.Stmt) -> Iterable[int]:
    """Locals that a statement reads itself (not in blocks inside it), collections that it changes included."""
    match stmt:
        case ir.AssignIntStmt() | ir.MakeNumberIntStmt() | ir.ResetLocalStmt():
            return
        case ir.AssignVarOnceStmt():
            yield stmt.target
        case ir.CallStmt():
            for arg in stmt.args:
                if isinstance(arg, ir.LocalOperand):
                    yield arg.local
            return
        case ir.CallDynamicStmt():
            yield from stmt.args
            for part in stmt.path:
                if isinstance(part, ir.LocalOperand):
                    yield part.local
            return
        case ir.WithStmt():
            yield stmt.local
        case ir.SwitchStmt() | ir.IsDefinedStmt() | ir.IsUndefinedStmt() | ir.ReturnLocalStmt():
            yield stmt.source
            return
        case ir.ScanStmt():
            yield stmt.source
            return
        case _:
            pass
    for name in ("source", "a", "b", "key", "value", "array", "object", "set"):
        held = getattr(stmt, name, None)
        if isinstance(held, ir.LocalOperand):
            yield held.local
        elif isinstance(held, int) and not isinstance(held, bool):
            yield held


# -- across functions


def calls(blocks: tuple[ir.Block, ...]) -> Iterable[str]:
    """Names called in `blocks`."""
    for stmt in statements(blocks):
        if isinstance(stmt, ir.CallStmt):
            yield stmt.func


def share_functions(policy: ir.Policy) -> ir.Policy:
    """Lets functions with the same code share one body: those that a `with` has copied but not touched."""
    names = {func.name: func for func in policy.funcs}
    if all(name.startswith("g0.") or "//" in name for name in names):
        return policy
    if any(_is_dynamic(func.blocks) for func in policy.funcs):
        return policy
    alias: dict[str, str] = {}
    first: dict[object, str] = {}
    kept: dict[str, ir.Func] = {}
    for func in _callees_first(policy.funcs, names):
        renamed = replace(func, blocks=_rename(func.blocks, alias))
        key = (renamed.params, renamed.result, renamed.blocks, renamed.conflict)
        same = first.setdefault(key, func.name)
        alias[func.name] = same
        if same == func.name:
            kept[func.name] = renamed
    plans = tuple(replace(plan, blocks=_rename(plan.blocks, alias)) for plan in policy.plans)
    funcs = tuple(kept[func.name] for func in policy.funcs if func.name in kept)
    return replace(policy, plans=plans, funcs=funcs)


def _is_dynamic(blocks: tuple[ir.Block, ...]) -> bool:
    return any(isinstance(stmt, ir.CallDynamicStmt) for stmt in statements(blocks))


def _callees_first(funcs: Iterable[ir.Func], names: Mapping[str, ir.Func]) -> list[ir.Func]:
    """Functions after those that they call; there is no recursion. Own stack: policies may nest deeply."""
    done: dict[str, ir.Func] = {}
    for func in funcs:
        stack = [(func, iter([c for c in calls(func.blocks) if c in names]))]
        while stack:
            current, rest = stack[-1]
            callee = next((c for c in rest if c not in done), None)
            if callee is None:
                done.setdefault(current.name, current)
                stack.pop()
            elif any(callee == entry.name for entry, _ in stack):
                raise ValueError(f"{callee} calls itself")
            else:
                target = names[callee]
                stack.append((target, iter([c for c in calls(target.blocks) if c in names])))
    return list(done.values())


def _rename(blocks: tuple[ir.Block, ...], alias: Mapping[str, str]) -> tuple[ir.Block, ...]:
    return tuple(_rename_block(block, alias) for block in blocks)


def _rename_block(block: ir.Block, alias: Mapping[str, str]) -> ir.Block:
    out: list[ir.Stmt] = []
    for stmt in block.stmts:
        if isinstance(stmt, ir.CallStmt):
            name = alias.get(stmt.func, stmt.func)
            out.append(stmt if name == stmt.func else replace(stmt, func=name))
        else:
            out.append(map_blocks(stmt, lambda inner: _rename_block(inner, alias)))
    return ir.Block(tuple(out))


def drop_unreachable(policy: ir.Policy) -> ir.Policy:
    """Keeps the functions that plans can reach; all that have a path when a call is dynamic."""
    names = {func.name: func for func in policy.funcs}
    todo = [name for plan in policy.plans for name in calls(plan.blocks)]
    blocks = [plan.blocks for plan in policy.plans] + [func.blocks for func in policy.funcs]
    if any(_is_dynamic(each) for each in blocks):
        todo += [func.name for func in policy.funcs if func.path]
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        if name in names and name not in reached:
            reached.add(name)
            todo.extend(calls(names[name].blocks))
    return replace(policy, funcs=tuple(func for func in policy.funcs if func.name in reached))


# -- tables


def compact_static(policy: ir.Policy) -> ir.Policy:
    """Drops strings, constants and builtins that nothing refers to; equal ones become one."""
    tables = _Tables(policy.static)
    plans = tuple(replace(plan, blocks=tables.blocks(plan.blocks)) for plan in policy.plans)
    funcs = tuple(replace(func, blocks=tables.blocks(func.blocks)) for func in policy.funcs)
    called = {name for plan in plans for name in calls(plan.blocks)}
    called.update(name for func in funcs for name in calls(func.blocks))
    static = replace(
        policy.static,
        strings=tuple(tables.strings),
        consts=tuple(tables.consts),
        builtins=tuple(decl for decl in policy.static.builtins if decl.name in called),
    )
    return replace(policy, static=static, plans=plans, funcs=funcs)


class _Tables:
    """Renumbers strings and constants by first use."""

    def __init__(self, static: ir.Static) -> None:
        self._old = static
        self.strings: dict[str, int] = {}
        self.consts: dict[ir.Const, int] = {}

    def string(self, index: int) -> int:
        """The new index of a string."""
        return self.strings.setdefault(self._old.strings[index], len(self.strings))

    def operand(self, operand: ir.Operand) -> ir.Operand:
        """An operand with its string renumbered."""
        if not isinstance(operand, ir.StringOperand):
            return operand
        index = self.string(operand.index)
        return operand if index == operand.index else ir.StringOperand(index)

    def blocks(self, blocks: tuple[ir.Block, ...]) -> tuple[ir.Block, ...]:
        """Blocks renumbered."""
        return tuple(self.block(block) for block in blocks)

    def block(self, block: ir.Block) -> ir.Block:
        """A block renumbered."""
        return ir.Block(tuple(self._stmt(stmt) for stmt in block.stmts))

    def _stmt(self, stmt: ir.Stmt) -> ir.Stmt:
        match stmt:
            case ir.LoadConstStmt():
                const = self._old.consts[stmt.index]
                return replace(stmt, index=self.consts.setdefault(const, len(self.consts)))
            case ir.MakeNumberRefStmt():
                return replace(stmt, index=self.string(stmt.index))
            case ir.CallStmt():
                return replace(stmt, args=tuple(self.operand(arg) for arg in stmt.args))
            case ir.CallDynamicStmt():
                return replace(stmt, path=tuple(self.operand(part) for part in stmt.path))
            case ir.WithStmt():
                path = tuple(self.string(index) for index in stmt.path)
                changed = replace(stmt, path=path, value=self.operand(stmt.value))
                return map_blocks(changed, self.block)
            case ir.SwitchStmt():
                cases = tuple(
                    (tuple(self.string(index) for index in strings), block)
                    for strings, block in stmt.cases
                )
                return map_blocks(replace(stmt, cases=cases), self.block)
            case _:
                pass
        changes: dict[str, ir.Operand] = {}
        for field in fields(stmt):
            held = getattr(stmt, field.name)
            if isinstance(held, ir.StringOperand):
                operand = self.operand(held)
                if operand is not held:
                    changes[field.name] = operand
        if changes:
            stmt = replace(stmt, **changes)  # type: ignore[arg-type]
        return map_blocks(stmt, self.block) if any(True for _ in inner_blocks(stmt)) else stmt
