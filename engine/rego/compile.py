"""The front end in one call: parsed modules in, the checked form or all errors out.

Pure: no disk, clock or environment. Each stage lives in a file of its own; this one only strings them together
and groups the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.types import Builtin
from cupcake.engine.errors import CompileErrors, Diagnostic
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, CheckedQuery, GroupKind, Path, RuleGroup
from cupcake.engine.rego.conflicts import (
    check_conflicts,
    check_module,
    check_packages,
    check_unused_imports,
)
from cupcake.engine.rego.graph import DataRefs, check_recursion
from cupcake.engine.rego.metadata import MetadataIndex, check_annotations
from cupcake.engine.rego.resolve import (
    ModuleNames,
    Problems,
    Signatures,
    dotted,
    package_exports,
    visible_names,
)
from cupcake.engine.rego.reuse import ModuleCache, ModuleResult, NoticedFunctions
from cupcake.engine.rego.rewrite import Rewriter
from cupcake.engine.rego.safety import Orderer, order_rule
from cupcake.engine.rego.schemas import Documents, Schemas
from cupcake.engine.rego.typecheck import TypeChecker
from cupcake.engine.rego.uses import Uses, body_uses

# A module with more errors is not looked at to its end.
_MOST_PROBLEMS: Final = 1_000


class _TooManyProblems(Exception):
    def __init__(self, found: tuple[Diagnostic, ...]) -> None:
        self.found = found
        super().__init__(f"{len(found)} errors")


def check(
    modules: Sequence[ast.Module],
    query: ast.Body | None = None,
    *,
    data_paths: Mapping[str, object] | None = None,
    extra_builtins: Iterable[Builtin] = (),
    absent: frozenset[str] = frozenset(),
    strict: bool = False,
    query_package: str = "",
    query_imports: Sequence[ast.Import] = (),
    cache: ModuleCache | None = None,
    sources: Mapping[str, str] | None = None,
    prints: bool = False,
    allowed: frozenset[str] | None = None,
    schemas: Schemas | None = None,
) -> Checked:
    """Check `modules` (and `query`) and bring them into the checked form.

    `data_paths` is the top-level tree of the base document, for conflicts between rules and data; `query_package` is a
    dotted package whose rules the query sees by their short names. Calls of builtins with a requirement in `absent` are
    errors; with `allowed`, builtins that are not in it do not exist. `schemas` give types to documents. With a `cache`, modules that are the
    same objects as before are not worked on again, nor rules with all that they depend on; what is gone is forgotten.
    `prints` keeps `print(...)` as calls of the builtin `internal.print`, which `extra_builtins` must then declare.
    Raises CompileErrors with all errors in source order; they show the source lines if `sources` holds
    the texts by file name.
    """
    problems = Problems()
    cache = ModuleCache() if cache is None else cache
    ordered_modules = sorted(modules, key=lambda m: m.file)
    front = _FrontEnd(
        ordered_modules,
        cache,
        extra=tuple(extra_builtins),
        strict=strict,
        absent=absent,
        prints=prints,
        allowed=allowed,
    )
    results: dict[int, ModuleResult] = {}
    written: dict[int, Mapping[str, str]] = {}
    refs: dict[int, DataRefs] = {}
    checked_modules: list[ast.Module] = []
    for module in ordered_modules:
        try:
            result = front.module(module, cache.modules.get(id(module)))
        except _TooManyProblems as stopped:
            problems.extend(stopped.found)
            raise CompileErrors(_with_lines(problems.ordered(), sources or {})) from None
        results[id(module)] = result
        problems.extend(result.found)
        checked_modules.append(result.checked)
        for rule, names, found in zip(
            result.checked.rules, result.written, result.refs, strict=True
        ):
            written[id(rule)] = names
            refs[id(rule)] = found
    cache.modules = results

    check_annotations(ordered_modules, problems)
    groups, extra_defaults = group_rules(checked_modules)
    check_conflicts(groups, extra_defaults, data_paths, written, problems)
    check_packages(groups, checked_modules, problems)
    checked_query: CheckedQuery | None = None
    query_written: Mapping[str, str] = {}
    if query is not None:
        visible = _query_names(query_package, front.exports, query_imports)
        checked_query, query_written = front.query(query, visible, problems)
    dependencies = check_recursion(groups, refs, written, problems)
    fingerprints: dict[Path, int] = {}
    if dependencies is not None and not problems.serious:
        fingerprints = cache.fingerprints(groups, dependencies, front.options)
        # Types presuppose a program that is sound otherwise; errors on top of errors help nobody.
        documents = Documents(checked_modules, schemas, problems)
        known = {} if documents.any else cache.known_types(fingerprints)
        checker = TypeChecker(
            groups, front.signatures, written, problems, known, documents=documents
        )
        checker.check_all(dependencies.order)
        if not len(problems) and not documents.any:
            cache.keep_types(fingerprints, checker.done)
        if checked_query is not None:
            checker.check_query(checked_query.body, query_written)
    if len(problems):
        raise CompileErrors(_with_lines(problems.ordered(), sources or {}))
    return Checked(groups, checked_query, tuple(checked_modules), fingerprints)


def _with_lines(found: Iterable[Diagnostic], sources: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    lines: dict[str, list[str]] = {}
    result: list[Diagnostic] = []
    for diagnostic in found:
        text = sources.get(diagnostic.file)
        if text is not None:
            if diagnostic.file not in lines:
                lines[diagnostic.file] = text.split("\n")
            rows = lines[diagnostic.file]
            if 0 < diagnostic.row <= len(rows):
                diagnostic = replace(diagnostic, source_line=rows[diagnostic.row - 1].rstrip("\r"))
        result.append(diagnostic)
    return tuple(result)


class _FrontEnd:
    """The stages that look at one module at a time, and what they know of the others."""

    def __init__(
        self,
        modules: Sequence[ast.Module],
        cache: ModuleCache,
        *,
        extra: tuple[Builtin, ...],
        strict: bool,
        absent: frozenset[str],
        prints: bool,
        allowed: frozenset[str] | None,
    ) -> None:
        self.cache = cache
        self.prints = prints
        self.extra = extra
        self.strict = strict
        offered = REGISTRY
        if allowed is not None:  # what the compiler writes itself is no matter of capabilities
            offered = {
                n: b for n, b in REGISTRY.items() if n in allowed or n.startswith("internal.")
            }
        self.builtins: dict[str, Builtin] = {**offered, **{b.name: b for b in extra}}
        self.options = (extra, strict, absent, prints, allowed)
        self.functions = NoticedFunctions(_function_arities(modules))
        self.functions.start()
        self.signatures = Signatures(self.functions, self.builtins, absent)
        self.exports = package_exports(modules)
        self.modules = modules
        self._metadata: MetadataIndex | None = None

    def metadata(self, name: str, rule: ast.Rule, module: ast.Module) -> ast.Term:
        if self._metadata is None:
            self._metadata = MetadataIndex(self.modules)
        return self._metadata.constant(name, module, rule)

    def is_relation(self, operator: ast.Ref) -> bool:
        builtin = self.builtins.get(dotted(operator))
        return builtin is not None and builtin.relation

    def module(self, module: ast.Module, before: ModuleResult | None) -> ModuleResult:
        """The checked module; `before` is the result of an earlier run, used if nothing changed."""
        exports = frozenset(self.exports[module.package.terms])
        context = (exports, self.options)
        if (
            before is not None
            and before.module is module
            and before.context == context
            and self.functions.agrees(before.functions)
        ):
            return before
        functions = self.functions.start()
        problems = Problems()
        check_module(module, problems)
        names = visible_names(module.package.terms, exports, module.imports)
        v1 = self.strict or module.rego_version != "v0"
        rules: list[ast.Rule] = []
        written: list[Mapping[str, str]] = []
        uses_metadata = False
        for rule in module.rules:
            if len(problems) > _MOST_PROBLEMS:
                raise _TooManyProblems(problems.ordered())
            errors = problems.serious
            rewriter = Rewriter(names, self.signatures, problems, v1=v1, strict=self.strict)
            rewriter.prints = self.prints
            rewriter.metadata = partial(self.metadata, module=module)
            new = rule
            try:
                new = rewriter.rule(rule)
                if problems.serious == errors:
                    assigned = {name for name, _ in rewriter.assigned}
                    new = order_rule(new, rewriter.written, self.is_relation, problems, assigned)
            except RecursionError:
                problems.add("rego_compile_error", "rule is nested too deeply", rule.loc)
            rules.append(new)
            written.append(rewriter.written)
            uses_metadata = uses_metadata or rewriter.uses_metadata
        if self.strict:
            check_unused_imports(names, problems)
        # Annotations of other modules show in `rego.metadata.chain()`: such a result is never reused.
        kept = () if uses_metadata else context
        checked = replace(module, rules=tuple(rules))
        return self.cache.result(
            module,
            context=kept,
            functions=functions,
            checked=checked,
            written=written,
            found=problems.ordered(),
        )

    def query(
        self, query: ast.Body, names: ModuleNames, problems: Problems
    ) -> tuple[CheckedQuery, Mapping[str, str]]:
        errors = problems.serious
        # What v1 forbids to modules, deprecated functions and hidden documents, OPA lets queries do.
        rewriter = Rewriter(names, self.signatures, problems, v1=False)
        rewriter.prints = self.prints
        body, variables = rewriter.query(query)
        if problems.serious == errors:
            assigned = {name for name, _ in rewriter.assigned}
            orderer = Orderer(rewriter.written, self.is_relation, problems, assigned)
            body = orderer.body(body, set())
            orderer.conclude()
        uses = Uses()
        body_uses(body, uses)
        shown = tuple((name, var) for name, var in variables if var.name in uses.plain)
        return CheckedQuery(body, shown), rewriter.written


def _query_names(
    package: str,
    exports: Mapping[tuple[ast.Term, ...], set[str]],
    imports: Sequence[ast.Import],
) -> ModuleNames:
    parts = [ast.String(p) for p in package.split(".") if p]
    terms: tuple[ast.Term, ...] = (ast.Var("data"), *parts)
    return visible_names(terms, exports.get(terms, ()) if parts else (), imports)


def _function_arities(modules: Iterable[ast.Module]) -> dict[str, int]:
    """Absolute function name -> number of arguments, of the first definition."""
    arities: dict[str, int] = {}
    for module in modules:
        prefix = dotted(module.package)
        for rule in module.rules:
            if rule.head.args is not None:
                arities.setdefault(f"{prefix}.{dotted(rule.head.ref)}", len(rule.head.args))
    return arities


def ground_prefix(ref: ast.Ref) -> Path:
    """The leading constant part of an absolute rule name, without `data`."""
    path: list[str | ast.Null | ast.Boolean | ast.Number] = []
    for term in ref.terms[1:]:
        if isinstance(term, ast.String):
            path.append(term.value)
        elif isinstance(term, (ast.Null, ast.Boolean, ast.Number)):
            path.append(term)
        else:
            break
    return tuple(path)


def rule_kind(rule: ast.Rule) -> GroupKind:
    """What kind of document a rule with an absolute head defines."""
    head = rule.head
    if head.args is not None:
        return "function"
    if len(ground_prefix(head.ref)) < len(head.ref.terms) - 1:
        return "partial_object"
    return "partial_set" if head.key is not None else "complete"


def group_rules(
    modules: Iterable[ast.Module],
) -> tuple[dict[Path, RuleGroup], list[tuple[Path, ast.Rule]]]:
    """Rules by ground prefix, and the default rules beyond the first of a group.

    The first definition decides the kind; `conflicts.py` reports the ones that disagree.
    """
    found: dict[Path, list[ast.Rule]] = {}
    defaults: dict[Path, ast.Rule] = {}
    extra: list[tuple[Path, ast.Rule]] = []
    for module in modules:
        for rule in module.rules:
            path = ground_prefix(rule.head.ref)
            rules = found.setdefault(path, [])
            if not rule.default:
                rules.append(rule)
            elif path in defaults:
                extra.append((path, rule))
            else:
                defaults[path] = rule
    groups: dict[Path, RuleGroup] = {}
    for path, rules in found.items():
        default = defaults.get(path)
        kinds = {rule_kind(r) for r in rules}
        first = rules[0] if rules else default
        assert first is not None
        kind: GroupKind = "partial_object" if "partial_object" in kinds else rule_kind(first)
        arity = len(first.head.args) if first.head.args is not None else None
        if kind != "function":
            arity = None
        groups[path] = RuleGroup(path, tuple(rules), kind, default, arity)
    return groups, extra
