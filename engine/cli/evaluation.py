"""Evaluates a query as `opa eval` does: text and files in; solutions with the values of the query's expressions out.

It must not read files or print.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cupcake.engine.cli.effects import Session
from cupcake.engine.cli.files import Loaded
from cupcake.engine.cli.options import Version, parse_all
from cupcake.engine.cli.output import dump, read_exact
from cupcake.engine.errors import EngineError, EvaluationError
from cupcake.engine.rego import ast
from cupcake.engine.solutions import HIDDEN, in_order

if TYPE_CHECKING:
    from cupcake.engine.rego.schemas import Schemas
    from cupcake.engine.testing.coverage import Counters, Coverage
    from cupcake.engine.testing.errors import Errors
    from cupcake.engine.testing.notes import Line, Notes
    from cupcake.engine.testing.profile import Profiler, Row
    from cupcake.engine.vm import Limits, Policy
    from cupcake.engine.vm.hostcalls import HostFunction

_VALUE = "__value{}__"


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and what it is asked of. `allowed`: the builtins that exist, None for all; `counting`: for coverage; `profiling`,
    `notes` and `errors` (of builtins): for these; `schemas` for the type checker."""

    text: str
    loaded: Loaded
    version: Version = "v1"
    package: str = ""
    imports: tuple[str, ...] = ()
    strict: bool = False
    allowed: frozenset[str] | None = None
    indexed: bool = True
    counting: bool = False
    profiling: bool = False
    notes: bool = False
    errors: bool = False
    schemas: Schemas | None = None


class Timers:
    """Nanoseconds a step took, one list for each step, in the order of measuring."""

    def __init__(self) -> None:
        self.found: dict[str, list[int]] = {}

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        """Times what is done inside."""
        started = time.perf_counter_ns()
        try:
            yield
        finally:
            self.found.setdefault(step, []).append(time.perf_counter_ns() - started)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`solutions`: one {"expressions", "bindings"} each; or `error`. `text` is the query's."""

    text: str

    solutions: list[dict[str, Any]]
    error: EvaluationError | None
    timers: Timers
    coverage: Coverage | None = None
    profile: Sequence[Row] = ()
    notes: Sequence[Line] = ()
    builtin_errors: Sequence[EvaluationError] = ()


