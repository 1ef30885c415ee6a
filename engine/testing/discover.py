"""Finds test rules in parsed modules and gives each definition a name of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cupcake.engine.rego import ast

TEST, TODO = "test_", "todo_test_"


@dataclass(frozen=True, slots=True)
class TestCase:
    """One definition of a test rule.

    `package` is "data.a.b", `name` "test_x", or "test_x#01" for the second definition; `path` names the rule below
    `data`; `cases` is how many operands the rule's name has after it (`test_x[note]`); `problem` says why it cannot run.
    """

    package: str
    name: str
    path: tuple[str, ...]
    loc: ast.Location
    cases: int = 0
    todo: bool = False
    problem: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.package}.{self.name}"


@dataclass(frozen=True, slots=True)
class Renamed:
    """What a parsed module became, and the names that its tests got."""

    parsed: ast.Module
    names: tuple[str, ...]
    module: ast.Module


def find_tests(
    modules: Iterable[ast.Module], known: dict[str, Renamed] | None = None
) -> tuple[list[ast.Module], list[TestCase]]:
    """The modules with every definition of a test renamed apart, and the tests by file and row. With what is `known` of the
    files from before, which is brought up to date, one that has not changed is the same object."""
    known = {} if known is None else known
    seen: dict[tuple[str, ...], int] = {}
    tests: list[TestCase] = []
    renamed: list[ast.Module] = []
    for module in sorted(modules, key=lambda m: m.file):
        rules: list[ast.Rule] = []
        first = len(tests)
        for rule in module.rules:
            found = None if rule.default else _test(module, rule, seen)
            if found is None:
                rules.append(rule)
                continue
            test, rule = found
            tests.append(test)
            rules.append(rule)
        names = tuple([test.name for test in tests[first:]])
        before = known.get(module.file)
        if before is None or before.parsed is not module or before.names != names:
            before = Renamed(module, names, replace(module, rules=tuple(rules)))
        known[module.file] = before
        renamed.append(before.module)
    return renamed, tests


def _test(
    module: ast.Module, rule: ast.Rule, seen: dict[tuple[str, ...], int]
) -> tuple[TestCase, ast.Rule] | None:
    names: list[str] = []
    for position, term in enumerate(rule.head.ref.terms):
        if position == 0 and isinstance(term, ast.Var):
            names.append(term.name)
        elif isinstance(term, ast.String):
            names.append(term.value)
        else:
            return None
        if names[-1].startswith((TEST, TODO)):
            break
    else:
        return None
    package = tuple(t.value for t in module.package.terms[1:] if isinstance(t, ast.String))
    key = (*package, *names)
    count = seen[key] = seen.get(key, -1) + 1
    todo = names[-1].startswith(TODO)
    if count:
        names[-1] += f"#{count:02}"
        rule = _rename(rule, len(names) - 1, names[-1])
    problem = ""
    if rule.head.args is not None:
        problem = "a test cannot take arguments: remove them"
    test = TestCase(
        ".".join(("data", *package)),
        ".".join(names),
        (*package, *names),
        rule.loc,
        _cases(rule.head.ref.terms[len(names) :]),
        todo,
        problem,
    )
    return test, rule


def _cases(operands: tuple[ast.Term, ...]) -> int:
    """As in `opa test`, a rule names cases only when its operands are not all constant."""
    return 0 if all(isinstance(t, ast.String) for t in operands) else len(operands)


def _rename(rule: ast.Rule, position: int, name: str) -> ast.Rule:
    terms = list(rule.head.ref.terms)
    old = terms[position]
    terms[position] = ast.Var(name, old.loc) if position == 0 else ast.String(name, old.loc)
    head = replace(rule.head, ref=replace(rule.head.ref, terms=tuple(terms)))
    else_ = None if rule.else_ is None else _rename(rule.else_, position, name)
    return replace(rule, head=head, else_=else_)
