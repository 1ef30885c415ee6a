"""json.match_schema and json.verify_schema: drafts 4, 6 and 7, in the words of OPA's library.

Imported only when one of them is called. References never leave the document; the work is counted
and bounded; patterns run on our own linear matcher, not on Python's.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jsonschema import Draft4Validator, Draft6Validator, Draft7Validator, validators
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from cupcake.engine.builtins.host.automaton import TooMuchWorkError, check_pattern, cost, search
from cupcake.engine.builtins.host.documents import one_line
from cupcake.engine.builtins.host.operands import failed
from cupcake.engine.builtins.host.schema_keywords import (
    EXPONENT_MAX,
    Keyword,
    SchemaProblemError,
    keywords,
)
from cupcake.engine.builtins.host.tokens import json_value
from cupcake.engine.builtins.values import RegoObject, Value
from cupcake.engine.regex.errors import RegexError

STEPS_MAX = 100_000  # keywords applied
MATCH_STEPS = 25  # of the matcher count as one of them
ERRORS_MAX = 1_000
CACHED_MAX = 1 << 20  # characters of a schema that is kept

_TYPES = ("array", "boolean", "integer", "number", "null", "object", "string")
_DRAFTS: tuple[tuple[str, Any], ...] = (
    ("http://json-schema.org/draft-04/schema", Draft4Validator),
    ("http://json-schema.org/draft-06/schema", Draft6Validator),
    ("http://json-schema.org/draft-07/schema", Draft7Validator),
)
# The order in which OPA's library looks; what is not named comes last.
_ORDER = (
    *("type", "anyOf", "oneOf", "allOf", "not", "dependencies", "if", "const", "enum", "format"),
    *("additionalItems", "minItems", "maxItems", "uniqueItems", "contains"),
    *("minProperties", "maxProperties", "required", "patternProperties"),
    *("additionalProperties", "propertyNames"),
)

# ---- documents ----


def _document(value: Value) -> Any:
    """The JSON of an operand; SchemaProblemError."""
    if isinstance(value, dict | RegoObject | list):
        return _plain(json.loads(one_line(value), parse_float=Decimal))
    if not isinstance(value, str):
        raise SchemaProblemError("wrong type, expected string or object")
    try:
        return _plain(json_value(value))
    except ValueError:
        raise SchemaProblemError("invalid JSON string") from None


def _plain(value: Any) -> Any:
    """With whole numbers as int: 1.0 is an integer."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if (
        isinstance(value, Decimal)
        and value.adjusted() < EXPONENT_MAX
        and value == value.to_integral_value()
    ):
        return int(value)
    return value


# ---- schemas ----


