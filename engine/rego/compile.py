"""The front end in one call: parsed modules in, the checked form or all errors out.

Pure: no disk, clock or environment. Each stage lives in a file of its own; this one only strings them together
and groups the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from cupcake.engine.builtins.registry import REGISTRY
from cupcake.engine.builtins.types import Builtin
from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.checked import Checked, CheckedQuery, GroupKind, Path, RuleGroup
from cupcake.engine.rego.conflicts import (
    check_conflicts,
    check_module,
    check_packages,
    check_unused_imports,
)
from cupcake.engine.rego.graph import check_recursion
from cupcake.engine.rego.metadata import MetadataIndex
from cupcake.engine.rego.resolve import (
    ModuleNames,
    Problems,
    Signatures,
    package_exports,
    visible_names,
)
from cupcake.engine.rego.rewrite import Rewriter, dotted
from cupcake.engine.rego.safety import Orderer, order_rule
from cupcake.engine.rego.typecheck import TypeChecker


def check(
    modules: Sequence[ast.Module],
    query: ast.Body | None = None,
    *,
    data_paths: Mapping[str, object] | None = None,
    extra_builtins: Iterable[Builtin] = (),
    strict: bool = False,
    query_package: str = "",
    query_imports: Sequence[ast.Import] = (),
) -> Checked:
    """Check `modules` (and `query`) and bring them into the checked form.

    `data_paths` is the top-level tree of the base document, for conflicts between rules and data; `query_package` is a
    dotted package whose rules the query sees by their short names. Raises CompileErrors with all
    errors in source order.
    """
    problems = Problems()
    ordered_modules = sorted(modules, key=lambda m: m.file)
    builtins = {**REGISTRY, **{b.name: b for b in extra_builtins}}
    signatures = Signatures(_function_arities(ordered_modules), builtins)
    exports = package_exports(ordered_modules)

    def is_relation(operator: ast.Ref) -> bool:
        builtin = builtins.get(dotted(operator))
        return builtin is not None and builtin.relation

    metadata = MetadataIndex(ordered_modules)
    checked_modules: list[ast.Module] = []
    written: dict[int, dict[str, str]] = {}
    for module in ordered_modules:
        check_module(module, problems)
        names = visible_names(
            module.package.terms, exports[module.package.terms], module.imports
        )
        rules: list[ast.Rule] = []
        for rule in module.rules:
            before = len(problems)
            v1 = strict or module.rego_version != "v0"
            rewriter = Rewriter(names, signatures, problems, v1=v1, strict=strict)
            rewriter.metadata = partial(metadata.constant, module=module, rule=rule)
            new = rewriter.rule(rule)
            if len(problems) == before:
                new = order_rule(new, rewriter.written, is_relation, problems)
            rules.append(new)
            written[id(new)] = rewriter.written
        if strict:
            check_unused_imports(names, problems)
        checked_modules.append(replace(module, rules=tuple(rules)))

    groups, extra_defaults = group_rules(checked_modules)
    check_conflicts(groups, extra_defaults, data_paths, written, problems)
    check_packages(groups, checked_modules, problems)
    checked_query: CheckedQuery | None = None
    query_written: dict[str, str] = {}
    if query is not None:
        names = _query_names(query_package, exports, query_imports)
        rewriter = Rewriter(names, signatures, problems)
        before = len(problems)
        body, variables = rewriter.query(query)
        if len(problems) == before:
            body = Orderer(rewriter.written, is_relation, problems).body(body, set())
        checked_query = CheckedQuery(body, variables)
        query_written = rewriter.written
    if check_recursion(groups, written, problems) and not len(problems):
        # Types presuppose a program that is sound otherwise; errors on top of errors help nobody.
        checker = TypeChecker(groups, builtins, written, problems)
        checker.check_all()
        if checked_query is not None:
            checker.check_query(checked_query.body, query_written)
    if len(problems):
        raise CompileErrors(problems.ordered())
    return Checked(groups, checked_query, tuple(checked_modules))


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
