"""A cursor that builds nested blocks of statements for one function or plan.

Statements go to the innermost open block. Opening a scan moves the cursor into the scan's block, where the rest of
the body is then emitted; `capture` ... `finish` cut out a region as a `Block` with all scans in it closed. This file
must not know about Rego terms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.plan import ir
from cupcake.engine.plan.pool import Pool
from cupcake.engine.rego import ast

MAX_NESTING: Final = 150


class PlanError(CompileErrors):
    """A policy that cannot be planned: nested too deeply, or checked AST that breaks a promise of CHECKED.md."""

    def __init__(self, message: str, file: str = "", row: int = 0, col: int = 0) -> None:
        super().__init__((Diagnostic("rego_compile_error", message, file, row, col),))

    @classmethod
    def at(cls, message: str, loc: ast.Location) -> PlanError:
        """The error at a place in the source."""
        return cls(message, loc.file, loc.row, loc.col)


@dataclass(slots=True)
class _Frame:
    """One open block; `scan` holds (source, key, value, place) when the block belongs to a ScanStmt."""

    stmts: list[ir.Stmt] = field(default_factory=list)
    scan: tuple[ir.Local, ir.Local, ir.Local, ir.Place] | None = None


class Emitter:
    """Locals and open blocks of the function being planned."""

    def __init__(self, pool: Pool, params: int = 2) -> None:
        self.pool = pool
        self.place = ir.Place()
        self.locals = params
        self._frames: list[_Frame] = []

    # -- locals and statements

    def local(self) -> ir.Local:
        """A fresh local."""
        number = self.locals
        self.locals += 1
        return number

    def emit(self, stmt: ir.Stmt) -> None:
        """Appends `stmt` at the cursor."""
        self._frames[-1].stmts.append(stmt)

    def at(self, loc: ast.Location) -> None:
        """Sets the source position of what is emitted next."""
        if loc.row:
            self.place = ir.Place(self.pool.file(loc.file), loc.row, loc.col)

    def fail(self) -> None:
        """A statement that is always undefined."""
        self.emit(ir.EqualStmt(ir.BoolOperand(True), ir.BoolOperand(False), self.place))

    def as_local(self, operand: ir.Operand) -> ir.Local:
        """`operand` in a local, copied there when it is a constant."""
        if isinstance(operand, ir.LocalOperand):
            return operand.local
        target = self.local()
        self.emit(ir.AssignVarStmt(operand, target, self.place))
        return target

    def load(self, value: ir.Const) -> ir.Operand:
        """An operand holding the constant `value`."""
        if isinstance(value, bool):
            return ir.BoolOperand(value)
        if isinstance(value, str):
            return self.pool.operand(value)
        target = self.local()
        self.emit(ir.LoadConstStmt(self.pool.const(value), target, self.place))
        return ir.LocalOperand(target)

    def dot(self, source: ir.Operand, key: ir.Operand) -> ir.LocalOperand:
        """Emits a lookup and returns its result."""
        target = self.local()
        self.emit(ir.DotStmt(source, key, target, self.place))
        return ir.LocalOperand(target)

    def call(self, func: str, args: tuple[ir.Operand, ...]) -> ir.LocalOperand:
        """Emits a call and returns its result."""
        target = self.local()
        self.emit(ir.CallStmt(func, args, target, self.place))
        return ir.LocalOperand(target)

    # -- blocks

    def capture(self) -> int:
        """Opens a block to be cut out with `finish`; returns its mark, which also serves `break_to`."""
        self._open(_Frame())
        return len(self._frames) - 1

    def scan(self, source: ir.Local) -> tuple[ir.LocalOperand, ir.LocalOperand]:
        """Opens a scan of `source`; what follows runs for each (key, value)."""
        key, value = self.local(), self.local()
        self._open(_Frame(scan=(source, key, value, self.place)))
        return ir.LocalOperand(key), ir.LocalOperand(value)

    def scanning(self, mark: int) -> bool:
        """Whether scans are open inside the block that `mark` stands for."""
        return len(self._frames) - 1 > mark

    def finish(self, mark: int) -> ir.Block:
        """Closes everything down to the block of `mark` and returns that block."""
        self._close(mark)
        return ir.Block(tuple(self._frames.pop().stmts))

    def break_to(self, mark: int) -> None:
        """Ends the block that `mark` stands for."""
        self.emit(ir.BreakStmt(len(self._frames) - 1 - mark, self.place))

    def block(self, *blocks: ir.Block) -> None:
        """A BlockStmt of `blocks`."""
        self.emit(ir.BlockStmt(blocks, self.place))

    def _open(self, frame: _Frame) -> None:
        if len(self._frames) >= MAX_NESTING:
            place = self.place
            raise PlanError(
                f"iterations and blocks nest more than {MAX_NESTING} deep here; split the rule",
                self.pool.file_name(place.file),
                place.row,
                place.col,
            )
        self._frames.append(frame)

    def _close(self, mark: int) -> None:
        frames = self._frames
        while len(frames) - 1 > mark:
            frame = frames.pop()
            assert frame.scan is not None, "blocks must be finished innermost first"
            source, key, value, place = frame.scan
            block = ir.Block(tuple(frame.stmts))
            frames[-1].stmts.append(ir.ScanStmt(source, key, value, block, place))