@dataclass(slots=True)
class _Budget:
    left: int = STEPS_MAX

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise SchemaProblemError("the schema asks for too much work on this document")

    def match(self, pattern: str, text: str) -> bool:
        """Whether the pattern matches anywhere in the text."""
        try:
            self.spend(cost(pattern, text) // MATCH_STEPS)
            return search(pattern, text)
        except RegexError as error:
            raise SchemaProblemError(f"Invalid regex pattern '{pattern}': {error}") from None
        except TooMuchWorkError as error:
            raise SchemaProblemError(str(error)) from None


def _counted(keyword: Keyword, budget: _Budget) -> Keyword:
    def check(
        validator: Any, value: Any, instance: Any, schema: Any
    ) -> Iterable[ValidationError] | None:
        budget.spend()
        return keyword(validator, value, instance, schema)

    return check


def _in_order(schema: Any) -> Iterable[tuple[str, Any]]:
    if "$ref" in schema:
        return [("$ref", schema["$ref"])]
    ranks = {keyword: rank for rank, keyword in enumerate(_ORDER)}
    return sorted(schema.items(), key=lambda item: ranks.get(item[0], len(ranks)))


_BOOLEAN_IN_4 = (["exclusiveMinimum"], ["exclusiveMaximum"])


def _draft(schema: Any) -> Any:
    """The draft that the schema names; else 7, unless only 4 has what it says."""
    wanted = schema.get("$schema", "") if isinstance(schema, dict) else ""
    wanted = wanted.removesuffix("#") if isinstance(wanted, str) else ""
    named = dict(_DRAFTS).get(wanted)
    if named is not None:
        return named
    wrong = _problem(Draft7Validator, schema)
    if wrong is not None and list(wrong.absolute_path)[-1:] in _BOOLEAN_IN_4:
        return Draft4Validator
    return Draft7Validator


def _problem(base: Any, schema: Any) -> ValidationError | None:
    """What is most wrong by the metaschema of a draft."""
    metaschema = {k: v for k, v in base.META_SCHEMA.items() if k not in ("$id", "id")}
    errors = base(metaschema, registry=REGISTRY).iter_errors(schema)
    found: ValidationError | None = best_match(errors, key=lambda error: -len(error.path))
    return found


def _validator(schema: Any) -> Any:
    """A validator that resolves nothing outside of the schema; its work is bounded."""
    budget = _Budget()
    base = _draft(schema)
    own = keywords(budget.match)
    checks: dict[str, Any] = {
        k: _counted(own.get(k, f), budget) for k, f in base.VALIDATORS.items()
    }
    if base is not Draft7Validator:
        checks |= {k: _counted(f, budget) for k, f in own.items()}
    made = validators.create(
        meta_schema=base.META_SCHEMA,
        validators=checks,
        type_checker=base.TYPE_CHECKER,
        id_of=base.ID_OF,
        applicable_validators=_in_order,
    )
    return made(
        _without_drafts(schema), registry=REGISTRY
    )  # which knows the metaschemas, and fetches nothing


def _check_schema(schema: Any) -> None:
    """SchemaProblemError for what is no schema."""
    if not isinstance(schema, dict | bool):
        raise SchemaProblemError("schema is invalid")
    draft = _draft(schema)
    wrong = _problem(draft, schema)
    if wrong is not None:
        raise SchemaProblemError(_schema_problem(wrong))
    _check_parts(schema, "id" if draft is Draft4Validator else "$id")


_SCHEMA_OR_BOOLEAN = "Invalid type. Expected: boolean/Valid Schema, given: "
_PROBLEMS: tuple[tuple[str, str], ...] = (
    ("additionalItems", _SCHEMA_OR_BOOLEAN + "additionalItems"),
    ("additionalProperties", _SCHEMA_OR_BOOLEAN + "additionalProperties"),
    ("items", "Invalid type. Expected: Valid Schema/Array Of Schemas, given: items"),
    ("properties", "Properties must be of type object"),
    ("type", "Invalid type. Expected: type, given: string/Array Of Strings"),
    *((word, f"{word} must be of an object") for word in ("not", "if", "then", "else")),
)


def _schema_problem(error: ValidationError) -> str:
    path = [step for step in error.absolute_path if isinstance(step, str)]
    keyword = path[-1] if path else ""
    if keyword == "type" and isinstance(error.instance, str):
        listed = " ".join(_TYPES)
        given = error.instance
        return (
            f"has a primitive type that is NOT VALID -- given: /{given}/ "
            f"Expected valid values are:[{listed}]"
        )
    said = dict(_PROBLEMS).get(keyword)
    if said is not None and error.validator in ("type", "anyOf"):
        return said
    match error.validator, error.validator_value:
        case "type", "object":
            return f"{keyword} must be of type object"
        case "type", "string":
            return f"Invalid type. Expected: string, given: {keyword}"
        case "type", "number":
            return f"{keyword} must be of a Number"
        case "type", str() as wanted:
            return f"{keyword} must be of {'an' if wanted[0] in 'aio' else 'a'} {wanted}"
        case "type", ["object", "boolean"]:
            return "Expected: Valid Schema, given: Invalid JSON"
        case "minimum", _:
            return f"{keyword} must be greater than or equal to 0"
        case "exclusiveMinimum", _:
            return f"{keyword} must be strictly greater than 0"
        case "uniqueItems", _:
            return f"{keyword} items must be unique"
    return f"{keyword or 'schema'}: {error.message[:200]}"


# Below these a schema holds values, not schemas.
_VALUES = ("enum", "const", "default", "examples")


def _check_parts(schema: Any, identifier: str) -> None:
    """References lead somewhere in the document, patterns are ones of RE2."""
    pending = [(schema, schema)]  # the resource that `#` stands for, and a part of it
    while pending:
        root, part = pending.pop()
        if isinstance(part, list):
            pending += [(root, member) for member in part]
        if not isinstance(part, dict):
            continue
        if isinstance(part.get(identifier), str):
            root = part
        pending += [(root, v) for k, v in part.items() if k not in _VALUES]
        reference = part.get("$ref")
        if isinstance(reference, str):
            _check_reference(root, reference)
        patterns = [*part["patternProperties"]] if _is_object(part, "patternProperties") else []
        for pattern in patterns:
            try:
                check_pattern(pattern)
            except RegexError:
                raise SchemaProblemError(f"Invalid regex pattern '{pattern}'") from None
        if isinstance(part.get("pattern"), str):
            try:
                check_pattern(part["pattern"])
            except RegexError:
                raise SchemaProblemError("pattern must be a valid regex") from None


def _without_drafts(part: Any, *, members: bool = False) -> Any:
    """The schema without the names of drafts: the library would leave our validator, with its bounds, for its own where
    a part names one. `members`: the keys of `part` are names of schemas, not keywords."""
    if isinstance(part, list):
        return [_without_drafts(p) for p in part]
    if not isinstance(part, dict):
        return part
    return {
        k: v
        if not members and k in _VALUES
        else _without_drafts(v, members=not members and k in _MEMBERS)
        for k, v in part.items()
        if members or k != "$schema"
    }


_MEMBERS = ("properties", "patternProperties", "definitions", "$defs", "dependencies")


def _is_object(part: Mapping[str, Any], member: str) -> bool:
    return isinstance(part.get(member), dict)


def _check_reference(root: Any, reference: str) -> None:
    resource = REGISTRY.resolver().lookup if reference.startswith("http") else None
    try:
        if resource is not None:
            resource(reference)
        elif reference.startswith("#/"):
            _follow(root, reference[2:].split("/"))
    except Unresolvable:
        message = f"reference {reference} leads out of the schema, and nothing is fetched"
        raise SchemaProblemError(message) from None


def _follow(part: Any, steps: list[str]) -> None:
    for step in steps:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list) and step.isdigit() and int(step) < len(part):
            part = part[int(step)]
        elif isinstance(part, dict) and step in part:
            part = part[step]
        else:
            raise SchemaProblemError(f"Object has no key '{step}'")


