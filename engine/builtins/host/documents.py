"""JSON with options, YAML, URL queries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, unquote_to_bytes

import yaml

from cupcake.engine.builtins.host.operands import failed, mapping, string, type_error
from cupcake.engine.builtins.values import (
    BuiltinError,
    RegoObject,
    RegoSet,
    Value,
    pairs,
    rego_object,
)

NODES_MAX = 500_000  # of a YAML document once its aliases are followed
DEPTH_MAX = 128
YAML_MAX = 1 << 20  # characters of a YAML document

# ---- JSON ----


def _go_string(text: str) -> str:
    """A JSON string as Go's encoder writes it."""
    quoted = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        quoted = quoted.replace(char, f"\\u{ord(char):04x}")
    return quoted


def number_text(value: int | Decimal) -> str:
    return str(value) if isinstance(value, int) else format(value, "f")


def _json_lines(value: Value, prefix: str, indent: str) -> str:
    """Go's json.MarshalIndent, or one line when `indent` is None."""
    return "".join(_json_parts(value, "\n" + prefix, indent))


def _json_parts(value: Value, line: str, indent: str | None) -> Iterator[str]:
    match value:
        case None:
            yield "null"
        case bool():
            yield "true" if value else "false"
        case int() | Decimal():
            yield str(value)
        case str():
            yield _go_string(value)
        case list() | RegoSet():
            yield from _json_block("[", "]", [([], item) for item in value], line, indent)
        case dict() | RegoObject():
            rows = sorted((k if isinstance(k, str) else one_line(k), v) for k, v in pairs(value))
            colon = ":" if indent is None else ": "
            block = [([_go_string(key), colon], item) for key, item in rows]
            yield from _json_block("{", "}", block, line, indent)


def _json_block(
    start: str, end: str, rows: list[tuple[list[str], Value]], line: str, indent: str | None
) -> Iterator[str]:
    yield start
    inner = line + (indent or "")
    for number, (head, item) in enumerate(rows):
        yield "," if number else ""
        yield "" if indent is None else inner
        yield from head
        yield from _json_parts(item, inner, indent)
    yield end if indent is None or not rows else line + end


def one_line(value: Value) -> str:
    """The JSON text as Go's encoder writes it: keys in order, sets as arrays, no blanks."""
    return "".join(_json_parts(value, "", None))


def spaced_line(value: Value) -> str:
    """As `one_line`, with a blank behind each comma and colon."""
    return "".join(
        part + " " if part in (",", ":") else part for part in _json_parts(value, "", None)
    )


def _marshal_with_options(value: Value, options: Value) -> Value:
    name = "json.marshal_with_options"
    prefix, indent, pretty, explicit = "", "\t", False, False
    for key, option in pairs(mapping(name, 2, options)):
        match key, option:
            case "prefix", str():
                prefix, pretty = option, pretty or not explicit
            case "indent", str():
                indent, pretty = option, pretty or not explicit
            case "pretty", bool():
                pretty, explicit = option, True
            case (("prefix" | "indent"), _):
                error = type_error(name, 2, option, "string")
                raise BuiltinError(
                    "type", f"{name}: operand 2 key {key} failed cast to string: {error}"
                )
            case "pretty", _:
                raise BuiltinError("type", f"{name}: operand 2 key pretty failed cast to bool")
            case _:
                shown = one_line(key)
                message = f"{name}: operand 2 object contained unknown key {shown}"
                raise BuiltinError("type", message)
    return prefix + _json_lines(value, prefix, indent) if pretty else one_line(value)


# ---- YAML ----


if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:  # libyaml's, where the wheel has it: 20 times faster, and Go's reader has its words
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):
    """Dates stay texts, numbers stay exact, keys become texts later."""


