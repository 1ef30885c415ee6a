"""Compiles policies once with every test as an entrypoint, and evaluates each by itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cupcake.engine.builtins.libraries import absent_libraries
from cupcake.engine.documents import document
from cupcake.engine.errors import EngineError, EvaluationError
from cupcake.engine.plan.planner import plan
from cupcake.engine.prints import PRINT, printer
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, CheckedQuery
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.schemas import Schemas
from cupcake.engine.testing.coverage import Counters, Coverage, report
from cupcake.engine.testing.discover import TestCase, find_tests
from cupcake.engine.testing.explain import Failure, case_names, explain, pinned
from cupcake.engine.vm import Limits, Policy, load
from cupcake.engine.vm.hostcalls import HostFunction
from cupcake.engine.vm.policy import UNDEFINED, warm
from cupcake.engine.wasm.assemble import assemble


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case of a `test_x[note]` rule; `inner` are those of a further operand."""

    name: str
    passed: bool
    inner: tuple[CaseResult, ...] = ()


@dataclass(frozen=True, slots=True)
class TestResult:
    """What became of a test: `passed`, or `skipped`, or `error`, or else it failed, with `failure` or `value`.
    `printed` are the lines of its `print(...)`."""

    test: TestCase
    passed: bool = False
    skipped: bool = False
    error: EvaluationError | None = None
    failure: Failure | None = None
    value: Any = UNDEFINED
    cases: tuple[CaseResult, ...] = ()
    duration_ns: int = 0
    printed: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return not (self.passed or self.skipped or self.error)


@dataclass(slots=True)
class Suite:
    """Compiled tests. `modules` are the parsed ones, renamed."""

    modules: list[ast.Module]
    tests: list[TestCase]
    sources: Mapping[str, str]
    _checked: Checked
    _data: Any
    _policy: Policy | None
    _limits: Limits
    _counters: Counters | None
    _lines: list[str]

    def run(self, *, explained: bool = True) -> Iterator[TestResult]:
        """The results, in order. With `explained`, failures say where and why."""
        for test in self.tests:
            self._lines.clear()
            result = self._run(test, explained)
            yield replace(result, printed=tuple(self._lines))

    def coverage(self) -> Coverage | None:
        """What the tests that ran have reached; None when it was not asked for."""
        if self._counters is None:
            return None
        counts = [0] * len(self._counters) if self._policy is None else self._policy.counts()
        return report(self.modules, self._counters, counts)

    def evaluate(self, test: TestCase) -> Any:
        """The value of one test that can run. Raises EvaluationError."""
        assert self._policy is not None
        return self._policy.evaluate("/".join(test.path))

    def _run(self, test: TestCase, explained: bool) -> TestResult:
        if test.todo:
            return TestResult(test, skipped=True)
        if test.problem:
            return TestResult(test, error=EvaluationError("rego_type_error", test.problem))
        started = time.perf_counter_ns()
        try:
            value = self.evaluate(test)
        except EvaluationError as error:
            took = time.perf_counter_ns() - started
            return TestResult(test, error=error, duration_ns=took)
        took = time.perf_counter_ns() - started
        try:
            return self._judge(test, value, took, explained)
        except EvaluationError as error:
            return TestResult(test, error=error, duration_ns=took)

    def _judge(self, test: TestCase, value: Any, took: int, explained: bool) -> TestResult:
        rule = self._rule(test)
        if test.cases and rule.head.key is None:
            names = case_names(rule, test.cases, self._ask)
            cases = _cases(names, value if isinstance(value, dict) else {})
            passed = bool(cases) and all(case.passed for case in cases)
            failure = None
            if explained and not passed:
                failure = self._case_failure(rule, test.cases, names, value)
            return TestResult(
                test, passed, failure=failure, value=value, cases=cases, duration_ns=took
            )
        if value is True:
            return TestResult(test, True, duration_ns=took)
        failure = None
        if value is UNDEFINED and explained:
            failure = self._explain(rule)
        return TestResult(test, value=value, failure=failure, duration_ns=took)

    def _case_failure(
        self, rule: ast.Rule, count: int, names: list[list[Any]], value: Any
    ) -> Failure | None:
        """Why the first case that failed did, when its body stops."""
        for operands in names:
            found = value
            for operand in operands:
                found = found.get(_name(operand)) if isinstance(found, dict) else None
            if found is None:
                return self._explain(pinned(rule, count, operands))
        return None

    def _explain(self, rule: ast.Rule) -> Failure | None:
        """None where the parts cannot be evaluated by themselves: a result must not hang on its explanation."""
        try:
            return explain(rule, self._ask, self.sources)
        except (EngineError, ValueError):
            return None

    def _rule(self, test: TestCase) -> ast.Rule:
        size = len(test.path)
        for path, group in self._checked.rules.items():
            if path[:size] == test.path and group.rules:
                return group.rules[0]
        raise KeyError(test.full_name)

    def _ask(self, query: CheckedQuery) -> list[dict[str, Any]]:
        artifact = assemble(
            plan(self._checked, (), self._data, query=query), extra_builtins=[PRINT], linked=False
        )
        unheard = {PRINT.name: printer(lambda line: None)}
        policy = load(artifact, limits=self._limits, builtins=unheard, quick=True)
        return policy.solutions(artifact.entrypoints[0])


