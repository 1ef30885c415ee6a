"""Rebuilding statements: the one place that knows which fields hold blocks.

`map_blocks` rebuilds a statement with its blocks changed; `shift_breaks` adjusts breaks of code that moves to another
depth. Must not know what passes are for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cupcake.engine.plan import ir


def inner_blocks(stmt: ir.Stmt) -> Iterator[ir.Block]:
    """Blocks directly inside a statement."""
    match stmt:
        case ir.BlockStmt():
            yield from stmt.blocks
        case ir.NotStmt() | ir.ScanStmt() | ir.WithStmt():
            yield stmt.block
        case ir.SwitchStmt():
            for _, block in stmt.cases:
                yield block
            yield stmt.default
        case _:
            pass


def map_blocks(stmt: ir.Stmt, change: Callable[[ir.Block], ir.Block]) -> ir.Stmt:
    """`stmt` with `change` applied to the blocks directly inside it."""
    match stmt:
        case ir.BlockStmt():
            return ir.BlockStmt(tuple(change(block) for block in stmt.blocks), stmt.place)
        case ir.NotStmt():
            return ir.NotStmt(change(stmt.block), stmt.place)
        case ir.ScanStmt():
            return ir.ScanStmt(stmt.source, stmt.key, stmt.value, change(stmt.block), stmt.place)
        case ir.WithStmt():
            return ir.WithStmt(stmt.local, stmt.path, stmt.value, change(stmt.block), stmt.place)
        case ir.SwitchStmt():
            cases = tuple((strings, change(block)) for strings, block in stmt.cases)
            return ir.SwitchStmt(stmt.source, cases, change(stmt.default), stmt.place)
        case _:
            return stmt


def shift_breaks(block: ir.Block, by: int, depth: int = 0) -> ir.Block:
    """`block` moved `by` blocks deeper: breaks that leave it reach as far as before."""
    stmts: list[ir.Stmt] = []
    for stmt in block.stmts:
        if isinstance(stmt, ir.BreakStmt):
            stmts.append(replace(stmt, index=stmt.index + by) if stmt.index > depth else stmt)
        else:
            stmts.append(map_blocks(stmt, lambda inner: shift_breaks(inner, by, depth + 1)))
    return ir.Block(tuple(stmts))


def statements(blocks: tuple[ir.Block, ...]) -> Iterator[ir.Stmt]:
    """All statements in `blocks`, inner ones included, in order."""
    for block in blocks:
        for stmt in block.stmts:
            yield stmt
            yield from statements(tuple(inner_blocks(stmt)))
