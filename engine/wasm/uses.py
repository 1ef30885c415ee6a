"""Which locals of a function are ever read: what is only written need not be made. Pure; it changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cupcake.engine.plan import ir

# Fields that read a local, by statement. An operand counts when it is a LocalOperand.
_READS: Mapping[type, tuple[str, ...]] = MappingProxyType(
    {
        ir.ArrayAppendStmt: ("value", "array"),
        ir.AssignVarOnceStmt: ("source", "target"),
        ir.AssignVarStmt: ("source",),
        ir.CallStmt: ("args",),
        ir.CallDynamicStmt: ("args", "path"),
        ir.DotStmt: ("source", "key"),
        ir.EqualStmt: ("a", "b"),
        ir.NotEqualStmt: ("a", "b"),
        ir.IsArrayStmt: ("source",),
        ir.IsObjectStmt: ("source",),
        ir.IsSetStmt: ("source",),
        ir.IsDefinedStmt: ("source",),
        ir.IsUndefinedStmt: ("source",),
        ir.LenStmt: ("source",),
        ir.ObjectInsertOnceStmt: ("key", "value", "object"),
        ir.ObjectInsertStmt: ("key", "value", "object"),
        ir.ObjectMergeStmt: ("a", "b"),
        ir.ResultSetAddStmt: ("value",),
        ir.ReturnLocalStmt: ("source",),
        ir.ScanStmt: ("source",),
        ir.SetAddStmt: ("value", "set"),
        ir.WithStmt: ("value", "local"),
        ir.SwitchStmt: ("source",),
    }
)


def read_locals(blocks: Iterable[ir.Block]) -> frozenset[int]:
    """Every local that some statement in the blocks reads."""
    found: set[int] = set()
    work = list(blocks)
    while work:
        for stmt in work.pop().stmts:
            for name in _READS.get(type(stmt), ()):
                value = getattr(stmt, name)
                for item in value if isinstance(value, tuple) else (value,):
                    if isinstance(item, int):
                        found.add(item)
                    elif isinstance(item, ir.LocalOperand):
                        found.add(item.local)
            match stmt:
                case ir.BlockStmt():
                    work += stmt.blocks
                case ir.NotStmt() | ir.ScanStmt() | ir.WithStmt():
                    work.append(stmt.block)
                case ir.SwitchStmt():
                    work += (block for _, block in stmt.cases)
                    work.append(stmt.default)
    return frozenset(found)
