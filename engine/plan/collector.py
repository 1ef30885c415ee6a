"""Plans the function that collects all values under a verb below a data prefix (see `collect.py`).

Each document that may contribute is a piece of code under its guards; a piece adds a row `[position, values]`, and
the rows are sorted by position at the end: so an event pays for the rules that can match it, and the values
come in the order of the walk.
"""

from __future__ import annotations

from dataclasses import dataclass

from cupcake.engine.plan import ir
from cupcake.engine.plan.groups import UNIQUE_KEYS, GroupPlanner
from cupcake.engine.plan.guards import GuardReader, Guards
from cupcake.engine.plan.index import Piece, indexed_blocks
from cupcake.engine.plan.rule_tree import Node
from cupcake.engine.plan.taint import Taint, TaintReader
from cupcake.engine.plan.terms import DATA, INPUT

_ONE = ir.ConstNumber("1")


@dataclass(frozen=True, slots=True)
class _Entry:
    """A place in the walk. `here`: its value is collected. `inside`: whether values within it may be."""

    node: Node
    here: bool
    inside: Taint
    guards: Guards


class CollectorPlanner(GroupPlanner):
    """Plans one collection."""

    def collection(
        self, name: str, prefix: Node, verb: str, guards: GuardReader, taints: TaintReader
    ) -> ir.Func:
        """The function: an array of the values at `verb`, without those that hold nothing."""
        entries: list[_Entry] = []
        _visit(prefix, verb, guards, taints, entries)
        rows, result = self.local(), self.local()
        start = ir.Block(
            (ir.MakeArrayStmt(0, rows, self.place), ir.MakeArrayStmt(0, result, self.place))
        )
        here = [
            Piece(entry.guards, lambda e=entry, at=2 * position: self._here(e, at, rows))  # type: ignore[misc]
            for position, entry in enumerate(entries)
            if entry.here
        ]
        inside: dict[Taint, list[Piece]] = {Taint.YES: [], Taint.INPUT: []}
        for position, entry in enumerate(entries):
            if entry.inside is not Taint.NO:
                inside[entry.inside].append(
                    Piece(
                        entry.guards,
                        lambda e=entry, at=2 * position + 1: self._inside(e, at, rows, verb),  # type: ignore[misc]
                    )
                )
        blocks = [start, self._with_base_data(prefix, verb, result)]
        blocks += indexed_blocks(self, here + inside[Taint.YES])
        if inside[Taint.INPUT]:
            mark = self.capture()
            keys = self.call(self.unit.input_keys(), (INPUT, DATA))
            self.dot(keys, self.pool.operand(verb))
            self.block(*indexed_blocks(self, inside[Taint.INPUT]))
            blocks.append(self.finish(mark))
        blocks.append(self._gather(rows, result))
        return self.finish_func(name, blocks, result, 2, UNIQUE_KEYS)

    def _with_base_data(self, prefix: Node, verb: str, result: ir.Local) -> ir.Block:
        """Where base data lies at the prefix, the merged document is walked as written."""
        mark = self.capture()
        base: ir.Operand = DATA
        for key in prefix.path:
            base = self.dot(base, self.pool.operand(str(key)))
        document = self.call(self.unit.package(self.scope, prefix), (INPUT, DATA))
        found = self.call(self.unit.values_under(verb), (INPUT, DATA, document))
        inner = self.capture()
        _, value = self.scan(found.local)
        self.emit(ir.ArrayAppendStmt(value, result, self.place))
        self.block(self.finish(inner))
        self.emit(ir.ReturnLocalStmt(result, self.place))
        return self.finish(mark)

    def _here(self, entry: _Entry, position: int, rows: ir.Local) -> ir.Block:
        mark = self.capture()
        value = self._value(entry.node)
        if entry.node.group is not None and entry.node.group.kind == "partial_set":
            length = self.local()
            self.emit(ir.LenStmt(value, length, self.place))
            zero = self.load(ir.ConstNumber("0"))
            self.emit(ir.NotEqualStmt(ir.LocalOperand(length), zero, self.place))
        values = self.local()
        self.emit(ir.MakeArrayStmt(1, values, self.place))
        self.emit(ir.ArrayAppendStmt(value, values, self.place))
        self._add_row(rows, position, ir.LocalOperand(values))
        return self.finish(mark)

    def _inside(self, entry: _Entry, position: int, rows: ir.Local, verb: str) -> ir.Block:
        mark = self.capture()
        value = self._value(entry.node)
        values = self.call(self.unit.values_under(verb), (INPUT, DATA, value))
        self._add_row(rows, position, values)
        return self.finish(mark)

    def _value(self, node: Node) -> ir.LocalOperand:
        if node.is_document:
            return self.call(self.unit.function(self.scope, node.path), (INPUT, DATA))
        return self.call(self.unit.package(self.scope, node), (INPUT, DATA))

    def _add_row(self, rows: ir.Local, position: int, values: ir.Operand) -> None:
        at = self.load(ir.ConstNumber(str(position)))
        self.append_row(rows, (at, values))

    def _gather(self, rows: ir.Local, result: ir.Local) -> ir.Block:
        """Rows by position, their values in one array."""
        mark = self.capture()
        length = self.local()
        self.emit(ir.LenStmt(ir.LocalOperand(rows), length, self.place))
        zero = self.load(ir.ConstNumber("0"))
        self.emit(ir.NotEqualStmt(ir.LocalOperand(length), zero, self.place))
        self.pool.builtin("sort")
        ordered = self.call("sort", (ir.LocalOperand(rows),))
        _, row = self.scan(ordered.local)
        values = self.dot(row, self.load(_ONE))
        _, value = self.scan(values.local)
        self.emit(ir.ArrayAppendStmt(value, result, self.place))
        return self.finish(mark)

    # -- helpers that all collections share

    def values_under(self, name: str, verb: str) -> ir.Func:
        """Function of a value: the array of all values inside of it whose last key is `verb`."""
        value, result = 2, 3
        self.locals = 4
        start = ir.Block((ir.MakeArrayStmt(0, result, self.place),))
        mark = self.capture()
        last, found = self._walk(ir.LocalOperand(value))
        self.emit(ir.EqualStmt(last, self.pool.operand(verb), self.place))
        self.emit(ir.ArrayAppendStmt(found, result, self.place))
        return self.finish_func(name, [start, self.finish(mark)], result, 3, UNIQUE_KEYS)

    def input_keys(self, name: str) -> ir.Func:
        """Function: the set of all keys anywhere in input."""
        result = self.local()
        start = ir.Block((ir.MakeSetStmt(result, self.place),))
        mark = self.capture()
        self.emit(ir.IsDefinedStmt(0, self.place))
        last, _ = self._walk(INPUT)
        self.emit(ir.SetAddStmt(last, result, self.place))
        return self.finish_func(name, [start, self.finish(mark)], result, 2, UNIQUE_KEYS)

    def _walk(self, value: ir.Operand) -> tuple[ir.Operand, ir.Operand]:
        """Scans the walk of `value`; returns the last key and the value, and skips the root."""
        self.pool.builtin("walk")
        self.pool.builtin("minus")
        pairs = self.call("walk", (value,))
        _, pair = self.scan(pairs.local)
        path = self.dot(pair, self.load(ir.ConstNumber("0")))
        found = self.dot(pair, self.load(_ONE))
        length = self.local()
        self.emit(ir.LenStmt(path, length, self.place))
        index = self.call("minus", (ir.LocalOperand(length), self.load(_ONE)))
        return self.dot(path, index), found


def _visit(
    node: Node, verb: str, guards: GuardReader, taints: TaintReader, found: list[_Entry]
) -> None:
    """What the walk below `node` can find, in its order."""
    for key, child in node.sorted_children():
        if not child.readable:
            continue
        group = child.group
        if group is not None and child.is_document:
            inside = taints.group(group)
            if key == verb or inside is not Taint.NO:
                found.append(_Entry(child, key == verb, inside, guards.group(group)))
            continue
        if key == verb:
            found.append(_Entry(child, True, Taint.NO, {}))
        _visit(child, verb, guards, taints, found)
