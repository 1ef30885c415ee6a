"""Plans bodies: expressions, negation, `every`, `with` and comprehensions."""

from __future__ import annotations

from dataclasses import dataclass

from cupcake.engine.plan import ir
from cupcake.engine.plan.constants import collection_items, constant, is_constant
from cupcake.engine.plan.counting import counter_of
from cupcake.engine.plan.emitter import PlanError
from cupcake.engine.plan.scope import SLOT_PREFIX, Mock, MockCall, MockConst, MockSlot, Scope
from cupcake.engine.plan.terms import (
    data_path,
    operator_name,
)
from cupcake.engine.plan.unification import UnificationPlanner
from cupcake.engine.rego import ast

FALSE = ir.BoolOperand(False)
TRUE = ir.BoolOperand(True)


@dataclass(frozen=True, slots=True)
class _Override:
    """A WithStmt to come: `value` at `path` of local 0 or 1."""

    local: ir.Local
    path: tuple[int, ...]
    value: ir.Operand


class BodyPlanner(UnificationPlanner):
    """Plans the bodies of one function."""

    def body(self, body: ast.Body) -> None:
        """Emits all expressions; what follows runs once for each solution."""
        for expr in body:
            self.expr(expr)

    def expr(self, expr: ast.Expr) -> None:
        """Emits one expression."""
        self.at(expr.loc)
        if expr.withs:
            self._with(expr)
        else:
            self._plain(expr)

    def _plain(self, expr: ast.Expr) -> None:
        if expr.negated:
            self._not(expr)
        else:
            self._kind(expr.kind)

    def _kind(self, kind: ast.ExprKind) -> None:
        match kind:
            case ast.Unify():
                self.unify(kind.lhs, kind.rhs)
            case ast.Every():
                self._every(kind)
            case ast.Block():
                self._block(kind)
            case ast.Call():
                self._condition(kind)
            case ast.Assign() | ast.SomeDecl() | ast.SomeIn() | ast.Not() | ast.Logical():
                raise PlanError(f"{type(kind).__name__} is not part of the checked form")
            case ast.Boolean():
                if not kind.value:
                    self.fail()
            case ast.Ref() | ast.Var():
                self.emit(ir.NotEqualStmt(self.term(kind), FALSE, self.place))
            case _:
                self.term(kind)

    def _condition(self, call: ast.Call) -> None:
        """A call as an expression: fails when it is undefined or false."""
        name = operator_name(call)
        counter = counter_of(call)
        if counter is not None:
            self.emit(ir.CountStmt(counter, self.place))
            return
        if self.scope.mock(name) is None:
            if name == "walk" and len(call.args) == 2:
                pairs = self.invoke(name, None, (self.term(call.args[0]),))
                _, pair = self.scan(self.as_local(pairs))
                self.destructure(call.args[1], pair)
                return
            if name in ("equal", "neq"):
                lhs, rhs = self.term(call.args[0]), self.term(call.args[1])
                compare = ir.EqualStmt if name == "equal" else ir.NotEqualStmt
                self.emit(compare(lhs, rhs, self.place))
                return
            if name == "internal.member_2" and self._constant_member(call):
                return
        self.emit(ir.NotEqualStmt(self.call_term(call), FALSE, self.place))

    def _constant_member(self, call: ast.Call) -> bool:
        """`x in {constants}` as a lookup in a constant set; False when the collection is not constant."""
        value = constant(call.args[1])
        if not is_constant(value):
            return False
        items = collection_items(value)
        if items is None:
            return False
        member = self.term(call.args[0])
        known = self.load(ir.ConstSet(tuple(dict.fromkeys(items))))
        self.dot(known, member)
        return True

    # -- negation and every

    def _block(self, kind: ast.Block, *, negated: bool = False) -> None:
        """A body that holds once or, negated, that has no solution; its variables are gone after it."""
        saved = dict(self.env)
        place = self.place
        found = self.local()
        self.emit(ir.ResetLocalStmt(found, place))
        mark = self.capture()
        self.body(kind.body)
        self.emit(ir.AssignVarStmt(TRUE, found, place))
        if self.scanning(mark):
            self.break_to(mark)
        block = self.finish(mark)
        self.env = saved
        self.place = place
        self.block(block)
        self.emit(ir.IsUndefinedStmt(found, place) if negated else ir.IsDefinedStmt(found, place))

    def _not(self, expr: ast.Expr) -> None:
        if isinstance(expr.kind, ast.Block):
            self._block(expr.kind, negated=True)
            return
        kind = self._outside(expr.kind)
        saved = dict(self.env)
        place = self.place
        mark = self.capture()
        self._kind(kind)
        if not self.scanning(mark):
            block = self.finish(mark)
            self.env = saved
            self.emit(ir.NotStmt(block, place))
            return
        # a scan succeeds whether or not an iteration got to its end: note the success in a flag
        found = self.local()
        self.emit(ir.AssignVarStmt(TRUE, found, place))
        self.break_to(mark)
        block = self.finish(mark)
        self.env = saved
        self.emit(ir.ResetLocalStmt(found, place))
        self.block(block)
        self.emit(ir.IsUndefinedStmt(found, place))

    def _outside(self, kind: ast.ExprKind) -> ast.ExprKind:
        """Plans what `not` does not cover: as in OPA, arguments of the call, operands of refs and members of
        collections are evaluated before it, so that the expression is undefined where they are."""
        match kind:
            case ast.Unify(rhs=ast.Call() as call):
                # `not f(x, y)` with the output captured by y comes as `y = f(x)`; it covers the call
                args = tuple(self._held(arg) for arg in call.args)
                return ast.Unify(self._side(kind.lhs), ast.Call(call.operator, args, call.loc))
            case ast.Unify():
                return ast.Unify(self._side(kind.lhs), self._side(kind.rhs))
            case ast.Call(operator=ast.Ref(terms=(ast.Var(name="equal"),)), args=(lhs, rhs)):
                return ast.Call(kind.operator, (self._side(lhs), self._side(rhs)), kind.loc)
            case ast.Call():
                return ast.Call(
                    kind.operator, tuple(self._held(arg) for arg in kind.args), kind.loc
                )
            case (
                ast.Every() | ast.Assign() | ast.SomeDecl() | ast.SomeIn()
                | ast.Not() | ast.Logical() | ast.Block()
            ):  # fmt: skip
                return kind
            case _:
                return self._side(kind)

    def _side(self, term: ast.Term) -> ast.Term:
        """A term that `not` covers, if it is a ref: only its operands are evaluated before."""
        if isinstance(term, ast.Ref):
            head = term.terms[0]
            if not isinstance(head, ast.Var):
                head = self._held(head)
            return ast.Ref((head, *(self._held(key) for key in term.terms[1:])), term.loc)
        return term if isinstance(term, ast.Var) else self._held(term)

    def _held(self, term: ast.Term) -> ast.Term:
        """`term` evaluated here: a variable that holds its value."""
        if is_constant(constant(term)) or self.open_pattern(term):
            return term
        if isinstance(term, ast.Var) and term.name not in ("input", "data"):
            return term
        held = ast.Var(f"$held{self._fresh}", term.loc)
        self._fresh += 1
        self.bind(held, self.term(term))
        return held

    def _every(self, every: ast.Every) -> None:
        domain = self.as_local(self.term(every.domain))
        is_collection, failed, holds = self.local(), self.local(), self.local()
        self.emit(ir.ResetLocalStmt(is_collection, self.place))
        kinds: list[ir.Block] = []
        for kind in (ir.IsArrayStmt, ir.IsObjectStmt, ir.IsSetStmt):
            mark = self.capture()
            self.emit(kind(ir.LocalOperand(domain), self.place))
            self.emit(ir.AssignVarStmt(TRUE, is_collection, self.place))
            kinds.append(self.finish(mark))
        self.block(*kinds)
        self.emit(ir.IsDefinedStmt(is_collection, self.place))
        self.emit(ir.ResetLocalStmt(failed, self.place))
        saved = dict(self.env)
        place = self.place
        outer = self.capture()
        key, value = self.scan(domain)
        if every.key is not None:
            self.bind(every.key, key)
        self.bind(every.value, value)
        self.emit(ir.ResetLocalStmt(holds, place))
        inner = self.capture()
        self.body(every.body)
        self.place = place
        self.emit(ir.AssignVarStmt(TRUE, holds, place))
        if self.scanning(inner):
            self.break_to(inner)
        self.block(self.finish(inner))
        self.emit(ir.IsUndefinedStmt(holds, place))
        self.emit(ir.AssignVarStmt(TRUE, failed, place))
        self.break_to(outer)
        self.block(self.finish(outer))
        self.env = saved
        self.emit(ir.IsUndefinedStmt(failed, place))

    # -- comprehensions

    def comprehension(self, term: ast.Comprehension) -> ir.Operand:
        """Plans a comprehension: a collection filled by the solutions of its body."""
        target = self.local()
        place = self.place
        saved = dict(self.env)
        match term:
            case ast.ArrayComprehension():
                self.emit(ir.MakeArrayStmt(0, target, place))
            case ast.SetComprehension():
                self.emit(ir.MakeSetStmt(target, place))
            case ast.ObjectComprehension():
                self.emit(ir.MakeObjectStmt(target, place))
        mark = self.capture()
        self.body(term.body)
        match term:
            case ast.ArrayComprehension():
                self.emit(ir.ArrayAppendStmt(self.term(term.term), target, self.place))
            case ast.SetComprehension():
                self.emit(ir.SetAddStmt(self.term(term.term), target, self.place))
            case ast.ObjectComprehension():
                key = self.term(term.key)
                value = self.term(term.value)
                self.at(term.key.loc)
                self.emit(ir.ObjectInsertOnceStmt(key, value, target, self.place))
        block = self.finish(mark)
        self.env = saved
        self.place = place
        self.block(block)
        return ir.LocalOperand(target)

    # -- with

    def _with(self, expr: ast.Expr) -> None:
        outer = self.scope
        place = self.place
        overrides: list[_Override] = []
        inner = outer
        for each in expr.withs:
            inner = self._target(each, inner, overrides)
        before = set(self.env)
        self.scope = inner
        mark = self.capture()
        self._plain(expr)
        fresh = [name for name in self.env if name not in before and not name.startswith("$")]
        many = self.scanning(mark)
        rows = self.local() if many else 0
        if many:
            self.append_row(rows, [*(self.env[name] for name in fresh), TRUE])
        block = self.finish(mark)
        self.scope = outer
        self.place = place
        if many:
            self.emit(ir.MakeArrayStmt(0, rows, place))
        for override in reversed(overrides):
            wrapped = ir.WithStmt(override.local, override.path, override.value, block, place)
            block = ir.Block((wrapped,))
        if many:
            self.block(block)
            self.scan_rows(rows, fresh)
        elif overrides:
            self.emit(block.stmts[0])
        else:
            for stmt in block.stmts:
                self.emit(stmt)

    def _target(self, each: ast.With, scope: Scope, overrides: list[_Override]) -> Scope:
        """Notes what one `with` replaces; its value is planned here, outside of the replacement."""
        target = each.target
        head = target.terms[0] if isinstance(target, ast.Ref) else target
        if not isinstance(head, ast.Var) or not isinstance(target, ast.Ref | ast.Var):
            raise PlanError.at("a `with` target must be a ref", each.loc)
        if head.name == "input":
            keys = target.terms[1:] if isinstance(target, ast.Ref) else ()
            value = self.term(each.value)
            overrides.append(_Override(0, self._string_path(keys, each), value))
            return scope
        if head.name == "data":
            path = data_path(target)
            if path is None:
                raise PlanError.at("a `with` target must be ground", each.loc)
            node = self.unit.node_at(scope, path)
            if node is None or node.group is None or node.group.kind != "function":
                keys = target.terms[1:] if isinstance(target, ast.Ref) else ()
                value = self.term(each.value)
                overrides.append(_Override(1, self._string_path(keys, each), value))
                return scope if node is None else scope.with_removed(path)
        name = operator_name(
            ast.Call(target if isinstance(target, ast.Ref) else ast.Ref((target,)), ())
        )
        return scope.with_mock(name, self._mock(each, overrides))

    def _mock(self, each: ast.With, overrides: list[_Override]) -> Mock:
        """What calls of a replaced function do."""
        value = each.value
        known = constant(value)
        if is_constant(known):
            return MockConst(known)
        if isinstance(value, ast.Ref | ast.Var):
            head = value.terms[0] if isinstance(value, ast.Ref) else value
            path = data_path(value)
            ref = value if isinstance(value, ast.Ref) else ast.Ref((value,))
            if path is not None:
                node = self.unit.node_at(self.scope, path)
                if node is not None and node.group is not None and node.group.kind == "function":
                    return MockCall(operator_name(ast.Call(ref, ())), path)
            elif isinstance(head, ast.Var) and head.name != "input" and self.unbound(head):
                return MockCall(operator_name(ast.Call(ref, ())), None)
        slot = f"{SLOT_PREFIX}{each.loc.file}:{each.loc.offset}:{self.locals}"
        overrides.append(_Override(1, (self.pool.string(slot),), self.term(value)))
        return MockSlot(slot)

    def _string_path(self, keys: tuple[ast.Term, ...], each: ast.With) -> tuple[int, ...]:
        path = []
        for key in keys:
            if not isinstance(key, ast.String):
                raise PlanError.at("a `with` target must be a path of strings", each.loc)
            path.append(self.pool.string(key.value))
        return tuple(path)