def _resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    return {
        first: [pair for pair in found if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.yaml_implicit_resolvers = _resolvers()


def _float(loader: _Loader, node: yaml.ScalarNode) -> object:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    try:
        return Decimal(text)
    except ArithmeticError:
        return loader.construct_yaml_float(node)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A mapping as it stands in the text: a dict would take the keys 1 and true for one."""

    items: tuple[tuple[object, object], ...]


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Pairs:
    loader.flatten_mapping(node)
    return _Pairs(
        tuple(
            (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
            for key, value in node.value
        )
    )


_Loader.add_constructor("tag:yaml.org,2002:float", _float)
_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _yaml_error(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
    problem = re.sub(r"^expected (.*?), but (got|found) .*", r"did not find expected \1", problem)
    problem = problem.replace("are not allowed here", "are not allowed in this context")
    return f"yaml: line {mark.line + 1}: {problem}" if mark else f"yaml: {problem}"


class _Converter:
    """Loaded YAML to Rego values; counts nodes, since aliases can make a small text huge."""

    __slots__ = ("name", "nodes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes = 0

    def value(self, loaded: object, depth: int = 0) -> Value:
        self.nodes += 1
        if self.nodes > NODES_MAX or depth > DEPTH_MAX:
            raise failed(self.name, "yaml: document is too large or nested too deeply")
        match loaded:
            case None | bool() | int() | str():
                return loaded
            case Decimal() if loaded.is_finite():
                return loaded
            case bytes():
                return loaded.decode("utf-8", "replace")
            case list() | set() | tuple():
                return [self.value(item, depth + 1) for item in loaded]
            case _Pairs(items):
                return {self.key(key): self.value(item, depth + 1) for key, item in items}
        raise failed(self.name, f"yaml: a {type(loaded).__name__} has no JSON form")

    def key(self, key: object) -> str:
        match key:
            case str():
                return key
            case bool():
                return "true" if key else "false"
            case int() | Decimal():
                return str(key)
            case None:
                return "null"
        raise failed(self.name, "yaml: a key must be a scalar")


def _check_yaml_size(name: str, text: str) -> None:
    """Refuses what would cost too much to load: libyaml's own loader has no guard against deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX:
            raise failed(name, "yaml: document is nested too deeply")


def load_yaml(name: str, text: str) -> Value:
    if len(text) > YAML_MAX:
        raise failed(name, f"yaml: document is longer than {YAML_MAX} characters")
    try:
        _check_yaml_size(name, text)
        loaded = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise failed(name, _yaml_error(error)) from None
    except (ValueError, RecursionError, TypeError) as error:
        raise failed(name, f"yaml: {error}") from None
    return _Converter(name).value(loaded)


def _yaml_unmarshal(text: Value) -> Value:
    return load_yaml("yaml.unmarshal", string("yaml.unmarshal", 1, text))


def _yaml_is_valid(text: Value) -> Value:
    if not isinstance(text, str):
        return False
    try:
        load_yaml("yaml.is_valid", text)
    except BuiltinError:
        return False
    return True


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_decimal(dumper: _Dumper, value: Decimal) -> yaml.ScalarNode:
    text = str(value)
    tag = "int" if re.fullmatch("-?[0-9]+", text) else "float"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{tag}", text.lower())


_Dumper.add_representer(Decimal, _represent_decimal)


def _plain(value: Value) -> object:
    """Sets as lists and keys as texts, as JSON has them."""
    match value:
        case list() | RegoSet():
            return [_plain(item) for item in value]
        case dict() | RegoObject():
            return {k if isinstance(k, str) else one_line(k): _plain(v) for k, v in pairs(value)}
    return value


def _yaml_marshal(value: Value) -> Value:
    return str(
        yaml.dump(
            _plain(value),
            Dumper=_Dumper,
            default_flow_style=False,
            allow_unicode=True,
            width=1 << 20,
        )
    )


# ---- URL queries ----


def _encode_object(value: Value) -> Value:
    name = "urlquery.encode_object"
    message = f"{name}: operand 1 values must be string, array[string], or set[string]"
    rows: list[tuple[str, str]] = []
    for key, item in pairs(mapping(name, 1, value)):
        items = [item] if isinstance(item, str) else item
        if not isinstance(items, list | RegoSet):
            raise BuiltinError("type", message)
        for one in items:
            if not isinstance(one, str):
                raise BuiltinError("type", message)
            rows.append((key if isinstance(key, str) else one_line(key), one))
    return "&".join(f"{quote_plus(k, safe='')}={quote_plus(v, safe='')}" for k, v in rows)


def _unescape(name: str, text: str) -> str:
    bad = re.search(r"%(?![0-9a-fA-F]{2}).{0,2}", text)
    if bad:
        raise failed(name, f'invalid URL escape "{bad.group()}"')
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


def _decode_object(query: Value) -> Value:
    name = "urlquery.decode_object"
    found: dict[str, list[Value]] = {}
    for part in string(name, 1, query).split("&"):
        if ";" in part:
            raise failed(name, "invalid semicolon separator in query")
        if part:
            key, _, value = part.partition("=")
            found.setdefault(_unescape(name, key), []).append(_unescape(name, value))
    return rego_object(list(found.items()))


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("json.marshal_with_options", _marshal_with_options),
    ("yaml.marshal", _yaml_marshal),
    ("yaml.unmarshal", _yaml_unmarshal),
    ("yaml.is_valid", _yaml_is_valid),
    ("urlquery.encode_object", _encode_object),
    ("urlquery.decode_object", _decode_object),
)
