"""Plans refs into `data`, where packages, rules and base data share one tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cupcake.engine.plan import ir
from cupcake.engine.plan.rule_tree import Key, Node, key_of, term_of
from cupcake.engine.plan.scope import MockSlot
from cupcake.engine.plan.terms import DATA, INPUT, TermPlanner
from cupcake.engine.rego import ast


class RefPlanner(TermPlanner):
    """Plans refs into `data`."""

    def data_ref(self, keys: tuple[ast.Term, ...]) -> ir.Operand:
        """A ref below `data`: through packages to a rule or to base data, then into the value."""
        node = self.unit.node_at(self.scope, ())
        at = 0
        while node is not None:
            if node.is_document:
                value = self.call(self.unit.function(self.scope, node.path), (INPUT, DATA))
                return self.value_path(value, keys[at:])
            if at == len(keys):
                return self.call(self.unit.package(self.scope, node), (INPUT, DATA))
            key = self.static_key(keys[at])
            if key is None:
                return self._dynamic_ref(node, keys[:at], keys[at:])
            node = self.unit.child(self.scope, node, key)
            at += 1
        return self._base(keys)

    def _base(self, keys: Sequence[ast.Term]) -> ir.Operand:
        """A ref into base data alone."""
        if not keys and self.scope.has_slots:
            return self.without_slots(DATA)
        operand: ir.Operand = DATA
        for key in keys:
            if isinstance(key, ast.Number):
                operand = self._number_key(operand, key)
            else:
                operand = self.value_path(operand, (key,))
        return operand

    def _number_key(self, source: ir.Operand, key: ast.Number) -> ir.Operand:
        """Base data is addressed as paths of text: a number names an array element or the key of its text."""
        result = self.local()
        self.emit(ir.ResetLocalStmt(result, self.place))
        done = self.capture()
        for operand in (self.load(ir.ConstNumber(key.text)), self.pool.operand(key.text)):
            mark = self.capture()
            self.emit(ir.DotStmt(source, operand, result, self.place))
            self.break_to(done)
            self.block(self.finish(mark))
        self.block(self.finish(done))
        self.emit(ir.IsDefinedStmt(result, self.place))
        return ir.LocalOperand(result)

    def without_slots(self, document: ir.Operand) -> ir.Operand:
        """`data` without the reserved keys that mocks keep their values under."""
        keys = tuple(mock.key for _, mock in self.scope.mocks if isinstance(mock, MockSlot))
        self.pool.builtin("object.remove")
        return self.call("object.remove", (document, self.load(ir.ConstArray(keys))))

    # -- refs that range over packages

    def _dynamic_ref(
        self, node: Node, prefix: tuple[ast.Term, ...], keys: tuple[ast.Term, ...]
    ) -> ir.Operand:
        """A ref that picks a package or rule at run time.

        With all operands bound it is a dispatch on their values. Otherwise all solutions are collected as rows
        (values of the new variables, then the document), so that what follows is planned once."""
        steps: list[ast.Term] = []
        for key in keys:
            if key_of(key) is not None or isinstance(key, ast.Var) or self.open_pattern(key):
                steps.append(key)
                continue
            held = ast.Var(f"$step{self._fresh}")
            self._fresh += 1
            self.env[held.name] = self.term(key)
            steps.append(held)
        fresh = list(dict.fromkeys(v for step in steps for v in self._new_vars(step)))
        saved = dict(self.env)
        if not fresh:
            result = self.local()
            self.emit(ir.ResetLocalStmt(result, self.place))

            def assign(value: ir.Operand) -> None:
                self.emit(ir.AssignVarStmt(value, result, self.place))

            mark = self.capture()
            self._dispatch(node, list(prefix), steps, assign)
            self.block(self.finish(mark))
            self.env = saved
            self.emit(ir.IsDefinedStmt(result, self.place))
            return ir.LocalOperand(result)
        rows = self.local()

        def collect(value: ir.Operand) -> None:
            self.append_row(rows, [*(self.env[name] for name in fresh), value])

        self.emit(ir.MakeArrayStmt(0, rows, self.place))
        mark = self.capture()
        self._dispatch(node, list(prefix), steps, collect)
        self.block(self.finish(mark))
        self.env = saved
        return self.scan_rows(rows, fresh)

    def append_row(self, rows: ir.Local, values: Sequence[ir.Operand]) -> None:
        """Appends an array of `values` to the array `rows`."""
        row = self.local()
        self.emit(ir.MakeArrayStmt(len(values), row, self.place))
        for value in values:
            self.emit(ir.ArrayAppendStmt(value, row, self.place))
        self.emit(ir.ArrayAppendStmt(ir.LocalOperand(row), rows, self.place))

    def scan_rows(self, rows: ir.Local, names: Sequence[str]) -> ir.Operand:
        """Scans rows made by `append_row`, binds `names`; returns the value after them."""
        _, row = self.scan(rows)
        for index, name in enumerate(names):
            self.env[name] = self.dot(row, self.load(ir.ConstNumber(str(index))))
        return self.dot(row, self.load(ir.ConstNumber(str(len(names)))))

    def _new_vars(self, term: ast.Term) -> list[str]:
        match term:
            case ast.Var():
                return [term.name] if self.unbound(term) else []
            case ast.Array() | ast.Set():
                return [name for item in term.items for name in self._new_vars(item)]
            case ast.Object():
                return [n for k, v in term.pairs for n in (*self._new_vars(k), *self._new_vars(v))]
            case _:
                return []

    def _dispatch(
        self,
        node: Node,
        prefix: list[ast.Term],
        steps: list[ast.Term],
        sink: Callable[[ir.Operand], None],
    ) -> None:
        if node.is_document:
            value = self.call(self.unit.function(self.scope, node.path), (INPUT, DATA))
            sink(self.value_path(value, steps))
            return
        if not steps:
            sink(self.call(self.unit.package(self.scope, node), (INPUT, DATA)))
            return
        step, rest = steps[0], steps[1:]
        static = self.static_key(step)
        if static is not None:
            child = self.unit.child(self.scope, node, static)
            if child is None:
                sink(self._base([*prefix, *steps]))
            else:
                self._dispatch(child, [*prefix, step], rest, sink)
        elif self.open_pattern(step):
            self._range(node, prefix, steps, sink)
        else:
            self._switch(node, prefix, steps, sink)

    def _switch(
        self,
        node: Node,
        prefix: list[ast.Term],
        steps: list[ast.Term],
        sink: Callable[[ir.Operand], None],
    ) -> None:
        """The next step is bound: run the branch of the child that it names, or look into base data."""
        step, rest = steps[0], steps[1:]
        source = self.as_local(self.term(step))
        cases: list[tuple[tuple[int, ...], ir.Block]] = []
        saved = dict(self.env)
        for key, child in self._visible(node):
            mark = self.capture()
            if isinstance(key, str):
                self._dispatch(child, [*prefix, step], rest, sink)
                cases.append(((self.pool.string(key),), self.finish(mark)))
            else:
                equal = ir.EqualStmt(ir.LocalOperand(source), self.term(key), self.place)
                self.emit(equal)
                self._dispatch(child, [*prefix, step], rest, sink)
                self.block(self.finish(mark))
            self.env = dict(saved)
        mark = self.capture()
        sink(self._base([*prefix, *steps]))
        self.emit(ir.SwitchStmt(source, tuple(cases), self.finish(mark), self.place))
        self.env = saved

    def _range(
        self,
        node: Node,
        prefix: list[ast.Term],
        steps: list[ast.Term],
        sink: Callable[[ir.Operand], None],
    ) -> None:
        """The next step is free: keys of base data, then of packages and rules (a key of both comes twice, as in
        OPA), each dispatched as if it had been bound."""
        step, rest = steps[0], steps[1:]
        keys = self.local()
        self.emit(ir.MakeArrayStmt(0, keys, self.place))
        mark = self.capture()
        key, _ = self.scan(self.as_local(self.value_path(DATA, prefix)))
        if self.scope.has_slots and not prefix:
            slots = [mock.key for _, mock in self.scope.mocks if isinstance(mock, MockSlot)]
            inner = self.capture()
            self.dot(self.load(ir.ConstSet(tuple(slots))), key)
            self.emit(ir.NotStmt(self.finish(inner), self.place))
        self.emit(ir.ArrayAppendStmt(key, keys, self.place))
        self.block(self.finish(mark))
        for name, _ in self._visible(node):
            self.emit(ir.ArrayAppendStmt(self.term(term_of(name)), keys, self.place))
        _, key = self.scan(keys)
        self.destructure(step, key)
        held = ast.Var(f"$step{self._fresh}")
        self._fresh += 1
        self.env[held.name] = key
        self._switch(node, prefix, [held, *rest], sink)

    def _visible(self, node: Node) -> list[tuple[Key, Node]]:
        """Children that refs can reach here, in key order."""
        found = []
        for key, _ in node.sorted_children():
            child = self.unit.child(self.scope, node, key)
            if child is not None:
                found.append((key, child))
        return found
