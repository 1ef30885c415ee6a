"""Static types: refuses calls, unifications and refs that can never succeed, as OPA does.

Infers types of the checked form from literals, builtin results and rule values. It is a filter, not a proof:
whatever it is not sure of has the type `any`, which agrees with everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cupcake.engine.builtins import types as ty
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Path, RuleGroup
from cupcake.engine.rego.conflicts import definitions, is_whole, ref_text
from cupcake.engine.rego.reach import Reach
from cupcake.engine.rego.resolve import Problems, Signatures, dotted
from cupcake.engine.rego.rewrite_terms import TYPE_ERROR
from cupcake.engine.rego.rule_paths import RulePaths
from cupcake.engine.rego.schemas import Documents
from cupcake.engine.rego.type_patterns import Env, fits
from cupcake.engine.rego.type_rules import (
    NOTHING,
    bounded,
    have_text,
    keys_of,
    literal_type,
    may_equal,
    merged,
    select,
    type_text,
    union,
)
from cupcake.engine.rego.uses import plain_vars
from cupcake.engine.rego.withs import callable_arity, check_document

_CLOSURES = (ast.ArrayComprehension, ast.SetComprehension, ast.ObjectComprehension)
_COMPARISONS = frozenset({"equal"})


class TypeChecker:
    """Checks rules against each other; types of rules are inferred once, on demand.

    Only for groups without recursion and conflicts.
    """

    def __init__(
        self,
        groups: Mapping[Path, RuleGroup],
        signatures: Signatures,
        written: Mapping[int, Mapping[str, str]],
        problems: Problems,
        known: Mapping[Path, ty.Type] | None = None,
        *,
        documents: Documents | None = None,
    ) -> None:
        """`known`: groups that need no check any more, with their types; `documents`: those of input and data."""
        self.documents = documents
        # Of the rule that is looked at: an object with `input` and `data`; None where nothing is known.
        self.around: ty.Type | None = None
        self.groups = groups
        self.signatures = signatures
        self.builtins = signatures.builtins
        self.written = written
        self.problems = problems
        self.names: Mapping[str, str] = {}
        self.done: dict[Path, ty.Type] = dict(known or {})
        # While a statement with `with` is looked at: the documents that it replaces, with what they become.
        self.replaced: dict[Path, ty.Type] | None = None
        # Types of calls and comprehensions of one statement, by id: literals in literals are looked at twice.
        self.seen: dict[int, ty.Type] = {}
        self.reach = Reach(groups)
        self.paths = RulePaths.of(groups)
        self.joined: dict[Path, ty.Type] = {}  # what groups make together with those below them

    # -- rules ---------------------------------------------------------------------------------

    def check_all(self, order: Sequence[Path]) -> None:
        """Check all groups; `order` has each after its dependencies, so that no chain nests deeply."""
        for path in order:
            self.group_type(path)

    def check_query(self, body: ast.Body, written: Mapping[str, str]) -> None:
        self.names = written
        self.around = None if self.documents is None else self.documents.query
        self.body(body, {})

    def group_type(self, path: Path) -> ty.Type:
        """The type of the document or function at a group's path."""
        found = self.done.get(path)
        if found is not None:
            return found
        self.done[path] = ty.ANY
        group = self.groups[path]
        saved = self.names, self.replaced, self.around
        self.replaced = None
        errors = len(self.problems)
        values: list[ty.Type] = []
        args: list[list[ty.Type]] = [[] for _ in range(group.arity or 0)]
        for rule in definitions(group):
            self.names = self.written.get(id(rule), {})
            self.around = None if self.documents is None else self.documents.of(rule)
            link: ast.Rule | None = rule
            while link is not None:
                env: Env = {}
                values.append(self.rule_type(group, link, env))
                for kinds, arg in zip(args, link.head.args or (), strict=False):
                    kinds.append(self.term(arg, env))
                link = link.else_
        self.names, self.replaced, self.around = saved
        result = union(values) if group.kind != "partial_object" else merged(values)
        if group.kind == "function":
            result = ty.FunctionOf(tuple([union(kinds) for kinds in args]), result)
        is_wrong = group.kind == "function" and len(self.problems) > errors
        if is_wrong or any(value is NOTHING for value in values):
            result = ty.ANY  # so that who calls it is not blamed, too; and of what is never there nothing is known
        self.done[path] = result
        return result

    def rule_type(self, group: RuleGroup, rule: ast.Rule, env: Env) -> ty.Type:
        head = rule.head
        self.body(rule.body, env)
        operands = [self.term(t, env) for t in head.ref.terms[1 + len(group.path) :]]
        term = head.value if head.key is None else head.key
        value = ty.BOOLEAN if term is None else self.term(term, env)
        if value is NOTHING:
            return NOTHING
        value = bounded(value if head.key is None else ty.SetOf(value))
        if is_whole(group, rule):
            return value
        for key in reversed(operands):
            value = ty.ObjectOf((), bounded(key), value)
        return value

    # -- statements ----------------------------------------------------------------------------

    def body(self, body: ast.Body, env: Env) -> None:
        for expr in body:
            self.expr(expr, env)

    def expr(self, expr: ast.Expr, env: Env) -> None:
        before, self.seen = (self.replaced, self.seen, self.around), {}
        for w in expr.withs:
            self.with_(w, env)
        if expr.withs:
            self.replaced = {**(self.replaced or {}), **self.replacements(expr.withs, env)}
        if expr.withs:
            self.around = self.without(expr.withs)
        self.kind(expr, env)
        self.replaced, self.seen, self.around = before

    def without(self, withs: Sequence[ast.With]) -> ty.Type | None:
        """The documents around, where a `with` replaces some: nothing is known of these."""
        if not isinstance(self.around, ty.ObjectOf):
            return None
        targets = [w.target.terms[0] if isinstance(w.target, ast.Ref) else w.target for w in withs]
        gone = {t.name for t in targets if isinstance(t, ast.Var)}
        left = tuple([(name, kind) for name, kind in self.around.static if name not in gone])
        return ty.ObjectOf(left, ty.ANY, ty.ANY)

    def root(self, name: str) -> ty.Type:
        """The type of `input` or of the base document."""
        if isinstance(self.around, ty.ObjectOf):
            return dict(self.around.static).get(name, ty.ANY)
        return ty.ANY

    def replacements(self, withs: Sequence[ast.With], env: Env) -> dict[Path, ty.Type]:
        """What rules can be under `with`: anything where they depend on what is replaced; where they are replaced
        themselves, what they are or the new value."""
        found: dict[Path, ty.Type] = {}
        for w in withs:
            found.update(dict.fromkeys(self.reach.of(w.target), ty.ANY))
        for w in withs:
            terms = w.target.terms if isinstance(w.target, ast.Ref) else ()
            if not terms or terms[0] != ast.Var("data"):
                continue
            path = tuple([t.value for t in terms[1:] if isinstance(t, ast.String)])
            group = self.groups.get(path)
            if group is not None and group.kind == "function":
                found[path] = self.group_type(path)
            elif group is not None and path not in self.paths.above:
                found[path] = union([self.group_type(path), self.term(w.value, env)])
        return found

    def kind(self, expr: ast.Expr, env: Env) -> None:
        kind = expr.kind
        if isinstance(kind, ast.Unify):
            left = self.term(kind.lhs, env)
            right = self.term(kind.rhs, env)
            if (
                not may_equal(left, right)
                or self.of_scalar(kind, env)
                or not self.matches(kind, left, right, env)
            ):
                # `f(x, y)` was written, with an operand for the result, if the call is where the statement is.
                if isinstance(kind.rhs, ast.Call) and kind.rhs.loc == expr.loc:
                    self.misused(kind.rhs, left, right, env)
                else:
                    self.mismatch(left, right, expr.loc)
            if expr.generated and isinstance(right, ty.Scalar) and type(kind.rhs) in ast.SCALARS:
                right = NOTHING  # the `xs` of `some x in xs`: OPA lets a scalar be, not one beside a pattern
            self.bind(kind.lhs, right, env)
            self.bind(kind.rhs, left, env)
        elif isinstance(kind, ast.Every):
            self.term(kind.domain, env)
            for name in plain_vars(kind.domain):
                env.setdefault(name, ty.ANY)
            self.every_body(kind.body, env)
        elif isinstance(kind, ast.Call):
            self.call(kind, env, nested=False, loc=expr.loc)
            builtin = self.builtins.get(dotted(kind.operator))
            if builtin is not None and builtin.relation:
                self.bind(kind.args[-1], builtin.result, env)
        elif isinstance(kind, ast.Block):
            self.every_body(kind.body, dict(env))
        elif not isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
            self.term(kind, env)

    def matches(self, kind: ast.Unify, left: ty.Type, right: ty.Type, env: Env) -> bool:
        """Whether a pattern with a variable of which nothing is known can be the other side; its variables take types."""
        for pattern, value in ((kind.lhs, right), (kind.rhs, left)):
            if isinstance(pattern, (ast.Array, ast.Object)):
                names = plain_vars(pattern)
                if any(v.startswith("__local") and v not in env for v in names):
                    return fits(pattern, value, env, self.term)
        return True

    def of_scalar(self, kind: ast.Unify, env: Env) -> bool:
        """Whether it is what `some [x, y] in 7` becomes."""
        if not isinstance(kind.lhs, (ast.Array, ast.Object)) or not isinstance(kind.rhs, ast.Ref):
            return False
        head = kind.rhs.terms[0]
        return isinstance(head, ast.Var) and env.get(head.name) is NOTHING

    def every_body(self, body: ast.Body, env: Env) -> None:
        """Of the body of an `every`, `not`, `and` or `or`, OPA checks the refs and the closures, not the calls and comparisons."""
        for expr in body:
            kind = expr.kind
            if isinstance(kind, ast.Unify):
                terms: tuple[ast.Term, ...] = (kind.lhs, kind.rhs)
            elif isinstance(kind, ast.Every):
                terms = (kind.domain,)
                self.every_body(kind.body, env)
            elif isinstance(kind, ast.Block):
                self.every_body(kind.body, dict(env))
                continue
            elif isinstance(kind, (ast.Assign, ast.SomeDecl, ast.SomeIn, ast.Not, ast.Logical)):
                continue
            else:
                terms = (kind,)
            for term in (*terms, *(w.value for w in expr.withs)):
                self.parts(term, env)

    def parts(self, term: ast.Term, env: Env) -> None:
        """Check the refs and closures of a term whose calls are not checked."""
        match term:
            case ast.Call():
                for t in term.args:
                    self.parts(t, env)
            case ast.Array() | ast.Set():
                for t in term.items:
                    self.parts(t, env)
            case ast.Object():
                for k, v in term.pairs:
                    self.parts(k, env)
                    self.parts(v, env)
            case _:
                if not (
                    isinstance(term, ast.Ref) and callable_arity(term, self.signatures) is not None
                ):
                    self.term(term, env)

    def with_(self, w: ast.With, env: Env) -> None:
        """The value is a term like others unless it names a function; documents of rules are whole."""
        target = w.target
        mocked = callable_arity(target, self.signatures) is not None
        if not mocked or callable_arity(w.value, self.signatures) is None:
            self.term(w.value, env)
        else:
            self.stand_in(w)
        if isinstance(target, ast.Ref) and target.terms[0] == ast.Var("data"):
            check_document(target, self.groups, self.problems)

    def stand_in(self, w: ast.With) -> None:
        """A function that stands for another one takes what that one takes."""
        wanted, have = self.function_args(w.target), self.function_args(w.value)
        if len(wanted) == len(have) and not all(map(may_equal, wanted, have)):
            haves, wants = (", ".join(map(type_text, kinds)) for kinds in (have, wanted))
            name = dotted(w.target) if isinstance(w.target, ast.Ref) else ""
            text = f"{name}: arity mismatch\n\thave: ({haves})\n\twant: ({wants})"
            self.problems.add(TYPE_ERROR, text, w.loc)

    def function_args(self, term: ast.Term) -> tuple[ty.Type, ...]:
        """The types of the arguments of the function that a term names, empty when nothing is known."""
        if not isinstance(term, ast.Ref):
            return ()
        name = dotted(term)
        path = self.paths.functions.get(name)
        if path is not None:
            found = self.group_type(path)
            return found.args if isinstance(found, ty.FunctionOf) else ()
        builtin = self.builtins.get(name)
        return () if builtin is None or builtin.variadic else tuple(builtin.args)

    def misused(self, call: ast.Call, given: ty.Type, result: ty.Type, env: Env) -> None:
        """The operand for the result of a call can never be one."""
        name = dotted(call.operator)
        path = self.paths.functions.get(name)
        function = self.document(path) if path is not None else self.builtins.get(name)
        args = function.args if isinstance(function, (ty.FunctionOf, ty.Builtin)) else ()
        have = have_text([*(self.term(a, env) for a in call.args), given], nested=False)
        want = ", ".join(type_text(t) for t in (*args, result))
        text = f"{name}: invalid argument(s)\n\thave: {have}\n\twant: ({want})"
        self.problems.add(TYPE_ERROR, text, call.loc)

    def mismatch(self, left: ty.Type, right: ty.Type, loc: ast.Location) -> None:
        text = f"match error\n\tleft  : {type_text(left)}\n\tright : {type_text(right)}"
        self.problems.add(TYPE_ERROR, text, loc)

    def bind(self, pattern: ast.Term, value: ty.Type, env: Env) -> None:
        """Variables of a pattern take the types of what they are matched with."""
        if isinstance(pattern, ast.Var):
            if pattern.name.startswith("__local") and pattern.name not in env:
                env[pattern.name] = bounded(value)
        elif isinstance(pattern, ast.Array):
            for i, item in enumerate(pattern.items):
                part = select(value, ast.Number(str(i)), ty.NUMBER)
                self.bind(item, ty.ANY if part is NOTHING else part, env)
        elif isinstance(pattern, ast.Object):
            for key, item in pattern.pairs:
                part = select(value, key, self.term(key, env))
                self.bind(item, ty.ANY if part is NOTHING else part, env)

    # -- terms ---------------------------------------------------------------------------------

    def term(self, term: ast.Term, env: Env) -> ty.Type:
        """The type of a term; checks the calls, refs and closures in it."""
        if isinstance(term, (ast.Call, *_CLOSURES)):
            known = self.seen.get(id(term))
            if known is None:
                known = self.seen[id(term)] = self.computed(term, env)
            return known
        match term:
            case ast.String():
                return ty.STRING
            case ast.Number():
                return ty.NUMBER
            case ast.Boolean():
                return ty.BOOLEAN
            case ast.Null():
                return ty.NULL
            case ast.Var("input"):
                return self.root("input")
            case ast.Var():
                return env.get(term.name, ty.ANY)
            case ast.Ref():
                return self.ref(term, env)
            case ast.Array():
                return ty.ArrayOf(tuple([self.term(t, env) for t in term.items]))
            case ast.Set():
                return ty.SetOf(union([self.term(t, env) for t in term.items]))
            case ast.Object():
                return self.object(term, env)
            case _:
                return ty.ANY

    def computed(self, term: ast.Call | ast.Comprehension, env: Env) -> ty.Type:
        match term:
            case ast.Call():
                return self.call(term, env, nested=True)
            case ast.ArrayComprehension():
                inner = dict(env)
                self.body(term.body, inner)
                return ty.ArrayOf(rest=self.term(term.term, inner))
            case ast.SetComprehension():
                inner = dict(env)
                self.body(term.body, inner)
                return ty.SetOf(self.term(term.term, inner))
            case ast.ObjectComprehension():
                inner = dict(env)
                self.body(term.body, inner)
                return ty.ObjectOf((), self.term(term.key, inner), self.term(term.value, inner))

    def object(self, term: ast.Object, env: Env) -> ty.Type:
        static: list[tuple[str, ty.Type]] = []
        keys: list[ty.Type] = []
        values: list[ty.Type] = []
        for key, value in term.pairs:
            kind = self.term(value, env)
            if isinstance(key, ast.String):
                static.append((key.value, kind))
            else:
                keys.append(self.term(key, env))
                values.append(kind)
        if not term.pairs:
            return ty.OBJECT
        if not keys:
            return ty.ObjectOf(tuple(static))
        return ty.ObjectOf(tuple(static), union(keys), union(values))

    def ref(self, term: ast.Ref, env: Env) -> ty.Type:
        head = term.terms[0]
        at = 1
        if isinstance(head, ast.Var) and head.name == "data":
            path: Path = ()
            found: Path | None = None
            size = 1
            for t in term.terms[1:]:
                if not isinstance(t, ast.String):
                    break
                path = (*path, t.value)
                size += 1
                if path in self.groups:
                    found, at = path, size
                if path not in self.paths.above:
                    break
            base = self.root("data")
            if found is None and base is not ty.ANY and path not in self.paths.above:
                at, found, current = 1, (), base
            elif size == len(term.terms) and path in self.paths.above:
                return self.extent(path)
            elif found is None:
                is_never = self.package_key(term, env)
                self.operands(term, 1, env)
                return NOTHING if is_never else ty.ANY
            elif self.groups[found].kind == "function":
                text = f"function {ref_text(term, self.names)} used as reference, not called"
                self.problems.add(TYPE_ERROR, text, term.loc)
                return ty.ANY
            else:
                current = (self.extent if found in self.paths.above else self.document)(found)
        elif isinstance(head, ast.Var) and head.name == "input":
            current = self.root("input")
        else:
            current = self.term(head, env)
            if isinstance(head, ast.Var):
                env.setdefault(head.name, current)
        for t in term.terms[at:]:
            known = self.term(t, env)
            part = select(current, t, known)
            if part is NOTHING:
                self.undefined(term)
                self.operands(term, at, env)
                return ty.ANY
            if isinstance(t, (ast.Var, ast.Array, ast.Object)):
                self.bind(t, keys_of(current), env)
            current = part
        return current

    def package_key(self, term: ast.Ref, env: Env) -> bool:
        """A variable that stands for the name of a package or a rule is a string; whether a constant is none."""
        path: Path = ()
        for t in term.terms[1:]:
            if isinstance(t, ast.String):
                path = (*path, t.value)
                continue
            by_name = path in self.paths.names_only and path not in self.groups
            if not by_name or self.is_replaced(path):
                return False
            if isinstance(t, ast.Var):
                if not may_equal(self.term(t, env), ty.STRING):
                    self.undefined(term)
                self.bind(t, ty.STRING, env)
            return type(t) in ast.SCALARS
        return False

    def document(self, path: Path) -> ty.Type:
        """The type of a document where it is read, which may be under `with`."""
        found = None if self.replaced is None else self.replaced.get(path)
        return self.group_type(path) if found is None else found

    def is_replaced(self, path: Path) -> bool:
        """Whether a `with` around replaces something below a name."""
        return any(gone[: len(path)] == path for gone in self.replaced or ())

    def extent(self, path: Path) -> ty.Type:
        """The type of a package, or of what rules make together: an object of theirs and of base documents."""
        if self.is_replaced(path):
            return ty.ANY
        if path in self.groups:
            if path not in self.joined:
                self.joined[path] = self.beside(path)
            return self.joined[path]
        static: dict[str, ty.Type] = {}
        keys: ty.Type = ty.STRING
        for key in self.paths.below.get(path, ()):
            if not isinstance(key, str):
                keys = ty.ANY
                continue
            name = (*path, key)
            group = self.groups.get(name)
            if group is None or name in self.paths.above:
                static[key] = self.extent(name)
            else:
                static[key] = ty.ANY if group.kind == "function" else self.document(name)
        return bounded(ty.ObjectOf(tuple(static.items()), keys, ty.ANY))

    def beside(self, path: Path) -> ty.Type:
        """The type of a group that makes keys beside those of the rules below it: what these make may be at each key."""
        own = self.group_type(path)
        if not isinstance(own, ty.ObjectOf):
            return own
        keys, values = [], []
        if own.dynamic_key is not None:
            keys, values = [own.dynamic_key], [own.dynamic_value or ty.ANY]
        for below, group in self.groups.items():
            names = below[len(path) :]
            if names and below[: len(path)] == path:
                value = ty.ANY if group.kind == "function" else self.group_type(below)
                kinds = [ty.STRING if isinstance(n, str) else literal_type(n) for n in names]
                for key in reversed(kinds[1:]):
                    value = ty.ObjectOf((), key, value)
                keys.append(kinds[0])
                values.append(value)
        return bounded(ty.ObjectOf(own.static, union(keys), union(values)))

    def operands(self, term: ast.Ref, at: int, env: Env) -> None:
        for t in term.terms[at:]:
            if isinstance(t, (ast.Ref, ast.Call)):
                self.term(t, env)
            else:
                self.bind(t, ty.ANY, env)

    def undefined(self, term: ast.Ref) -> None:
        self.problems.add(TYPE_ERROR, f"undefined ref: {ref_text(term, self.names)}", term.loc)

    # -- calls ---------------------------------------------------------------------------------

    def call(
        self, call: ast.Call, env: Env, *, nested: bool, loc: ast.Location = ast.NOWHERE
    ) -> ty.Type:
        """Check a call; variables without a type take that of the operand for which they stand."""
        have = [self.term(a, env) for a in call.args]
        name = dotted(call.operator)
        loc = loc if loc.row else call.loc
        path = self.paths.functions.get(name)
        if path is not None:
            function = self.document(path)
            if not isinstance(function, ty.FunctionOf):
                return ty.ANY
            self.operands_fit(call, have, function, env, nested=nested, loc=loc)
            return function.result or ty.ANY
        builtin = self.builtins.get(name)
        if builtin is None:
            if name.startswith("data."):
                self.called_rule(call, loc)
            return ty.ANY
        if name in _COMPARISONS and len(have) == 2:
            # As a statement it is a unification; as a value (`x := 1 == "a"`) it is just false.
            if not nested:
                if not may_equal(have[0], have[1]):
                    self.mismatch(have[0], have[1], loc)
                self.bind(call.args[0], have[1], env)
                self.bind(call.args[1], have[0], env)
            return ty.BOOLEAN
        if builtin.variadic:
            return builtin.result
        wanted = ty.FunctionOf(builtin.args, builtin.result)
        fits = self.operands_fit(call, have, wanted, env, nested=nested, loc=loc)
        return builtin.result if fits else ty.ANY

    def called_rule(self, call: ast.Call, loc: ast.Location) -> None:
        """A rule may be called without arguments where nothing is known of its type: OPA takes that for a function."""
        path = tuple(t.value for t in call.operator.terms[1:] if isinstance(t, ast.String))
        group, name, got = self.groups.get(path), dotted(call.operator), len(call.args)
        if group is not None and got:
            noun = "argument" if got == 1 else "arguments"
            text = f"function {name} has arity 0, got {got} {noun}"
            self.problems.add(TYPE_ERROR, text, loc)
        elif group is None or group.kind != "complete" or self.document(path) != ty.ANY:
            self.problems.add(TYPE_ERROR, f"undefined function {name}", loc)

    def operands_fit(
        self,
        call: ast.Call,
        have: list[ty.Type],
        function: ty.FunctionOf,
        env: Env,
        *,
        nested: bool,
        loc: ast.Location,
    ) -> bool:
        # A relation has its result as the last operand.
        operands = (*function.args, function.result or ty.ANY)
        for arg, kind, wanted in zip(call.args, have, operands, strict=False):
            literal = isinstance(arg, (ast.Var, ast.Array, ast.Object, ast.Set))
            if not may_equal(kind, wanted) or (literal and not fits(arg, wanted, env, self.term)):
                wants = ", ".join(type_text(t) for t in operands)
                name, haves = dotted(call.operator), have_text(have, nested)
                text = f"{name}: invalid argument(s)\n\thave: {haves}\n\twant: ({wants})"
                self.problems.add(TYPE_ERROR, text, loc)
                return False
        return True