@dataclass(slots=True)
class Prepared:
    """A compiled query."""

    text: str
    body: ast.Body
    modules: list[ast.Module]
    sources: Mapping[str, str]
    _policy: Policy
    _session: Session
    _counters: Counters | None
    _profiler: Profiler | None
    _notes: Notes | None
    _errors: Errors | None

    @classmethod
    def of(cls, asked: Asked, limits: Limits, timers: Timers, session: Session) -> Prepared:
        """Compiles. Raises CompileErrors."""
        from cupcake.engine.builtins.libraries import absent_libraries
        from cupcake.engine.builtins.types import ERROR
        from cupcake.engine.documents import document
        from cupcake.engine.plan.counting import EVENT
        from cupcake.engine.plan.planner import plan
        from cupcake.engine.prints import PRINT, printer
        from cupcake.engine.rego.compile import check
        from cupcake.engine.rego.parser import parse_module, parse_query
        from cupcake.engine.vm import load
        from cupcake.engine.vm.cache import default_folder
        from cupcake.engine.vm.policy import warm
        from cupcake.engine.wasm.assemble import assemble

        text, version = asked.text, asked.version
        if not text.strip():
            raise EngineError("cannot evaluate empty query")
        with timers.measure("module_parse"):
            modules = parse_all(asked.loaded, version)
        with timers.measure("query_parse"):
            body = parse_query(text, "<query>", rego_version=version)
            imports: list[ast.Import] = []
            for one in asked.imports:
                parsed = parse_module(f"package p\nimport {one}", "<import>", rego_version=version)
                imports += parsed.imports
        with timers.measure("module_compile"):
            checked = check(
                modules,
                _capture(body),
                data_paths=asked.loaded.data,
                absent=absent_libraries(),
                strict=asked.strict,
                query_package=asked.package,
                query_imports=imports,
                extra_builtins=[PRINT],
                prints=True,
                sources={**asked.loaded.modules, "<query>": text},
                allowed=asked.allowed,
                schemas=asked.schemas,
            )
        assert checked.query is not None
        query = in_order(checked.query)
        counters = None
        if asked.counting:
            from cupcake.engine.testing.coverage import Counters

            counters = Counters()
            checked = counters.policy(checked)
        profiler, notes, errors = None, None, None
        if asked.profiling or asked.notes or asked.errors:
            from cupcake.engine.testing.errors import Errors
            from cupcake.engine.testing.events import Sites
            from cupcake.engine.testing.notes import Notes
            from cupcake.engine.testing.profile import Profiler

            sites = Sites(notes=asked.notes)
            checked, query = sites.all(checked, query)
            if asked.notes:
                notes = Notes(sites, {**asked.loaded.modules, "<query>": text})
            if asked.errors:
                errors = Errors(sites)
            if asked.profiling:
                others = [one.host for one in (notes, errors) if one is not None]
                profiler = Profiler(sites, others)
                query = replace(query, body=profiler.calibrated(query.body))
        with timers.measure("query_compile"):
            planned = plan(
                checked,
                (),
                document(asked.loaded.data),
                queries={"query": query},
                index=asked.indexed and not asked.counting,
                counters=len(counters or ()),
            )
            extra = [PRINT, EVENT, *([ERROR] if asked.errors else [])]
            artifact = assemble(planned, extra_builtins=extra, linked=False)
            artifact = replace(artifact, rego_version=version)
            shown: dict[str, HostFunction] = {
                PRINT.name: printer(lambda line: print(line, file=sys.stderr))
            }
            if profiler is not None:
                shown[EVENT.name] = profiler.host
            else:
                shown[EVENT.name] = _each([one.host for one in (notes, errors) if one is not None])
            if errors is not None:
                shown[ERROR.name] = errors.error
            warm(artifact.core, default_folder())
            policy = load(
                artifact,
                limits=limits,
                builtins=shown,
                effects=session.effects,
                quick=True,
            )
        return cls(
            text,
            body,
            modules,
            asked.loaded.modules,
            policy,
            session,
            counters,
            profiler,
            notes,
            errors,
        )

    def evaluate(
        self, document: tuple[Any, ...], *, strict: bool, times: int, timers: Timers
    ) -> Outcome:
        """Evaluates with an input document (none when empty), `strict` about errors of builtins."""
        from cupcake.engine.vm.policy import STRICT

        given = dump(document[0]).encode() if document else b""
        flags = STRICT if strict else 0
        found, error = b"[]", None
        for _ in range(times):
            for watching in (self._profiler, self._notes, self._errors):
                if watching is not None:
                    watching.start()
            try:
                with timers.measure("query_eval"):
                    found = self._policy.evaluate_json(
                        "query",
                        given,
                        options=flags,
                        recorder=self._session.recorder,
                        replay=self._session.replay,
                    )
            except EvaluationError as failure:
                error = failure
                if not error.place and "\n" not in self.text:
                    error.place, error.col = "<query>:1", 1  # no rule was running: the query itself
                break
            finally:
                if self._profiler is not None:
                    self._profiler.end()
        solutions = [] if error else [self._shaped(bindings) for bindings in read_exact(found)]
        profile = self._profiler.rows() if self._profiler else ()
        lines = self._notes.lines if self._notes else ()
        found_errors = self._errors.found if self._errors else ()
        coverage = self._coverage()
        return Outcome(self.text, solutions, error, timers, coverage, profile, lines, found_errors)

    def _coverage(self) -> Coverage | None:
        if self._counters is None:
            return None
        from cupcake.engine.testing.coverage import report

        return report(self.modules, self._counters, self._policy.counts(), self.sources)

    def _shaped(self, bindings: dict[str, Any]) -> dict[str, Any]:
        expressions = [
            {
                "value": bindings.get(_VALUE.format(i), True),
                "text": self.text[expr.loc.offset : expr.loc.end].strip().rstrip(";").strip(),
                "location": {"row": expr.loc.row, "col": expr.loc.col},
            }
            for i, expr in enumerate(self.body)
        ]
        named = {k: bindings[k] for k in sorted(bindings) if not k.startswith(("__value", HIDDEN))}
        return {"expressions": expressions, **({"bindings": named} if named else {})}


def _each(functions: Sequence[HostFunction]) -> HostFunction:
    """All of them, one after the other."""

    def call(*operands: object) -> bool:
        for function in functions:
            function(*operands)
        return True

    return call


def _capture(body: ast.Body) -> ast.Body:
    """The query with a variable for the value of every bare term. A lone one that does not iterate may also be false."""
    asked: list[ast.Expr] = []
    must_hold: list[ast.Expr] = []
    for number, expr in enumerate(body):
        term = _value_of(expr)
        if term is None:
            asked.append(expr)
            continue
        variable = ast.Var(_VALUE.format(number), expr.loc)
        asked.append(replace(expr, kind=ast.Unify(variable, term)))
        if len(body) > 1 or _iterates(term):
            must_hold.append(ast.Expr(variable, loc=expr.loc, generated=True))
    return (*asked, *must_hold)


def _iterates(node: Any) -> bool:
    """Whether a term has a ref with a variable operand, comprehensions aside."""
    match node:
        case ast.Ref(terms):
            return any(isinstance(t, ast.Var) for t in terms[1:]) or _iterates(terms)
        case ast.Call(_, args):
            return _iterates(args)
        case ast.Array(items) | ast.Set(items):
            return _iterates(items)
        case ast.Object(pairs):
            return _iterates(pairs)
        case tuple():
            return any(_iterates(item) for item in node)
        case _:
            return False


def _value_of(expr: ast.Expr) -> ast.Term | None:
    """The term whose value the expression shows."""
    from cupcake.engine.builtins.registry import REGISTRY
    from cupcake.engine.rego.resolve import dotted, is_print

    if not isinstance(expr.kind, ast.Term) or expr.negated or is_print(expr.kind):
        return None
    if isinstance(expr.kind, ast.Call):
        builtin = REGISTRY.get(dotted(expr.kind.operator))
        # `plus(1, 2, x)` captures its result itself.
        if builtin and len(expr.kind.args) > len(builtin.args) and not builtin.variadic:
            return None
    return expr.kind
