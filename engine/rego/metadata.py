"""`rego.metadata.rule()` and `rego.metadata.chain()`: annotations as constant terms.

Pure over parsed modules; reading the `# METADATA` comments is `annotations.py`'s.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cupcake.engine.rego import ast
from cupcake.engine.rego.annotation_fields import FIELDS, ref_parts
from cupcake.engine.rego.resolve import Problems

CALLS = frozenset({"rego.metadata.rule", "rego.metadata.chain"})


class MetadataIndex:
    """Finds the annotations that stand around a rule, in the order of OPA's chain."""

    def __init__(self, modules: Sequence[ast.Module]) -> None:
        self._documents: dict[tuple[str, ...], ast.Annotations] = {}
        self._packages: dict[tuple[str, ...], ast.Annotations] = {}
        self._subpackages: dict[tuple[str, ...], ast.Annotations] = {}
        for module in modules:
            package = _texts(module.package.terms[1:])
            for block in module.annotations:
                kept = self._packages if block.scope == "package" else self._subpackages
                kept.setdefault(package, block)
            for rule in module.rules:
                for block in rule.annotations:
                    if block.scope == "document":
                        self._documents.setdefault(rule_path(module, rule), block)

    def constant(self, name: str, module: ast.Module, rule: ast.Rule) -> ast.Term:
        """The value of a call of `name` inside `rule`."""
        own = [a for a in rule.annotations if a.scope == "rule"]
        own.sort(key=lambda a: a.loc.row, reverse=True)
        if name == "rego.metadata.rule":
            return to_term(shown_annotations(own[0])) if own else ast.Object(())
        path = rule_path(module, rule)
        links: list[object] = [_link(path, a) for a in own] or [{"path": list(path)}]
        document = self._documents.get(path)
        if document is not None:
            links.append(_link(path, document))
        package = _texts(module.package.terms[1:])
        if package in self._packages:
            links.append(_link(package, self._packages[package]))
        for size in range(len(package), 0, -1):
            around = package[:size]
            if around in self._subpackages:
                links.append(_link(around, self._subpackages[around]))
        return to_term(links)


def check_annotations(modules: Sequence[ast.Module], problems: Problems) -> None:
    """Report a second block for one package or one document."""
    known: dict[tuple[str, ...], ast.Location] = {}
    for module in modules:
        found = [(("package", *_texts(module.package.terms[1:])), b) for b in module.annotations]
        found = [(path, b) for path, b in found if b.scope == "package"]
        for rule in module.rules:
            found += [
                (("document", *rule_path(module, rule)), b)
                for b in rule.annotations
                if b.scope == "document"
            ]
        for path, block in found:
            before = known.setdefault(path, block.loc)
            if before is not block.loc:
                place = f"{before.file}:{before.row}"
                message = f"{path[0]} annotation redeclared: {place}"
                problems.add("rego_type_error", message, block.loc)


def rule_path(module: ast.Module, rule: ast.Rule) -> tuple[str, ...]:
    """Package and ground part of the name of a rule as written."""
    head = rule.head.ref.terms
    first = head[0].name if isinstance(head[0], ast.Var) else ""
    return (*_texts(module.package.terms[1:]), first, *_texts(head[1:]))


def _texts(terms: tuple[ast.Term, ...]) -> tuple[str, ...]:
    texts: list[str] = []
    for term in terms:
        if not isinstance(term, ast.String):
            break
        texts.append(term.value)
    return tuple(texts)


def _link(path: tuple[str, ...], annotations: ast.Annotations) -> dict[str, object]:
    return {"path": list(path), "annotations": shown_annotations(annotations)}


def shown_annotations(annotations: ast.Annotations) -> dict[str, object]:
    """The annotations as policies see them: short forms of authors and resources written out."""
    shown: dict[str, object] = {"scope": annotations.scope}
    for key, value in annotations.values.items():
        if key in ("scope", "compile") or key not in FIELDS or value in (None, "", [], {}, False):
            continue
        if key == "authors" and isinstance(value, list):
            shown[key] = [_author(a) for a in value]
        elif key == "schemas" and isinstance(value, list):
            shown[key] = [_schema(*pair) for s in value for pair in s.items()]
        elif key == "related_resources" and isinstance(value, list):
            shown[key] = [_resource(r) for r in value]
        else:
            shown[key] = value
    return shown


def _schema(path: str, what: object) -> dict[str, object]:
    """`input.x: schema.y` and `input.x: {...}` as policies see them."""
    shown: dict[str, object] = {"path": ref_parts(path)}
    shown["schema" if isinstance(what, str) else "definition"] = (
        ref_parts(what) if isinstance(what, str) else what
    )
    return shown


def _author(author: object) -> object:
    if isinstance(author, dict):
        return _written(author, "name", "email")
    words = str(author).split()
    if words and words[-1].startswith("<") and words[-1].endswith(">"):
        name, mail = " ".join(words[:-1]), words[-1][1:-1]
        return _author({"name": name, "email": mail})
    return {"name": " ".join(words)}


def _resource(resource: object) -> object:
    if isinstance(resource, dict):
        return _written({**resource, "ref": str(resource["ref"]).strip()}, "ref", "description")
    return {"ref": resource}


def _written(values: dict[str, object], *names: str) -> dict[str, object]:
    """The fields of these names that hold text."""
    return {
        name: values[name] for name in names if isinstance(values.get(name), str) and values[name]
    }


def undefined_term(loc: ast.Location) -> ast.Term:
    """A term without a value, of any type: the first item of no items."""
    of_any_type = ast.Call(
        ast.Ref((ast.Var("json", loc), ast.String("unmarshal", loc)), loc),
        (ast.String("null", loc),),
        loc,
    )
    never = ast.Expr(ast.Boolean(False, loc), loc=loc, generated=True)
    nothing = ast.ArrayComprehension(of_any_type, (never,), loc)
    return ast.Ref((nothing, ast.Number("0", loc)), loc)


def to_term(value: object) -> ast.Term:
    """A JSON-like Python value as a term."""
    if value is None:
        return ast.Null()
    if isinstance(value, bool):
        return ast.Boolean(value)
    if isinstance(value, str):
        return ast.String(value)
    if isinstance(value, int | float):
        return ast.Number(json.dumps(value))
    if isinstance(value, list | tuple):
        return ast.Array(tuple([to_term(v) for v in value]))
    if isinstance(value, dict):
        return ast.Object(tuple([(ast.String(str(k)), to_term(v)) for k, v in value.items()]))
    raise TypeError(f"no term for {type(value).__name__}")
