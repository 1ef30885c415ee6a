"""The keywords of JSON Schema as OPA's library judges them, for `schemas.py`: their errors, in its words and order.

The validator comes from the `jsonschema` library and is handed in, and so is the matcher of patterns.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

from jsonschema.exceptions import ValidationError

from cupcake.engine.builtins.host.documents import one_line
from cupcake.engine.builtins.host.schema_formats import FORMATS

EXPONENT_MAX = 4000

Found = Iterator[ValidationError]
Matcher = Callable[[str, str], bool]  # of a pattern anywhere in a text
Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class SchemaProblemError(ValueError):
    """The schema, or what it is applied to, cannot be used."""


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
    return "number"


def _error(kind: str, text: str, **details: Any) -> ValidationError:
    return ValidationError(text, validator=kind, **details)


def _type(validator: Any, wanted: Any, instance: Any, schema: Any) -> Found:
    listed = [wanted] if isinstance(wanted, str) else wanted
    kind = _kind(instance)
    if kind not in listed and not (kind == "integer" and "number" in listed):
        shown = wanted if isinstance(wanted, str) else f"[{','.join(wanted)}]"
        yield _error("invalid_type", f"Invalid type. Expected: {shown}, given: {kind}")


def _closest(groups: list[list[ValidationError]]) -> list[ValidationError]:
    """The errors of the alternative that was probably meant: one whose type is right."""
    if not groups:
        return []
    return next((g for g in groups if g[0].validator != "invalid_type" or g[0].path), groups[0])


def _any_of(validator: Any, members: Any, instance: Any, schema: Any) -> Found:
    groups: list[list[ValidationError]] = []
    for index, member in enumerate(members):
        errors = list(validator.descend(instance, member, schema_path=index))
        if not errors:
            return
        groups.append(errors)
    if groups:
        yield _error("number_any_of", "Must validate at least one schema (anyOf)")
        yield from _closest(groups)


def _one_of(validator: Any, members: Any, instance: Any, schema: Any) -> Found:
    found = [list(validator.descend(instance, m, schema_path=i)) for i, m in enumerate(members)]
    valid = sum(not errors for errors in found)
    if found and valid != 1:
        yield _error("number_one_of", "Must validate one and only one schema (oneOf)")
        if not valid:
            yield from _closest(found)


def _all_of(validator: Any, members: Any, instance: Any, schema: Any) -> Found:
    wrong = False
    for index, member in enumerate(members):
        for error in validator.descend(instance, member, schema_path=index):
            wrong = True
            yield error
    if wrong:
        yield _error("number_all_of", "Must validate all the schemas (allOf)")


def _not(validator: Any, member: Any, instance: Any, schema: Any) -> Found:
    if validator.evolve(schema=member).is_valid(instance):
        yield _error("number_not", "Must not validate the schema (not)")


def _dependencies(validator: Any, members: Any, instance: Any, schema: Any) -> Found:
    if not isinstance(instance, dict):
        return
    for name in sorted(members.keys() & instance.keys()):
        member = members[name]
        if not isinstance(member, list):
            yield from validator.descend(instance, member, schema_path=name)
            continue
        for needed in member:
            if needed not in instance:
                yield _error("missing_dependency", f"Has a dependency on {needed}")


def _if(validator: Any, member: Any, instance: Any, schema: Any) -> Found:
    holds = validator.evolve(schema=member).is_valid(instance)
    branch, state = ("then", "was valid") if holds else ("else", "was not valid")
    if branch in schema:
        errors = list(validator.descend(instance, schema[branch], schema_path=branch))
        if errors:
            yield _error(f"condition_{branch}", f'Must validate "{branch}" as "if" {state}')
            yield from errors


def _const(validator: Any, wanted: Any, instance: Any, schema: Any) -> Found:
    if _key(instance) != _key(wanted):
        yield _error("const", f"{{field}} does not match: {_shown(wanted)}")


def _enum(validator: Any, wanted: Any, instance: Any, schema: Any) -> Found:
    if _key(instance) not in {_key(value) for value in wanted}:
        listed = ", ".join(_shown(value) for value in wanted)
        yield _error("enum", f"{{field}} must be one of the following: {listed}")


def _format(validator: Any, wanted: Any, instance: Any, schema: Any) -> Found:
    check = dict(FORMATS).get(wanted)
    if check is not None and isinstance(instance, str) and not check(instance):
        yield _error("format", f"Does not match format '{wanted}'")


def _pattern(match: Matcher, validator: Any, pattern: Any, instance: Any, schema: Any) -> Found:
    if isinstance(instance, str) and not match(pattern, instance):
        yield _error("pattern", f"Does not match pattern '{pattern}'")


def _member(validator: Any, value: Any, schema: Any, name: str) -> Found:
    """The errors of one member of an object."""
    if schema is False:  # the library would lose the place
        yield _error("false", "False always fails validation", path=[name])
    else:
        yield from validator.descend(value, schema, path=name, schema_path=name)


def _properties(validator: Any, members: Any, instance: Any, schema: Any) -> Found:
    if isinstance(instance, dict):
        for name, member in members.items():
            if name in instance:
                yield from _member(validator, instance[name], member, name)


def _pattern_properties(
    match: Matcher, validator: Any, members: Any, instance: Any, schema: Any
) -> Found:
    if isinstance(instance, dict):
        for pattern, member in members.items():
            for name, value in instance.items():
                if match(pattern, name):
                    yield from _member(validator, value, member, name)


def _additional_properties(
    match: Matcher, validator: Any, member: Any, instance: Any, schema: Any
) -> Found:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, value in sorted(instance.items()):
        if name in known or any(match(pattern, name) for pattern in patterns):
            continue
        if member is False:
            text = f"Additional property {name} is not allowed"
            yield _error("additional_property_not_allowed", text)
        elif isinstance(member, dict):
            yield from validator.descend(value, member, path=name)


def _property_names(validator: Any, member: Any, instance: Any, schema: Any) -> Found:
    if isinstance(instance, dict):
        for name in sorted(instance):
            errors = list(validator.descend(name, member))
            if errors:
                text = f'Property name of "{name}" does not match'
                yield _error("invalid_property_name", text)
                yield from errors


def _contains(validator: Any, member: Any, instance: Any, schema: Any) -> Found:
    if not isinstance(instance, list):
        return
    first: list[ValidationError] = []
    for index, item in enumerate(instance):
        errors = list(validator.descend(item, member, path=index))
        if not errors:
            return
        first = first or errors
    yield _error("contains", "At least one of the items must match")
    yield from first


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Found:
    if wanted is True and isinstance(instance, list):
        seen: dict[str, int] = {}
        for index, item in enumerate(instance):
            key = _key(item)
            if key in seen:
                yield _error("unique", f"array items[{seen[key]},{index}] must be unique")
            seen[key] = index


def _required(validator: Any, names: Any, instance: Any, schema: Any) -> Found:
    if isinstance(instance, dict) and isinstance(names, list):
        for name in names:
            if name not in instance:
                yield _error("required", f"{name} is required")


def _limit(
    kind: str, text: str, of: type[Any] | tuple[type[Any], ...], bad: Callable[[Any, Any], bool]
) -> Keyword:
    """A keyword that compares an instance of one type with a number."""

    def check(validator: Any, limit: Any, instance: Any, schema: Any) -> Found:
        if isinstance(instance, of) and not isinstance(instance, bool) and bad(instance, limit):
            yield _error(kind, text.format(_shown(limit)))

    return check


def _compare(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _is_no_multiple(number: Any, of: Any) -> bool:
    for value in (number, of):
        if isinstance(value, Decimal) and abs(value.adjusted()) > EXPONENT_MAX:
            raise SchemaProblemError("a number is too large for multipleOf")
    return Fraction(number) % Fraction(of) != 0


def _bound(kind: str, sign: int) -> tuple[Keyword, Keyword]:
    """`minimum` (sign 1) or `maximum` (-1) and its exclusive twin, which is a boolean in draft 4."""
    word, strict = ("greater", "gt") if sign > 0 else ("less", "lt")
    twin = "exclusiveMinimum" if sign > 0 else "exclusiveMaximum"

    def inclusive(validator: Any, limit: Any, instance: Any, schema: Any) -> Found:
        if isinstance(instance, bool) or not isinstance(instance, int | Decimal):
            return
        if schema.get(twin) is True:
            yield from exclusive(validator, limit, instance, schema)
        elif _compare(instance, limit) == -sign:
            text = f"Must be {word} than or equal to {_shown(limit)}"
            yield _error(f"number_{strict}e", text)

    def exclusive(validator: Any, limit: Any, instance: Any, schema: Any) -> Found:
        if isinstance(instance, bool) or not isinstance(instance, int | Decimal):
            return
        if not isinstance(limit, bool) and _compare(instance, limit) != sign:
            yield _error(f"number_{strict}", f"Must be {word} than {_shown(limit)}")

    return inclusive, exclusive


_NUMBER = (int, Decimal)
_MINIMUM, _EXCLUSIVE_MINIMUM = _bound("minimum", 1)
_MAXIMUM, _EXCLUSIVE_MAXIMUM = _bound("maximum", -1)
_KEYWORDS: tuple[tuple[str, Keyword], ...] = (
    ("type", _type),
    ("anyOf", _any_of),
    ("oneOf", _one_of),
    ("allOf", _all_of),
    ("not", _not),
    ("dependencies", _dependencies),
    ("if", _if),
    ("const", _const),
    ("enum", _enum),
    ("format", _format),
    ("properties", _properties),
    ("propertyNames", _property_names),
    ("contains", _contains),
    ("uniqueItems", _unique_items),
    ("required", _required),
    ("minimum", _MINIMUM),
    ("exclusiveMinimum", _EXCLUSIVE_MINIMUM),
    ("maximum", _MAXIMUM),
    ("exclusiveMaximum", _EXCLUSIVE_MAXIMUM),
    ("multipleOf", _limit("multiple_of", "Must be a multiple of {}", _NUMBER, _is_no_multiple)),
    (
        "minLength",
        _limit(
            "string_gte",
            "String length must be greater than or equal to {}",
            str,
            lambda s, n: len(s) < n,
        ),
    ),
    (
        "maxLength",
        _limit(
            "string_lte",
            "String length must be less than or equal to {}",
            str,
            lambda s, n: len(s) > n,
        ),
    ),
    (
        "minItems",
        _limit(
            "array_min_items",
            "Array must have at least {} items",
            list,
            lambda a, n: len(a) < n,
        ),
    ),
    (
        "maxItems",
        _limit(
            "array_max_items",
            "Array must have at most {} items",
            list,
            lambda a, n: len(a) > n,
        ),
    ),
    (
        "minProperties",
        _limit(
            "array_min_properties",
            "Must have at least {} properties",
            dict,
            lambda o, n: len(o) < n,
        ),
    ),
    (
        "maxProperties",
        _limit(
            "array_max_properties",
            "Must have at most {} properties",
            dict,
            lambda o, n: len(o) > n,
        ),
    ),
)


def keywords(match: Matcher) -> dict[str, Keyword]:
    """Every keyword that is judged here, by name."""
    return {
        **dict(_KEYWORDS),
        "pattern": partial(_pattern, match),
        "patternProperties": partial(_pattern_properties, match),
        "additionalProperties": partial(_additional_properties, match),
    }


def _key(value: Any) -> str:
    """Equal for equal JSON values; numbers by value."""
    match value:
        case Decimal():
            return str(value.normalize())
        case list():
            return "[" + ",".join(map(_key, value)) + "]"
        case dict():
            members = (f"{json.dumps(k)}:{_key(v)}" for k, v in sorted(value.items()))
            return "{" + ",".join(members) + "}"
    return one_line(value)


def _shown(value: Any) -> str:
    return one_line(value)
