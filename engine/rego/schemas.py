"""Types of `input` and `data` from JSON Schemas: those of `--schema`, and those that `schemas:` in METADATA names or holds.

As in OPA a schema only serves the type checker: what a document is when a policy is evaluated is nobody's promise. Pure; no
reference to another host is followed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cupcake.engine.builtins import types as ty
from cupcake.engine.errors import CompileErrors
from cupcake.engine.rego import ast
from cupcake.engine.rego.metadata import rule_path
from cupcake.engine.rego.resolve import Problems
from cupcake.engine.rego.type_rules import union

_TYPE_ERROR: Final = "rego_type_error"
_MAX_STEPS: Final = 10_000
_OPEN: Final = ty.ObjectOf((), ty.ANY, ty.ANY)
_SCALARS: Final[Mapping[str, ty.Type]] = {
    "boolean": ty.BOOLEAN,
    "string": ty.STRING,
    "integer": ty.NUMBER,
    "number": ty.NUMBER,
}


_KINDS: Final = frozenset({*_SCALARS, "array", "null", "object"})


class SchemaProblem(Exception):
    """A schema that has no type; the message says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"unable to compile the schema: {reason}")


class _UndefinedSchema(SchemaProblem):
    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)


@dataclass(frozen=True, slots=True)
class Schemas:
    """`input` is the schema of the input of all rules (None: any), `named` those that `schema.a.b` names, by path."""

    input: object = None
    named: Mapping[tuple[str, ...], object] = field(default_factory=dict)


def schema_type(schema: object) -> ty.Type:
    """The type of the values that a schema allows, as far as OPA's type checker knows it."""
    return _Reader(schema).type(schema, ())


