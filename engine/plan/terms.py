"""Plans terms, refs and unification: the value-producing half of the planner.

A `TermPlanner` is an `Emitter` that knows which local each Rego variable lives in (`env`). Planning a term emits what
computes it and returns an operand; a ref with unbound variables opens scans, so that what is emitted next runs once
for each solution. What needs statements of a body (comprehensions) is left to `bodies.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cupcake.engine.plan import ir
from cupcake.engine.plan.collect import Collection
from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.emitter import Emitter, PlanError
from cupcake.engine.plan.guards import GuardReader
from cupcake.engine.plan.pool import Pool
from cupcake.engine.plan.rule_tree import Key, Node, Path, key_of, term_of
from cupcake.engine.plan.scope import MockCall, MockConst, MockSlot, Scope
from cupcake.engine.rego import ast

INPUT = ir.LocalOperand(0)
DATA = ir.LocalOperand(1)


class Unit(Protocol):
    """What function planners ask of the policy being planned."""

    pool: Pool

    @property
    def root(self) -> Node: ...
    def node_at(self, scope: Scope, path: Path) -> Node | None: ...
    def child(self, scope: Scope, node: Node, key: Key) -> Node | None: ...
    def function(self, scope: Scope, path: Path) -> str: ...
    def package(self, scope: Scope, node: Node) -> str: ...
    def specialized(
        self, scope: Scope, path: Path, args: tuple[ast.Term, ...]
    ) -> tuple[str, tuple[ast.Term, ...]] | None: ...
    def guards(self, scope: Scope) -> GuardReader | None: ...
    def collections(self, scope: Scope, rule: ast.Rule) -> Mapping[int, Collection]: ...
    def collector(self, scope: Scope, prefix: Path, verb: str) -> str | None: ...
    def values_under(self, verb: str) -> str: ...
    def input_keys(self) -> str: ...


def operator_name(call: ast.Call) -> str:
    """Dotted name of the called builtin or function."""
    parts = []
    for term in call.operator.terms:
        match term:
            case ast.Var():
                parts.append(term.name)
            case ast.String():
                parts.append(term.value)
            case _:
                raise PlanError.at("a function name must be ground", call.loc)
    return ".".join(parts)


def data_path(ref: ast.Ref | ast.Var) -> Path | None:
    """Path below `data` of a ground ref, None for any other ref."""
    if isinstance(ref, ast.Var):
        return () if ref.name == "data" else None
    head = ref.terms[0]
    if not isinstance(head, ast.Var) or head.name != "data":
        return None
    keys: list[Key] = []
    for term in ref.terms[1:]:
        key = key_of(term)
        if key is None:
            return None
        keys.append(key)
    return tuple(keys)


class TermPlanner(Emitter):
    """Plans terms of one function."""

    def __init__(self, unit: Unit, scope: Scope, params: int = 2) -> None:
        super().__init__(unit.pool, params)
        self.unit = unit
        self.scope = scope
        self.env: dict[str, ir.Operand] = {}
        self._fresh = 0

    @abstractmethod
    def comprehension(self, term: ast.Comprehension) -> ir.Operand:
        """Plans a comprehension."""

    # -- variables

    def unbound(self, term: ast.Term) -> bool:
        """Whether `term` is a variable without a value yet."""
        return (
            isinstance(term, ast.Var)
            and term.name not in self.env
            and term.name not in ("input", "data")
        )

    def open_pattern(self, term: ast.Term) -> bool:
        """Whether `term` has unbound variables where only unification can bind them."""
        match term:
            case ast.Var():
                return self.unbound(term)
            case ast.Array() | ast.Set():
                return any(self.open_pattern(item) for item in term.items)
            case ast.Object():
                return any(self.open_pattern(k) or self.open_pattern(v) for k, v in term.pairs)
            case _:
                return False

    def bind(self, var: ast.Var, operand: ir.Operand) -> None:
        """Gives `var` the value of `operand`."""
        if operand in (INPUT, DATA):
            # `with` changes these locals for a while; the variable must keep its value
            target = self.local()
            self.emit(ir.AssignVarStmt(operand, target, self.place))
            operand = ir.LocalOperand(target)
        self.env[var.name] = operand

    # -- terms

    def term(self, term: ast.Term) -> ir.Operand:
        """Emits what computes `term`; undefined where the term is."""
        value = constant(term)
        if is_constant(value):
            return self.load(value)
        match term:
            case ast.Var():
                return self._variable(term)
            case ast.Ref():
                return self.ref(term)
            case ast.Call():
                return self.call_term(term)
            case ast.Array():
                items = [self.term(item) for item in term.items]
                target = self.local()
                self.emit(ir.MakeArrayStmt(len(items), target, self.place))
                for item in items:
                    self.emit(ir.ArrayAppendStmt(item, target, self.place))
                return ir.LocalOperand(target)
            case ast.Set():
                items = [self.term(item) for item in term.items]
                target = self.local()
                self.emit(ir.MakeSetStmt(target, self.place))
                for item in items:
                    self.emit(ir.SetAddStmt(item, target, self.place))
                return ir.LocalOperand(target)
            case ast.Object():
                pairs = [(self.term(key), self.term(val)) for key, val in term.pairs]
                target = self.local()
                self.emit(ir.MakeObjectStmt(target, self.place))
                for key, val in pairs:
                    self.emit(ir.ObjectInsertStmt(key, val, target, self.place))
                return ir.LocalOperand(target)
            case ast.TemplateString():
                return self._template(term)
            case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
                return self.comprehension(term)
            case _:
                raise PlanError.at("unexpected constant", term.loc)

    def _variable(self, var: ast.Var) -> ir.Operand:
        if var.name == "input":
            self.emit(ir.IsDefinedStmt(0, self.place))
            return INPUT
        if var.name == "data":
            return self._data_ref(())
        operand = self.env.get(var.name)
        if operand is None:
            raise PlanError.at(f"variable {var.name} has no value here", var.loc)
        return operand

    def _template(self, term: ast.TemplateString) -> ir.Operand:
        parts: list[ir.Operand] = []
        for part in term.parts:
            if isinstance(part, ast.String):
                parts.append(self.pool.operand(part.value))
                continue
            found = self.local()
            self.emit(ir.MakeSetStmt(found, self.place))
            saved = dict(self.env)
            mark = self.capture()
            self.emit(ir.SetAddStmt(self.term(part), found, self.place))
            self.block(self.finish(mark))
            self.env = saved
            parts.append(ir.LocalOperand(found))
        array = self.local()
        self.emit(ir.MakeArrayStmt(len(parts), array, self.place))
        for operand in parts:
            self.emit(ir.ArrayAppendStmt(operand, array, self.place))
        return self.invoke("internal.template_string", None, (ir.LocalOperand(array),))

    # -- calls

    def call_term(self, call: ast.Call) -> ir.Operand:
        """Emits a call and returns its value."""
        name = operator_name(call)
        path = data_path(call.operator)
        if path is not None and self.scope.mock(name) is None:
            special = self.unit.specialized(self.scope, path, self._resolved(call.args))
            if special is not None:
                func, rest = special
                return self.call(func, (INPUT, DATA, *[self.term(arg) for arg in rest]))
        args = tuple(self.term(arg) for arg in call.args)
        result = self.invoke(name, path, args)
        if name == "walk" and self.scope.mock(name) is None:
            _, pair = self.scan(self.as_local(result))
            return pair
        return result

    def _resolved(self, args: tuple[ast.Term, ...]) -> tuple[ast.Term, ...]:
        """`args` with variables that hold a known string replaced by it."""
        out: list[ast.Term] = []
        for arg in args:
            key = self._static_key(arg)
            out.append(ast.String(key) if isinstance(key, str) else arg)
        return tuple(out)

    def invoke(self, name: str, path: Path | None, args: tuple[ir.Operand, ...]) -> ir.Operand:
        """Emits a call of the function at `path` or the builtin `name`, or of what replaces it."""
        scope = self.scope
        mock = scope.mock(name)
        match mock:
            case MockConst():
                return self.load(mock.value)
            case MockSlot():
                return self.dot(DATA, self.pool.operand(mock.key))
            case MockCall():
                name, path, scope = mock.name, mock.path, scope.without_mocks()
            case None:
                pass
        if path is not None:
            return self.call(self.unit.function(scope, path), (INPUT, DATA, *args))
        self.pool.builtin(name)
        return self.call(name, args)

    # -- refs

    def ref(self, ref: ast.Ref) -> ir.Operand:
        """Emits the lookup of a ref; opens a scan for each operand that is not bound."""
        head = ref.terms[0]
        if isinstance(head, ast.Var):
            if head.name == "data":
                return self._data_ref(ref.terms[1:])
            if head.name == "input":
                return self.value_path(INPUT, ref.terms[1:])
        return self.value_path(self.term(head), ref.terms[1:])

    def value_path(self, operand: ir.Operand, keys: Sequence[ast.Term]) -> ir.Operand:
        """Follows `keys` into the value `operand`."""
        for key in keys:
            if self.open_pattern(key):
                at, operand = self.scan(self.as_local(operand))
                self.destructure(key, at)
            else:
                operand = self.dot(operand, self.term(key))
        return operand

    def _static_key(self, term: ast.Term) -> Key | None:
        key = key_of(term)
        if key is None and isinstance(term, ast.Var):
            operand = self.env.get(term.name)
            if isinstance(operand, ir.StringOperand):
                return self.pool.text_at(operand.index)
        return key

    def _data_ref(self, keys: tuple[ast.Term, ...]) -> ir.Operand:
        """A ref below `data`: through packages to a rule or to base data, then into the value."""
        node = self.unit.node_at(self.scope, ())
        at = 0
        while node is not None:
            if node.is_document:
                value = self.call(self.unit.function(self.scope, node.path), (INPUT, DATA))
                return self.value_path(value, keys[at:])
            if at == len(keys):
                return self.call(self.unit.package(self.scope, node), (INPUT, DATA))
            key = self._static_key(keys[at])
            if key is None:
                return self._dynamic_ref(node, keys[:at], keys[at:])
            node = self.unit.child(self.scope, node, key)
            at += 1
        return self._base(keys)

    def _base(self, keys: Sequence[ast.Term]) -> ir.Operand:
        """A ref into base data alone."""
        if not keys and self.scope.has_slots:
            return self._without_slots(DATA)
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

    def _without_slots(self, document: ir.Operand) -> ir.Operand:
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
        static = self._static_key(step)
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

    # -- unification

    def unify(self, lhs: ast.Term, rhs: ast.Term) -> None:
        """Emits `lhs = rhs`: binds what is unbound, compares the rest."""
        if self.unbound(lhs) and not self.open_pattern(rhs):
            self._bind_to(lhs, rhs)
        elif self.unbound(rhs) and not self.open_pattern(lhs):
            self._bind_to(rhs, lhs)
        elif isinstance(lhs, ast.Array) and isinstance(rhs, ast.Array):
            if len(lhs.items) != len(rhs.items):
                self.fail()
            else:
                self._unify_all(list(zip(lhs.items, rhs.items, strict=True)))
        elif (
            isinstance(lhs, ast.Object)
            and isinstance(rhs, ast.Object)
            and self._same_keys(lhs, rhs)
        ):
            values = dict(rhs.pairs)
            self._unify_all([(value, values[key]) for key, value in lhs.pairs])
        elif not self.open_pattern(rhs):
            # the side that can only be computed comes first: its refs may bind what the pattern uses
            self.destructure(lhs, self.term(rhs))
        elif not self.open_pattern(lhs):
            self.destructure(rhs, self.term(lhs))
        else:
            self.fail_shape(lhs, rhs)

    def fail_shape(self, lhs: ast.Term, rhs: ast.Term) -> None:
        """Both sides are patterns with unbound variables and of different shape."""
        composite = (ast.Array, ast.Object, ast.Set)
        if isinstance(lhs, composite) and isinstance(rhs, composite) and type(lhs) is not type(rhs):
            self.fail()
            return
        raise PlanError.at("neither side of a unification can be computed", lhs.loc)

    def _bind_to(self, var: ast.Term, term: ast.Term) -> None:
        assert isinstance(var, ast.Var)
        operand = self.term(term)
        if self.unbound(var):
            self.bind(var, operand)
        else:
            self.emit(ir.EqualStmt(self.env[var.name], operand, self.place))

    def _same_keys(self, lhs: ast.Object, rhs: ast.Object) -> bool:
        """Whether both objects have the same constant keys, so that they unify value by value."""
        left, right = dict(lhs.pairs), dict(rhs.pairs)
        constants = all(is_constant(constant(key)) for key in (*left, *right))
        return constants and left.keys() == right.keys() and len(left) == len(lhs.pairs)

    def _unify_all(self, pairs: list[tuple[ast.Term, ast.Term]]) -> None:
        """Unifies pairs, those first of which one side can be computed."""
        while pairs:
            at = next(
                (
                    index
                    for index, (a, b) in enumerate(pairs)
                    if not self.open_pattern(a) or not self.open_pattern(b)
                ),
                None,
            )
            if at is None:
                at = next(
                    (
                        i
                        for i, (a, b) in enumerate(pairs)
                        if not self.unbound(a) and not self.unbound(b)
                    ),
                    0,
                )
            lhs, rhs = pairs.pop(at)
            self.unify(lhs, rhs)

    def destructure(self, pattern: ast.Term, operand: ir.Operand) -> None:
        """Emits the match of `pattern` against a value: binds its unbound variables, compares the rest."""
        if isinstance(pattern, ast.Var) and self.unbound(pattern):
            self.bind(pattern, operand)
            return
        if not self.open_pattern(pattern):
            self.emit(ir.EqualStmt(operand, self.term(pattern), self.place))
            return
        match pattern:
            case ast.Array():
                self.emit(ir.IsArrayStmt(operand, self.place))
                self._check_length(operand, len(pattern.items))
                for index, item in enumerate(pattern.items):
                    at = self.dot(operand, self.load(ir.ConstNumber(str(index))))
                    self.destructure(item, at)
            case ast.Object():
                self.emit(ir.IsObjectStmt(operand, self.place))
                self._check_length(operand, len(pattern.pairs))
                for key, value in pattern.pairs:
                    self.destructure(value, self.dot(operand, self.term(key)))
            case _:
                raise PlanError.at("sets with unbound variables cannot be matched", pattern.loc)

    def _check_length(self, operand: ir.Operand, length: int) -> None:
        found = self.local()
        self.emit(ir.LenStmt(operand, found, self.place))
        wanted = self.load(ir.ConstNumber(str(length)))
        self.emit(ir.EqualStmt(ir.LocalOperand(found), wanted, self.place))