# ---- the builtins ----


def _described(error: ValidationError) -> dict[str, Value]:
    field = ".".join(str(step) for step in error.absolute_path) or "(Root)"
    kind, text = str(error.validator), error.message
    if error.validator is None or kind == "None":
        kind, text = "false", "False always fails validation"
    elif kind == "additionalItems":
        kind, text = "array_no_additional_items", "No additional items allowed on array"
    elif kind in ("const", "enum"):
        text = text.replace("{field}", field, 1)
    return {"error": f"{field}: {text}", "type": kind, "field": field, "desc": text}


@functools.lru_cache(maxsize=64)
def _checked(text: str) -> Any:
    """The schema of a JSON text. SchemaProblemError. Checking one takes longer than most documents do, and policies ask about
    many documents by one schema. Nobody changes what is returned."""
    schema = _plain(json.loads(text, parse_float=Decimal))
    _check_schema(schema)
    return schema


def _schema(value: Value) -> Any:
    if isinstance(value, dict | RegoObject):
        text = one_line(value)
        if len(text) <= CACHED_MAX:
            return _checked(text)
    schema = _document(value)
    _check_schema(schema)
    return schema


def _match(document: Value, schema: Value) -> Value:
    name = "json.match_schema"
    try:
        instance, wanted = _document(document), _schema(schema)
        found: list[Value] = []
        for error in _validator(wanted).iter_errors(instance):
            found.append(_described(error))
            if len(found) >= ERRORS_MAX:
                break
    except RecursionError:
        raise failed(name, "the document or the schema is nested too deeply") from None
    except (SchemaProblemError, SchemaError, ArithmeticError) as error:
        raise failed(name, str(error)) from None
    except Unresolvable as error:
        raise failed(name, f"reference {error.ref} leads nowhere in the schema") from None
    return [not found, found]


def _verify(schema: Value) -> Value:
    try:
        _check_schema(_document(schema))
    except RecursionError:
        return [False, "jsonschema: the schema is nested too deeply"]
    except (SchemaProblemError, Unresolvable, ArithmeticError) as error:
        return [False, f"jsonschema: {error}"]
    return [True, None]


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("json.match_schema", _match),
    ("json.verify_schema", _verify),
)