class _Reader:
    def __init__(self, root: object) -> None:
        self._root = root
        self._steps = 0

    def type(self, schema: object, open_refs: tuple[str, ...]) -> ty.Type:
        """`open_refs`: the references that lead here; one that comes again may be anything."""
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise SchemaProblem("the schema is too large")
        if isinstance(schema, bool):
            return ty.ANY
        if not isinstance(schema, Mapping):
            raise SchemaProblem("a schema must be an object")
        ref = schema.get("$ref")
        if isinstance(ref, str):
            if ref in open_refs or len(open_refs) > 50:
                return ty.ANY
            return self.type(self._find(ref), (*open_refs, ref))
        if "anyOf" in schema:
            return self._any_of(schema, open_refs)
        if "allOf" in schema:
            return self._all_of(schema, open_refs)
        kinds = _kinds(schema)
        for name, kind in _SCALARS.items():
            if name in kinds:
                return kind
        if "object" in kinds or (not kinds and schema.get("properties")):
            return self._object(schema, open_refs)
        if "array" in kinds or (not kinds and schema.get("items")):
            return self._array(schema, open_refs)
        return ty.ANY

    def _object(self, schema: Mapping[str, Any], open_refs: tuple[str, ...]) -> ty.Type:
        properties = schema.get("properties")
        if not properties:
            return _OPEN
        if not isinstance(properties, Mapping):
            raise SchemaProblem("properties must be an object")
        named = sorted((str(k), self.type(v, open_refs)) for k, v in properties.items())
        return ty.ObjectOf(tuple(named))

    def _array(self, schema: Mapping[str, Any], open_refs: tuple[str, ...]) -> ty.Type:
        items = schema.get("items")
        if isinstance(items, Sequence) and not isinstance(items, str) and items:
            return ty.ArrayOf(tuple([self.type(i, open_refs) for i in items]))
        return ty.ArrayOf(rest=self.type(items, open_refs) if items else ty.ANY)

    def _any_of(self, schema: Mapping[str, Any], open_refs: tuple[str, ...]) -> ty.Type:
        parts = [self.type(s, open_refs) for s in schema["anyOf"]]
        if _kinds(schema):
            core = {k: v for k, v in schema.items() if k != "anyOf"}
            own = self.type(core, open_refs)
            if isinstance(own, ty.ObjectOf) and own.static and own.dynamic_key is None:
                parts.append(own)
        return union(parts)

    def _all_of(self, schema: Mapping[str, Any], open_refs: tuple[str, ...]) -> ty.Type:
        merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
        for part in schema["allOf"]:
            while isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
                self._steps += 1
                if self._steps > _MAX_STEPS:
                    raise SchemaProblem("the schema is too large")
                part = self._find(part["$ref"])
            if not isinstance(part, Mapping):
                raise SchemaProblem("a schema must be an object")
            if not _kinds(part) and "anyOf" in part and not part.get("properties"):
                continue
            merged = self._merged(merged, part)
        return self.type(merged, open_refs)

    def _merged(self, one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
        mine, others = _kinds(one), _kinds(other)
        if mine and others and not mine & others:
            raise SchemaProblem("unable to merge these schemas")
        result = {**one, **other}
        for name in ("properties", "items"):
            if isinstance(one.get(name), Mapping) and isinstance(other.get(name), Mapping):
                result[name] = {**one[name], **other[name]}
        return result

    def _find(self, ref: str) -> object:
        if not ref.startswith("#"):
            raise SchemaProblem(f"$ref {ref}: only references inside of the schema are followed")
        found: Any = self._root
        for part in ref[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise SchemaProblem(f"$ref {ref} leads nowhere")
        return found


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    kinds = schema.get("type")
    if kinds is None:
        return set()
    listed = kinds if isinstance(kinds, list) else [kinds]
    for kind in listed:
        if not isinstance(kind, str) or kind not in _KINDS:
            raise SchemaProblem(f"{kind!r} is no type of JSON Schema: {', '.join(sorted(_KINDS))}")
    return set(listed)


# -- which rule sees which types -------------------------------------------------------------------


class Documents:
    """The types of `input` and `data` for each rule, as an object with these two keys; None where nothing is known."""

    def __init__(self, modules: Sequence[ast.Module], schemas: Schemas | None, problems: Problems):
        self._schemas, self._problems = schemas, problems
        self._types: dict[tuple[str, ...], ty.Type] = {}
        self._rules: dict[int, ty.Type | None] = {}
        self.query = self._of_input(schemas)
        noted = [
            (module, note)
            for module in modules
            for note in (*module.annotations, *(a for r in module.rules for a in r.annotations))
            if note.values.get("schemas")
        ]
        self.any = bool(noted) or self.query is not None
        if noted:
            for module in modules:
                for rule in module.rules:
                    self._rules[id(rule)] = self._of_rule(module, rule, noted)

    def of(self, rule: ast.Rule) -> ty.Type | None:
        """What the rule sees."""
        return self._rules.get(id(rule), self.query)

    def _of_input(self, schemas: Schemas | None) -> ty.Type | None:
        if schemas is None or schemas.input is None:
            return None
        try:
            return ty.ObjectOf((("input", schema_type(schemas.input)),), ty.ANY, ty.ANY)
        except SchemaProblem as problem:
            self._problems.add(_TYPE_ERROR, str(problem), ast.NOWHERE)
            return None

    def _of_rule(
        self,
        module: ast.Module,
        rule: ast.Rule,
        noted: Sequence[tuple[ast.Module, ast.Annotations]],
    ) -> ty.Type | None:
        package = module.package.terms
        path = rule_path(module, rule)
        chosen: list[tuple[int, int, ast.Annotations]] = []
        for other, note in noted:
            theirs = other.package.terms
            if note.scope == "subpackages" and package[: len(theirs)] == theirs:
                chosen.append((0, len(theirs), note))
            elif note.scope == "package" and package == theirs:
                chosen.append((1, 0, note))
            elif note.scope == "document":
                if any(note in r.annotations and rule_path(other, r) == path for r in other.rules):
                    chosen.append((2, 0, note))
            elif note.scope == "rule" and any(note is a for a in rule.annotations):
                chosen.append((3, 0, note))
        found = self.query
        for _, _, note in sorted(chosen, key=lambda c: c[:2]):
            for where, kind in self._named(note, rule):
                found = _put(found or _OPEN, where, kind)
        return found

    def _named(
        self, note: ast.Annotations, rule: ast.Rule
    ) -> list[tuple[tuple[str, ...], ty.Type]]:
        """(path of a document, its type) for each entry of an annotation."""
        found: list[tuple[tuple[str, ...], ty.Type]] = []
        entries = note.values["schemas"]
        for entry in entries if isinstance(entries, list) else []:
            for where, schema in entry.items() if isinstance(entry, Mapping) else ():
                path = _path(where)
                if not path:
                    continue
                try:
                    kind = self._type(schema)
                except SchemaProblem as problem:
                    self._problems.add(_TYPE_ERROR, str(problem), rule.loc)
                    continue
                if kind is not None:
                    found.append((path, kind))
        return found

    def _type(self, schema: object) -> ty.Type | None:
        if not isinstance(schema, str):
            return schema_type(schema)
        if self._schemas is None:
            return None
        name = _path(schema)
        if name in self._types:
            return self._types[name]
        if name[:1] != ("schema",):
            raise _UndefinedSchema(f"undefined schema: {schema}")
        raw = self._schemas.input if len(name) == 1 else self._schemas.named.get(name[1:])
        if raw is None:
            raise _UndefinedSchema(f"undefined schema: {schema}")
        kind = self._types[name] = schema_type(raw)
        return kind


def _path(text: object) -> tuple[str, ...]:
    """`input.a["b"]` as a path; () for what is none."""
    from cupcake.engine.rego.parser import parse_term

    try:
        term = parse_term(str(text), "<schema>")
    except CompileErrors:
        return ()
    terms = term.terms if isinstance(term, ast.Ref) else (term,)
    first = terms[0]
    if not isinstance(first, ast.Var):
        return ()
    return (first.name, *(t.value for t in terms[1:] if isinstance(t, ast.String)))


def _put(whole: ty.Type, path: tuple[str, ...], kind: ty.Type) -> ty.Type:
    """`whole` with the type at a path replaced. What lies beside a path that was not known may be anything."""
    if not path:
        return kind
    first, *rest = path
    known = whole if isinstance(whole, ty.ObjectOf) else _OPEN
    static = dict(known.static)
    static[first] = _put(static.get(first, ty.ANY), tuple(rest), kind)
    return ty.ObjectOf(tuple(sorted(static.items())), known.dynamic_key, known.dynamic_value)
