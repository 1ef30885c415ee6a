"""Compiles policies once with every test as an entrypoint, evaluates each by itself, and has failures explained together."""

from __future__ import annotations

import json
import pathlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cupcake.engine.builtins.libraries import absent_libraries
from cupcake.engine.compiler import Caches
from cupcake.engine.documents import document
from cupcake.engine.errors import EvaluationError
from cupcake.engine.plan.counting import EVENT
from cupcake.engine.plan.planner import plan
from cupcake.engine.prints import PRINT, printer
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, Path
from cupcake.engine.rego.compile import check
from cupcake.engine.rego.schemas import Schemas
from cupcake.engine.testing.asking import Asker
from cupcake.engine.testing.coverage import Counters, Coverage, report
from cupcake.engine.testing.discover import Renamed, TestCase, find_tests
from cupcake.engine.testing.events import Sites
from cupcake.engine.testing.explain import Explaining, Failure, case_names, explain, pinned
from cupcake.engine.testing.notes import Line, Notes
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
    `printed` are the lines of its `print(...)`, `notes` what `trace(...)` said where it was asked for."""

    test: TestCase
    passed: bool = False
    skipped: bool = False
    error: EvaluationError | None = None
    failure: Failure | None = None
    value: Any = UNDEFINED
    cases: tuple[CaseResult, ...] = ()
    duration_ns: int = 0
    printed: tuple[str, ...] = ()
    notes: tuple[Line, ...] = ()

    @property
    def failed(self) -> bool:
        return not (self.passed or self.skipped or self.error)


@dataclass(slots=True)
class SuiteCache:
    """Give it to each compile of the tests of the same files in turn: only what has changed is compiled again."""

    caches: Caches = field(default_factory=Caches)
    renamed: dict[str, Renamed] = field(default_factory=dict)


@dataclass(slots=True)
class Suite:
    """Compiled tests. `modules` are the parsed ones, renamed."""

    modules: list[ast.Module]
    tests: list[TestCase]
    sources: Mapping[str, str]
    _rules: Mapping[Path, ast.Rule]
    _policy: Policy | None
    _naming: Policy | None
    _asker: Asker
    _counters: Counters | None
    _notes: Notes | None
    _lines: list[str]

    def run(self, *, explained: bool = True) -> list[TestResult]:
        """The results, in order. With `explained`, failures say where and why."""
        results: list[TestResult] = []
        for test in self.tests:
            self._lines.clear()
            if self._notes is not None:
                self._notes.start()
            result = self._run(test)
            notes = () if self._notes is None else tuple(self._notes.lines)
            results.append(replace(result, printed=tuple(self._lines), notes=notes))
        if explained:
            failures = self._asker.explain(
                {
                    number: why
                    for number, result in enumerate(results)
                    if result.failed and (why := self._why(result)) is not None
                }
            )
            for number, failure in failures.items():
                results[number] = replace(results[number], failure=failure)
        return results

    def coverage(self) -> Coverage | None:
        """What the tests that ran have reached; None when it was not asked for."""
        if self._counters is None:
            return None
        counts = [0] * len(self._counters) if self._policy is None else self._policy.counts()
        return report(self.modules, self._counters, counts, self.sources)

    def evaluate(self, test: TestCase) -> Any:
        """The value of one test that can run. Raises EvaluationError."""
        assert self._policy is not None
        return self._policy.evaluate("/".join(test.path))

    def _run(self, test: TestCase) -> TestResult:
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
            return self._judge(test, value, took)
        except EvaluationError as error:
            return TestResult(test, error=error, duration_ns=took)

    def _judge(self, test: TestCase, value: Any, took: int) -> TestResult:
        if _has_cases(test, self._rules[test.path]):
            cases = _cases(self._case_names(test), value if isinstance(value, dict) else {})
            passed = bool(cases) and all(case.passed for case in cases)
            return TestResult(test, passed, value=value, cases=cases, duration_ns=took)
        return TestResult(test, value is True, value=value, duration_ns=took)

    def _case_names(self, test: TestCase) -> list[list[Any]]:
        assert self._naming is not None
        found: list[list[Any]] = []
        for solution in self._naming.solutions(_names_of(test)):
            if solution["names"] not in found:
                found.append(solution["names"])
        return found

    def _why(self, result: TestResult) -> Explaining | None:
        """The explanation to ask for: of a body that stops, or of the first case whose does."""
        rule = self._rules[result.test.path]
        if not _has_cases(result.test, rule):
            return explain(rule, self.sources) if result.value is UNDEFINED else None
        for operands in self._case_names(result.test):
            found = result.value
            for operand in operands:
                found = found.get(_name(operand)) if isinstance(found, dict) else None
            if found is None:
                return explain(pinned(rule, result.test.cases, operands), self.sources)
        return None


def compile_tests(
    modules: Sequence[ast.Module],
    data: Mapping[str, Any],
    sources: Mapping[str, str],
    *,
    only: re.Pattern[str] | None = None,
    coverage: bool = False,
    notes: bool = False,
    limits: Limits | None = None,
    allowed: frozenset[str] | None = None,
    core_cache: pathlib.Path | None = None,
    schemas: Schemas | None = None,
    cache: SuiteCache | None = None,
) -> Suite:
    """The tests whose full name (`data.a.test_x`) has a match of `only`; `coverage` and `notes` (not both) compile them to be
    watched; `allowed` are the builtins that exist, None for all; `core_cache` a folder for the runtime's compiled code. Raises CompileErrors."""
    cache = SuiteCache() if cache is None else cache
    caches = cache.caches
    caches.start()
    renamed, tests = find_tests(modules, cache.renamed)
    checked = check(
        renamed,
        data_paths=data,
        absent=absent_libraries(),
        sources=sources,
        extra_builtins=[PRINT],
        prints=True,
        allowed=allowed,
        schemas=schemas,
        cache=caches.modules,
    )
    tests = [test for test in tests if only is None or only.search(test.full_name)]
    runnable = [t for t in tests if not t.todo and not t.problem]
    paths = ["/".join(t.path) for t in runnable]
    rules = _rules_of(checked, runnable)
    names = {
        _names_of(t): case_names(rule, t.cases)
        for t in runnable
        if _has_cases(t, rule := rules[t.path])
    }
    base = document(data)
    counters = Counters() if coverage else None
    policy = naming = None
    limits = limits or Limits()
    lines: list[str] = []
    served: dict[str, HostFunction] = {PRINT.name: printer(lines.append)}
    noted = None
    if paths:
        if notes:
            sites = Sites(notes=True)
            noted = Notes(sites, sources)
            served[EVENT.name] = noted.host
            planned = plan(sites.policy(checked), paths, base, queries=names)
            artifact = assemble(planned, extra_builtins=[PRINT, EVENT], linked=False)
        elif counters is None:
            planned = plan(checked, paths, base, queries=names, cache=caches.plans)
            artifact = assemble(planned, extra_builtins=[PRINT], cache=caches.code, linked=False)
        else:
            # Without the index: a condition that was not met has been reached too.
            counting = counters.policy(checked)
            planned = plan(counting, paths, base, index=False, counters=len(counters))
            artifact = assemble(planned, extra_builtins=[PRINT], linked=False)
        if core_cache is not None:
            warm(artifact.core, core_cache)
        policy = naming = load(artifact, limits=limits, builtins=served, quick=True)
        if counters is not None and names:  # must not be counted
            planned = plan(checked, (), base, queries=names)
            artifact = assemble(planned, extra_builtins=[PRINT], linked=False)
            naming = load(artifact, limits=limits, builtins=served, quick=True)
    caches.done()
    asker = Asker(checked, base, limits, caches)
    return Suite(renamed, tests, sources, rules, policy, naming, asker, counters, noted, lines)


def _rules_of(checked: Checked, tests: Iterable[TestCase]) -> dict[Path, ast.Rule]:
    """The rule of every test, by its path."""
    wanted: set[Path] = {test.path for test in tests}
    found: dict[Path, ast.Rule] = {}
    for path, group in checked.rules.items():
        for size in range(1, len(path) + 1):
            if group.rules and path[:size] in wanted:
                found.setdefault(path[:size], group.rules[0])
    return found


def _has_cases(test: TestCase, rule: ast.Rule) -> bool:
    return bool(test.cases) and rule.head.key is None


def _names_of(test: TestCase) -> str:
    """The plan that finds the names of a test's cases. No entrypoint has a name with a space."""
    return f"cases of {test.full_name}"


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
