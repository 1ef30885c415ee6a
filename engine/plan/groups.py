"""Plans the function of one rule group, and the document of one package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from cupcake.engine.plan import front, ir
from cupcake.engine.plan.bodies import TRUE, BodyPlanner
from cupcake.engine.plan.constants import constant, is_constant, key_constant
from cupcake.engine.plan.emitter import PlanError
from cupcake.engine.plan.index import Piece, indexed_blocks
from cupcake.engine.plan.rule_tree import Group, Node, key_of
from cupcake.engine.plan.terms import DATA, INPUT
from cupcake.engine.rego import ast

MULTIPLE_OUTPUTS = "complete rules must not produce multiple outputs"
FUNCTION_OUTPUTS = "functions must not produce multiple outputs for same inputs"
UNIQUE_KEYS = "object keys must be unique"

_TRUE_TERM = ast.Boolean(True)
_DATA = ast.Var("data")


def chain(rule: ast.Rule) -> list[ast.Rule]:
    """A rule and its `else` rules in order."""
    links = [rule]
    while links[-1].else_ is not None:
        links.append(links[-1].else_)
    return links


def head_value(rule: ast.Rule) -> ast.Term:
    """The value term of a single-value rule."""
    return _TRUE_TERM if rule.head.value is None else rule.head.value


class GroupPlanner(BodyPlanner):
    """Plans one function."""

    def finish_func(
        self, name: str, blocks: list[ir.Block], result: ir.Local, params: int, conflict: str
    ) -> ir.Func:
        """The Func of `blocks` with the final return added."""
        done = ir.Block((ir.ReturnLocalStmt(result, self.place),))
        return ir.Func(name, tuple(range(params)), result, (*blocks, done), conflict=conflict)

    # -- complete rules and functions

    def values(
        self, name: str, group: Group, rules: Sequence[ast.Rule], args: Mapping[int, ast.Term]
    ) -> ir.Func:
        """A complete rule or function. `args`: arguments (by position) that are known and no parameters."""
        is_function = group.kind == "function"
        arity = _arity(group) if is_function else 0
        operands: list[ir.Operand] = []
        params = 2
        for position in range(arity):
            if position in args:
                operands.append(self.term(args[position]))
            else:
                operands.append(ir.LocalOperand(params))
                params += 1
        self.locals = max(self.locals, params)
        result = self.local()
        blocks = [ir.Block((ir.ResetLocalStmt(result, self.place),))]
        single = _single_value(rules)

        def store(rule: ast.Rule) -> None:
            self.at(rule.loc)
            value = self.term(head_value(rule))
            if single:
                self.emit(ir.AssignVarStmt(value, result, self.place))
                self.emit(ir.ReturnLocalStmt(result, self.place))
            else:
                self.emit(ir.AssignVarOnceStmt(value, result, self.place))

        blocks += self.indexed(rules, lambda rule: self._chain(rule, operands, store))
        for rule in group.defaults:
            mark = self._start(rule)
            self.emit(ir.IsUndefinedStmt(result, self.place))
            self._arguments(rule, operands)
            self.rule_body(rule)
            value = self.term(head_value(rule))
            self.emit(ir.AssignVarStmt(value, result, self.place))
            blocks.append(self.finish(mark))
        conflict = FUNCTION_OUTPUTS if is_function else MULTIPLE_OUTPUTS
        return self.finish_func(name, blocks, result, params, conflict)

    def indexed(
        self, rules: Sequence[ast.Rule], plan_rule: Callable[[ast.Rule], ir.Block]
    ) -> list[ir.Block]:
        """The blocks of `rules`; those that their guards rule out are skipped at run time."""
        guards = self.unit.guards(self.scope)
        if guards is None or len(rules) < 2:
            return [plan_rule(rule) for rule in rules]
        return indexed_blocks(
            self,
            [Piece(guards.rule(rule), lambda r=rule: plan_rule(r)) for rule in rules],  # type: ignore[misc]
        )

    def rule_body(self, rule: ast.Rule) -> None:
        """The body of a rule; collections of verbs are called instead of walked."""
        collections = self.unit.collections(self.scope, rule)
        bound = rule.head.args or ()
        for position, expr in front.in_order(rule, bound, self._is_base, self._is_mocked):
            collection = None if position is None else collections.get(position)
            if collection is not None and self.unbound(collection.var):
                verb = self.static_key(collection.verb)
                if isinstance(verb, str):
                    self.at(expr.loc)
                    func = self.unit.collector(self.scope, collection.prefix, verb)
                    if func is not None:
                        self.bind(collection.var, self.call(func, (INPUT, DATA)))
                        continue
            self.expr(expr)

    def _is_mocked(self, name: str) -> bool:
        return self.scope.mock(name) is not None

    def _is_base(self, ref: ast.Ref) -> bool:
        """Whether a ground ref leads to a document that no rule makes."""
        node: Node | None = self.unit.root if ref.terms[0] == _DATA else None
        for term in ref.terms[1:]:
            if node is None or node.is_document:
                break
            node = None if (key := key_of(term)) is None else node.children.get(key)
        return node is None

    def _start(self, rule: ast.Rule) -> int:
        self.at(rule.loc)
        return self.capture()

    def _arguments(self, rule: ast.Rule, operands: Sequence[ir.Operand]) -> None:
        for pattern, operand in zip(rule.head.args or (), operands, strict=True):
            self.destructure(pattern, operand)

    def _chain(
        self, rule: ast.Rule, operands: Sequence[ir.Operand], store: Callable[[ast.Rule], None]
    ) -> ir.Block:
        """One rule with its `else` rules; `store` emits what happens with the value of the first that holds."""
        base = dict(self.env)
        links = chain(rule)
        if len(links) == 1:
            mark = self._start(rule)
            self._arguments(rule, operands)
            self.rule_body(rule)
            store(rule)
            self.env = base
            return self.finish(mark)
        # each link is tried while none before it has held
        mark = self._start(rule)
        held, links_at = self.local(), self.place
        self.emit(ir.ResetLocalStmt(held, links_at))
        blocks = []
        for position, link in enumerate(links):
            inner = self._start(link)
            if position:
                self.emit(ir.IsUndefinedStmt(held, self.place))
            self._arguments(link, operands)
            self.rule_body(link)
            store(ast.Rule(ast.Head(rule.head.ref, value=link.head.value), loc=link.loc))
            self.emit(ir.AssignVarStmt(TRUE, held, self.place))
            blocks.append(self.finish(inner))
            self.env = dict(base)
        self.place = links_at
        self.block(*blocks)
        self.env = base
        return self.finish(mark)

    # -- partial sets and objects

    def partial_set(self, name: str, group: Group) -> ir.Func:
        """A multi-value rule."""
        result = self.local()
        blocks = [ir.Block((ir.MakeSetStmt(result, self.place),))]

        def store(rule: ast.Rule) -> None:
            assert rule.head.key is not None
            self.at(rule.loc)
            self.emit(ir.SetAddStmt(self.term(rule.head.key), result, self.place))

        blocks += self.indexed(group.rules, lambda rule: self._chain(rule, (), store))
        return self.finish_func(name, blocks, result, 2, UNIQUE_KEYS)

    def partial_object(self, name: str, group: Group) -> ir.Func:
        """Rules with operands after the ground prefix, at any depth, sets among them.

        A default rule among them has no effect, as in OPA."""
        depth = len(group.path) + 1
        shapes = sorted({_shape(rule, depth) for rule in group.rules})
        parts = {shape: self.local() for shape in shapes}
        if not parts:
            parts[(0, False)] = self.local()
        blocks = [
            ir.Block(tuple(ir.MakeObjectStmt(part, self.place) for part in parts.values())),
        ]

        def store(rule: ast.Rule) -> None:
            self.at(rule.loc)
            keys = [self.term(term) for term in rule.head.ref.terms[depth:]]
            if rule.head.key is not None:
                self._insert(parts[_shape(rule, depth)], keys, self.term(rule.head.key), True)
            else:
                self._insert(parts[_shape(rule, depth)], keys, self.term(head_value(rule)), False)

        blocks += self.indexed(group.rules, lambda rule: self._object_chain(rule, store))
        # objects of different depth are built apart: a value at one depth may be shared, so must not be changed
        for position, shape in enumerate(shapes):
            for other_shape in shapes[position + 1 :]:
                blocks.append(self._no_overlap(parts[shape], parts[other_shape], shape[0]))
        mark = self.capture()
        result, *others = parts.values()
        for other in others:
            merged = self.local()
            self.emit(ir.ObjectMergeStmt(result, other, merged, self.place))
            result = merged
        blocks.append(self.finish(mark))
        return self.finish_func(name, blocks, result, 2, UNIQUE_KEYS)

    def _object_chain(self, rule: ast.Rule, store: Callable[[ast.Rule], None]) -> ir.Block:
        return self._chain(rule, (), store)

    def _insert(
        self, target: ir.Local, keys: Sequence[ir.Operand], value: ir.Operand, is_set: bool
    ) -> None:
        """Inserts at a path of `keys`, making the objects (and the set at the end) on the way."""
        made: list[tuple[ir.Operand, ir.Local]] = []
        holder = target
        last = len(keys) if is_set else len(keys) - 1
        for position, key in enumerate(keys[:last]):
            inner = self.local()
            outer_mark = self.capture()
            mark = self.capture()
            self.emit(ir.DotStmt(ir.LocalOperand(holder), key, inner, self.place))
            self.break_to(outer_mark)
            found = self.finish(mark)
            self.block(found)
            make = ir.MakeSetStmt if is_set and position == len(keys) - 1 else ir.MakeObjectStmt
            self.emit(make(inner, self.place))
            self.block(self.finish(outer_mark))
            made.append((key, inner))
            holder = inner
        if is_set:
            self.emit(ir.SetAddStmt(value, holder, self.place))
        else:
            self.emit(ir.ObjectInsertOnceStmt(keys[-1], value, holder, self.place))
        holders = [target, *(inner for _, inner in made)]
        for (key, inner), holder in zip(reversed(made), reversed(holders[:-1]), strict=True):
            self.emit(ir.ObjectInsertStmt(key, ir.LocalOperand(inner), holder, self.place))

    def _no_overlap(self, shallow: ir.Local, deep: ir.Local, depth: int) -> ir.Block:
        """Raises a conflict where a path at which `shallow` has a value leads anywhere in `deep`."""
        mark = self.capture()
        value, at = shallow, ir.LocalOperand(deep)
        key: ir.Operand = ir.BoolOperand(True)
        for _ in range(depth):
            key, inner = self.scan(value)
            value = inner.local
            at = self.dot(at, key)
        clash = self.local()
        self.emit(ir.MakeObjectStmt(clash, self.place))
        self.emit(ir.ObjectInsertOnceStmt(key, ir.BoolOperand(True), clash, self.place))
        self.emit(ir.ObjectInsertOnceStmt(key, ir.BoolOperand(False), clash, self.place))
        return self.finish(mark)

    # -- packages

    def package(self, name: str, node: Node) -> ir.Func:
        """The document of a package: base data merged over the rules and packages at the same path."""
        virtual, result = self.local(), self.local()
        blocks = [
            ir.Block(
                (ir.ResetLocalStmt(result, self.place), ir.MakeObjectStmt(virtual, self.place))
            )
        ]
        for key, _ in node.sorted_children():
            child = self.unit.child(self.scope, node, key)
            if child is None:
                continue
            mark = self.capture()
            if child.is_document:
                func = self.unit.function(self.scope, child.path)
            else:
                func = self.unit.package(self.scope, child)
            value = self.call(func, (INPUT, DATA))
            operand = self.load(key_constant(key))
            self.emit(ir.ObjectInsertStmt(operand, value, virtual, self.place))
            blocks.append(self.finish(mark))
        mark = self.capture()
        base: ir.Operand = DATA
        if not node.path and self.scope.has_slots:
            base = self.without_slots(DATA)
        for key in node.path:
            base = self.dot(base, self.load(key_constant(key)))
        self.emit(ir.IsObjectStmt(base, self.place))
        self.emit(ir.ObjectMergeStmt(self.as_local(base), virtual, result, self.place))
        self.emit(ir.ReturnLocalStmt(result, self.place))
        blocks.append(self.finish(mark))
        blocks.append(
            ir.Block((ir.AssignVarStmt(ir.LocalOperand(virtual), result, self.place),)),
        )
        return self.finish_func(name, blocks, result, 2, UNIQUE_KEYS)


def _arity(group: Group) -> int:
    for rule in (*group.rules, *group.defaults):
        return len(rule.head.args or ())
    raise PlanError("a function without rules")


def _shape(rule: ast.Rule, depth: int) -> tuple[int, bool]:
    """How deep a rule inserts, and whether into a set."""
    return len(rule.head.ref.terms) - depth, rule.head.key is not None


def _single_value(rules: Sequence[ast.Rule]) -> bool:
    """Whether all rules have one and the same constant value, so that the first to hold decides."""
    values = {constant(head_value(link)) for rule in rules for link in chain(rule)}
    return len(values) == 1 and all(is_constant(value) for value in values)
