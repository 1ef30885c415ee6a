"""Checked policy -> IR. The entry of this package: `plan`.

Functions are planned on demand, breadth first from the entrypoints, so only what they can reach is in the result.
Equal input gives equal IR.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from cupcake.engine.plan import collect, ir, rule_tree
from cupcake.engine.plan.collect import Collection
from cupcake.engine.plan.collector import CollectorPlanner
from cupcake.engine.plan.emitter import PlanError
from cupcake.engine.plan.groups import GroupPlanner
from cupcake.engine.plan.guards import GuardReader
from cupcake.engine.plan.reuse import NOWHERE, PlanCache, Question, Reuse
from cupcake.engine.plan.rule_tree import Key, Node, Path
from cupcake.engine.plan.scope import Scope
from cupcake.engine.plan.taint import Definitions, TaintReader
from cupcake.engine.plan.terms import data_path
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, CheckedQuery

RESULT_KEY = "result"
_NO_QUERIES: Mapping[str, CheckedQuery] = MappingProxyType({})


def plan(
    checked: Checked,
    entrypoints: Sequence[str] = (),
    data: ir.Const | ir.ConstDocument = ir.ConstObject(()),  # noqa: B008 - immutable
    *,
    queries: Mapping[str, CheckedQuery] = _NO_QUERIES,
    index: bool = True,
    cache: PlanCache | None = None,
    counters: int = 0,
) -> ir.Policy:
    """Plans entrypoints (`"a/b/c"`, each adds `{"result": value}` to the result set) and queries.

    The plan of a query has the name that it is given by, and adds one object `{name: value}` for each solution. `data` is the base
    document. `index=False` plans every rule as written, without rule indexes: the oracle for tests of the index. With a `cache`,
    which serves one value of `index`, functions are taken from the plan before where nothing that they depend on changed.
    `counters` is how many the rules were instrumented with (`counting.py`).
    Raises PlanError where `checked` breaks a promise of CHECKED.md."""
    unit = _Unit(checked, index, PlanCache() if cache is None else cache)
    plans = [unit.entrypoint(name) for name in entrypoints]
    plans += [unit.query(name, query) for name, query in queries.items()]
    funcs = unit.drain()
    return ir.Policy(unit.pool.static(), tuple(plans), funcs, data, counters)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A function that was asked for: how to plan it, and the path whose rules and packages it is made from."""

    name: str
    make: Callable[[str], ir.Func]
    of: Path