def compile_tests(
    modules: Sequence[ast.Module],
    data: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    only: re.Pattern[str] | None = None,
    coverage: bool = False,
    limits: Limits | None = None,
    allowed: frozenset[str] | None = None,
    core_cache: Path | None = None,
    schemas: Schemas | None = None,
) -> Suite:
    """The tests whose full name (`data.a.test_x`) has a match of `only`; `allowed` are the builtins that exist, None for
    all; `core_cache` a folder for the runtime's compiled code. Raises CompileErrors."""
    renamed, tests = find_tests(modules)
    checked = check(
        renamed,
        data_paths=data,
        absent=absent_libraries(),
        sources=sources,
        extra_builtins=[PRINT],
        prints=True,
        allowed=allowed,
        schemas=schemas,
    )
    tests = [test for test in tests if only is None or only.search(test.full_name)]
    paths = ["/".join(t.path) for t in tests if not t.todo and not t.problem]
    base = document(data)
    counters = Counters() if coverage else None
    policy = None
    limits = limits or Limits()
    lines: list[str] = []
    served: dict[str, HostFunction] = {PRINT.name: printer(lines.append)}
    if paths:
        if counters is None:
            planned = plan(checked, paths, base)
        else:
            # Without the index: a condition that was not met has been reached too.
            counting = counters.policy(checked)
            planned = plan(counting, paths, base, index=False, counters=len(counters))
        artifact = assemble(planned, extra_builtins=[PRINT], linked=False)
        if core_cache is not None:
            warm(artifact.core, core_cache)
        policy = load(artifact, limits=limits, builtins=served, quick=True)
    return Suite(renamed, tests, sources, checked, base, policy, limits, counters, lines)


def _cases(names: list[list[Any]], value: Mapping[str, Any]) -> tuple[CaseResult, ...]:
    """The tree of cases: those that gave true have passed."""
    grouped: dict[str, list[list[Any]]] = {}
    for first, *rest in names:
        grouped.setdefault(_name(first), []).append(rest)
    found: list[CaseResult] = []
    for name, rests in grouped.items():
        below = value.get(name)
        if any(rests):
            inner = _cases([r for r in rests if r], below if isinstance(below, dict) else {})
            found.append(CaseResult(name, all(c.passed for c in inner), inner))
        else:
            found.append(CaseResult(name, below is True))
    return tuple(found)


def _name(operand: Any) -> str:
    return operand if isinstance(operand, str) else json.dumps(operand, separators=(",", ":"))
