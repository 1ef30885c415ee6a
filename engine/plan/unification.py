"""Plans unification: patterns against patterns, patterns against values."""

from __future__ import annotations

from cupcake.engine.plan import ir
from cupcake.engine.plan.constants import constant, is_constant
from cupcake.engine.plan.emitter import PlanError
from cupcake.engine.plan.refs import RefPlanner
from cupcake.engine.rego import ast


class UnificationPlanner(RefPlanner):
    """Plans `=`."""

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