class _Unit:
    """The policy being planned: its rule tree, the generations, and the functions asked for so far."""

    def __init__(self, checked: Checked, index: bool, cache: PlanCache) -> None:
        self.pool = cache.pool
        self.index = index
        packages = [data_path(module.package) or () for module in checked.modules]
        self._reuse = Reuse(cache, checked, packages)
        self._root = rule_tree.build(checked.rules, packages)
        self._guards = GuardReader(self._root, self._reuse.answers("guards"))
        self._definitions = Definitions()
        self._collections: dict[int, dict[int, Collection]] = {}
        self._generations: dict[Scope, str] = {}
        self._names: dict[str, None] = {}
        self._queue: deque[_Wanted] = deque()
        self._generation(Scope())

    # -- what function planners ask

    @property
    def root(self) -> Node:
        """The tree of all rules."""
        return self._root

    def node_at(self, scope: Scope, path: Path) -> Node | None:
        """The node of `path` as `scope` sees it."""
        if () in scope.removed:
            return None
        node: Node | None = self._root
        for key in path:
            node = None if node is None else node.children.get(key)
            if node is None or (scope.removed and node.path in scope.removed):
                return None
        return node

    def child(self, scope: Scope, node: Node, key: Key) -> Node | None:
        """The child of `node`, unless a `with` has replaced it or it only holds functions."""
        found = node.children.get(key)
        if found is None or not found.readable or (scope.removed and found.path in scope.removed):
            return None
        return found

    def function(self, scope: Scope, path: Path) -> str:
        """Name of the function for the rule group at `path`; it is planned later."""
        name = f"{self._generation(scope)}.{path_name(path)}"
        make = partial(self._group, scope=scope, path=path)
        self._ask(name, make, path, ("function", (scope, path)))
        return name

    def package(self, scope: Scope, node: Node) -> str:
        """Name of the function that builds the document of a package."""
        name = f"{self._generation(scope)}.{path_name(node.path)}/"
        self._ask(
            name,
            lambda func: GroupPlanner(self, scope).package(func, node),
            node.path,
            ("package_at", (scope, node.path)),
        )
        return name

    def package_at(self, scope: Scope, path: Path) -> None:
        """Asks for a package again."""
        node = self.node_at(scope, path)
        assert node is not None
        self.package(scope, node)

    def specialized(
        self, scope: Scope, path: Path, args: tuple[ast.Term, ...]
    ) -> tuple[str, tuple[ast.Term, ...]] | None:
        """A version of a function that collects a verb, for the verb at hand: its name and the arguments that
        it still takes; None where nothing is gained."""
        node = self.node_at(scope, path)
        if not self._may_index(scope) or node is None or node.group is None:
            return None
        group = node.group
        known: dict[int, ast.String] = {}
        for rule in group.rules:
            for collection in self.collections(scope, rule).values():
                for position, pattern in enumerate(rule.head.args or ()):
                    arg = args[position] if position < len(args) else None
                    if pattern == collection.verb and isinstance(arg, ast.String):
                        known[position] = arg
        if not known:
            return None
        shown = ",".join(
            json.dumps(known[p].value) if p in known else "_" for p in range(len(args))
        )
        name = f"{self._generation(scope)}.{path_name(path)}({shown})"
        self._ask(
            name,
            lambda func: GroupPlanner(self, scope).values(func, group, group.rules, known),
            path,
            ("specialized", (scope, path, args)),
        )
        return name, tuple(arg for position, arg in enumerate(args) if position not in known)

    def guards(self, scope: Scope) -> GuardReader | None:
        """Reads guards, where rules may be indexed."""
        return self._guards if self._may_index(scope) else None

    def collections(self, scope: Scope, rule: ast.Rule) -> Mapping[int, Collection]:
        """Collections in the body of `rule` that may be indexed."""
        if not self._may_index(scope):
            return {}
        found = self._collections.get(id(rule))
        if found is None:
            found = self._collections[id(rule)] = collect.find(rule)
        return found

    def collector(self, scope: Scope, prefix: Path, verb: str) -> str | None:
        """Name of the function that collects `verb` below `prefix`; None when that is no package."""
        node = self.node_at(scope, prefix)
        if node is None or not node.path or node.group is not None:
            return None
        name = f"{self._generation(scope)}.{path_name(prefix)}//{json.dumps(verb)}"
        known = self._reuse.answers(f"taint {verb}")
        taints = TaintReader(self._root, verb, self._definitions, known)
        self._ask(
            name,
            lambda func: CollectorPlanner(self, scope).collection(
                func, node, verb, self._guards, taints
            ),
            prefix,
            ("collector", (scope, prefix, verb)),
        )
        return name

    def values_under(self, verb: str) -> str:
        """Name of the function that finds `verb` inside of a value."""
        name = f"walk//{json.dumps(verb)}"
        self._ask(
            name,
            lambda func: CollectorPlanner(self, Scope(), 3).values_under(func, verb),
            NOWHERE,
            ("values_under", (verb,)),
        )
        return name

    def input_keys(self) -> str:
        """Name of the function that lists the keys in input."""
        self._ask(
            "input//",
            lambda func: CollectorPlanner(self, Scope()).input_keys(func),
            NOWHERE,
            ("input_keys", ()),
        )
        return "input//"

    def _may_index(self, scope: Scope) -> bool:
        """Guards are read from rules as written, so only hold where `with` has replaced none of them."""
        return self.index and not scope.removed and not scope.mocks

    # -- plans

    def entrypoint(self, name: str) -> ir.Plan:
        """The plan of an entrypoint `a/b/c`."""
        planner = GroupPlanner(self, Scope())
        mark = planner.capture()
        keys = [part for part in name.split("/") if part]
        term: ast.Term = ast.Var("data")
        if keys:
            term = ast.Ref((ast.Var("data"), *(ast.String(key) for key in keys)))
        value = planner.term(term)
        self._add_result(planner, [(RESULT_KEY, value)])
        return ir.Plan(name, (planner.finish(mark),))

    def query(self, name: str, query: CheckedQuery) -> ir.Plan:
        """The plan of an ad-hoc query."""
        planner = GroupPlanner(self, Scope())
        mark = planner.capture()
        planner.body(query.body)
        self._add_result(
            planner,
            [(name, planner.term(var)) for name, var in query.vars if not planner.unbound(var)],
        )
        return ir.Plan(name, (planner.finish(mark),))

    def _add_result(self, planner: GroupPlanner, pairs: list[tuple[str, ir.Operand]]) -> None:
        result = planner.local()
        planner.emit(ir.MakeObjectStmt(result, planner.place))
        for key, value in pairs:
            planner.emit(ir.ObjectInsertStmt(self.pool.operand(key), value, result, planner.place))
        planner.emit(ir.ResultSetAddStmt(result, planner.place))

    # -- functions

    def drain(self) -> tuple[ir.Func, ...]:
        """Plans all functions asked for, and those that they ask for."""
        funcs: list[ir.Func] = []
        reuse = self._reuse
        while self._queue:
            wanted = self._queue.popleft()
            before = reuse.find(wanted.name, wanted.of)
            if before is None:
                reuse.start()
                func = reuse.keep(wanted.name, wanted.of, wanted.make(wanted.name))
            else:
                func = before.func
                for method, args in before.asked:
                    getattr(self, method)(*args)
            funcs.append(func)
        reuse.close()
        return tuple(sorted(funcs, key=lambda func: func.name))

    def _generation(self, scope: Scope) -> str:
        if scope.removed or scope.mocks:
            # Its number depends on what else is planned.
            self._reuse.spoil()
        return self._generations.setdefault(scope, f"g{len(self._generations)}")

    def _ask(self, name: str, make: Callable[[str], ir.Func], of: Path, question: Question) -> None:
        self._reuse.note(question)
        if name not in self._names:
            self._names[name] = None
            self._queue.append(_Wanted(name, make, of))

    def _group(self, name: str, scope: Scope, path: Path) -> ir.Func:
        node: Node | None = self._root
        for key in path:
            node = None if node is None else node.children.get(key)
        if node is None or node.group is None:
            raise PlanError(f"there is no rule {path_name(path)}")
        group = node.group
        planner = GroupPlanner(self, scope)
        match group.kind:
            case "partial_set":
                func = planner.partial_set(name, group)
            case "partial_object":
                func = planner.partial_object(name, group)
            case _:
                func = planner.values(name, group, group.rules, {})
        keys = tuple(key if isinstance(key, str) else repr(key) for key in path)
        generation = self._generation(scope)
        return ir.Func(
            func.name, func.params, func.result, func.blocks, (generation, *keys), func.conflict
        )


def path_name(path: Path) -> str:
    """Unambiguous text of a path: `data.a["b c"].d`."""
    parts = ["data"]
    for key in path:
        if isinstance(key, str) and key.replace("_", "a").isalnum() and key.isascii():
            parts.append(f".{key}")
        elif isinstance(key, str):
            quoted = key.replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'["{quoted}"]')
        else:
            parts.append(f"[{getattr(key, 'text', getattr(key, 'value', None))}]")
    return "".join(parts)
