"""Plans terms and calls, and follows keys into values.

A `TermPlanner` is an `Emitter` that knows which local each Rego variable lives in (`env`). Planning a term emits what
computes it and returns an operand; a ref with unbound variables opens scans, so that what is emitted next runs once
for each solution. Refs into `data` are left to `refs.py`, matching to `unification.py`, comprehensions to `bodies.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from cupcake.engine.plan import ir
from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.emitter import Emitter, PlanError
from cupcake.engine.plan.rule_tree import Key, Path, key_of
from cupcake.engine.plan.scope import MockCall, MockConst, MockSlot, Scope
from cupcake.engine.plan.unit import Unit
from cupcake.engine.rego import ast

INPUT = ir.LocalOperand(0)
DATA = ir.LocalOperand(1)


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

    @abstractmethod
    def data_ref(self, keys: tuple[ast.Term, ...]) -> ir.Operand:
        """Plans a ref below `data`."""

    @abstractmethod
    def destructure(self, pattern: ast.Term, operand: ir.Operand) -> None:
        """Plans the match of `pattern` against a value."""

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
                raise PlanError.at("TemplateString is not part of the checked form", term.loc)
            case ast.ArrayComprehension() | ast.SetComprehension() | ast.ObjectComprehension():
                return self.comprehension(term)
            case _:
                raise PlanError.at("unexpected constant", term.loc)

    def _variable(self, var: ast.Var) -> ir.Operand:
        if var.name == "input":
            self.emit(ir.IsDefinedStmt(0, self.place))
            return INPUT
        if var.name == "data":
            return self.data_ref(())
        operand = self.env.get(var.name)
        if operand is None:
            raise PlanError.at(f"variable {var.name} has no value here", var.loc)
        return operand

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
        place = self.place
        self.at(call.loc)
        result = self.invoke(name, path, args)
        self.place = place
        if name == "walk" and self.scope.mock(name) is None:
            _, pair = self.scan(self.as_local(result))
            return pair
        return result

    def _resolved(self, args: tuple[ast.Term, ...]) -> tuple[ast.Term, ...]:
        """`args` with variables that hold a known string replaced by it."""
        out: list[ast.Term] = []
        for arg in args:
            key = self.static_key(arg)
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
                return self.data_ref(ref.terms[1:])
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

    def static_key(self, term: ast.Term) -> Key | None:
        """The key that `term` is known to be: a ground scalar, or a variable bound to a constant string."""
        key = key_of(term)
        if key is None and isinstance(term, ast.Var):
            operand = self.env.get(term.name)
            if isinstance(operand, ir.StringOperand):
                return self.pool.text_at(operand.index)
        return key
