"""YAML as OPA reads it since 1.19: the core schema of YAML 1.2 with the octals and merge keys of 1.1, one document of many."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from math import isnan
from typing import TYPE_CHECKING

import yaml

from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.host.yaml_writer import yaml_text
from cupcake.engine.builtins.texts import readable, readable_bytes, to_bytes
from cupcake.engine.builtins.values import BuiltinError, Value

NODES_MAX = 500_000  # of a document once its aliases are followed
DEPTH_MAX = 128
YAML_MAX = 1 << 20  # characters of a document
_UINT64 = (1 << 64) - 1
_INT64 = 1 << 63

_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_OTHER_VERSION = re.compile(r"^%YAML\s+(?!1\.1\s*$)", re.MULTILINE)
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_TAG = "tag:yaml.org,2002:"
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float, Decimal),
    "bool": (bool,),
    "null": (type(None),),
}
PLAIN_TAG = "!plain"
# Every plain scalar is judged by `scalar`; only the merge key has a tag of its own.
PLAIN_RESOLVERS = {
    "<": [(f"{_TAG}merge", re.compile("<<"))],
    None: [(PLAIN_TAG, re.compile(".*", re.DOTALL))],
}
# What Python says of bytes that are not UTF-8, in the words of Go's reader.
_BAD_BYTES = {
    "invalid start byte": "invalid leading UTF-8 octet",
    "invalid continuation byte": "invalid trailing UTF-8 octet",
    "unexpected end of data": "incomplete UTF-8 octet sequence",
}

if TYPE_CHECKING:
    _Base = yaml.SafeLoader
else:  # libyaml's, where the wheel has it: 20 times faster, and Go's reader has its words
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A mapping as it stands in the text: a dict would take the keys 1 and true for one."""

    items: tuple[tuple[object, object], ...]


class _Loader(_Base):
    """Plain scalars by the rules above; dates stay texts, numbers exact; keys become texts later."""


def scalar(text: str) -> object:
    """What a plain scalar stands for: None, a truth value, a number, or itself."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if text[0] not in "+-.0123456789":
        return text
    if re.fullmatch(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", text):
        return float(text.replace(".", ""))
    plain = text.replace("_", "")
    if _INTEGER.fullmatch(plain):
        number = _integer(plain)
        return number if -_INT64 <= number <= _UINT64 else Decimal(number)
    if _FLOAT.fullmatch(plain if text[0] != "." else text):
        return Decimal(plain)
    return text


def _integer(text: str) -> int:
    """As Go's ParseInt with base 0: the prefix tells the base, a zero alone octal."""
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-").lower()
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8)):
        if digits.startswith(prefix):
            return sign * int(digits[2:], base)
    return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> object:
    return scalar(str(node.value))


def _tagged(loader: _Loader, node: yaml.ScalarNode) -> object:
    """A plain value whose tag says what it must be."""
    text, kind = str(node.value), node.tag.removeprefix(_TAG)
    found = scalar(text)
    if not isinstance(found, _KINDS[kind]) or (kind != "bool" and isinstance(found, bool)):
        problem = f"cannot decode !!str `{text}` as a !!{kind}"
        raise yaml.constructor.ConstructorError(None, None, problem, None)
    return found


def _moment(loader: _Loader, node: yaml.ScalarNode) -> object:
    return moment(str(node.value))


def moment(text: str) -> str:
    """A date, or a date with a time, as JSON has it; what is no day of the calendar stays as it is."""
    if not _DATE.fullmatch(text):
        return text
    try:
        found = datetime.fromisoformat(text.replace("t", "T").replace(" ", "T", 1))
    except ValueError:
        return text
    shown = (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()
    if "." in shown:
        seconds, _, zone = shown.partition(".")
        shown = f"{seconds}.{zone[:6].rstrip('0')}{zone[6:]}"
    return shown.replace("+00:00", "Z")


def _text(loader: _Loader, suffix: str, node: yaml.Node) -> object:
    """A tag that means nothing here: the value without it."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return _mapping(loader, node)


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> object:
    return loader.construct_sequence(node, deep=True)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> _Pairs:
    loader.flatten_mapping(node)
    return _Pairs(
        tuple(
            (loader.construct_object(key, deep=True), loader.construct_object(value, deep=True))
            for key, value in node.value
        )
    )


_Loader.yaml_implicit_resolvers = PLAIN_RESOLVERS
_Loader.add_constructor(PLAIN_TAG, _scalar)
for _kind in ("int", "float", "bool", "null"):
    _Loader.add_constructor(_TAG + _kind, _tagged)
for _kind in ("omap", "pairs"):
    _Loader.add_constructor(_TAG + _kind, _sequence)
_Loader.add_constructor(f"{_TAG}map", _mapping)
_Loader.add_constructor(f"{_TAG}set", _mapping)
_Loader.add_constructor(f"{_TAG}timestamp", _moment)
_Loader.add_multi_constructor("!", _text)


def _yaml_error(error: yaml.YAMLError, text: str) -> str:
    """In the words of Go's reader, which counts lines as it does."""
    if isinstance(error, yaml.reader.ReaderError):
        return f"yaml: {error.reason}"
    problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
    mark = getattr(error, "problem_mark", None)
    if "undefined alias" in problem and mark is not None:
        rest = text.split("\n")[mark.line][mark.column :]
        name = re.match(r"\*?([\w-]*)", rest)
        return f"yaml: unknown anchor '{name[1] if name else ''}' referenced"
    if problem.startswith("expected a mapping or list of mappings for merging"):
        return "yaml: map merge requires map or sequence of maps as the value"
    around = getattr(error, "context_mark", None)
    line = (around.line if around else 0) or (mark.line if mark else 0)
    if line and isinstance(error, yaml.scanner.ScannerError):
        line += 1
    problem = re.sub(r"^expected (.*?), but (got|found) .*", r"did not find expected \1", problem)
    problem = problem.replace("are not allowed here", "are not allowed in this context")
    return f"yaml: line {line}: {problem}" if line else f"yaml: {problem}"


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
            case str():
                return readable(loaded)
            case None | bool() | int():
                return loaded
            case Decimal() if loaded.is_finite():
                return loaded
            case bytes():
                return readable_bytes(loaded)
            case list() | set() | tuple():
                return [self.value(item, depth + 1) for item in loaded]
            case _Pairs(items):
                return {self.key(key): self.value(item, depth + 1) for key, item in items}
            case float():
                shown = "NaN" if isnan(loaded) else "+Inf" if loaded > 0 else "-Inf"
                raise failed(self.name, f"json: unsupported value: {shown}")
        raise failed(self.name, f"yaml: a {type(loaded).__name__} has no JSON form")

    def key(self, key: object) -> str:
        match key:
            case str():
                return readable(key)
            case bool():
                return "true" if key else "false"
            case int() | Decimal():
                return str(key)
        raise failed(self.name, f"unsupported map key: {'null' if key is None else 'no scalar'}")


def _check_size(name: str, text: str) -> int:
    """Refuses what would cost too much to load: libyaml's own loader has no guard against deep nesting. The number of
    documents; all of them must parse."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if depth > DEPTH_MAX:
            raise failed(name, "yaml: document is nested too deeply")
    return documents


def load_yaml(name: str, text: str) -> Value:
    """The first document of a text; BuiltinError."""
    try:
        to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise failed(name, f"yaml: {_BAD_BYTES[error.reason]}") from None
    if len(text) > YAML_MAX:
        raise failed(name, f"yaml: document is longer than {YAML_MAX} characters")
    if text.startswith("%") and _OTHER_VERSION.search(text):
        raise failed(name, "yaml: found incompatible YAML document")
    try:
        documents = _check_size(name, text)
        loaded = next(iter(yaml.load_all(text, Loader=_Loader))) if documents else None
    except yaml.YAMLError as error:
        raise failed(name, _yaml_error(error, text)) from None
    except (ValueError, RecursionError, TypeError) as error:
        raise failed(name, f"yaml: {error}") from None
    return _Converter(name).value(loaded)


def _unmarshal(text: Value) -> Value:
    return load_yaml("yaml.unmarshal", string("yaml.unmarshal", 1, text))


def _is_valid(text: Value) -> Value:
    if not isinstance(text, str):
        return False
    try:
        load_yaml("yaml.is_valid", text)
    except BuiltinError:
        return False
    return True


def _marshal(value: Value) -> Value:
    return yaml_text("yaml.marshal", value, scalar)


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("yaml.marshal", _marshal),
    ("yaml.unmarshal", _unmarshal),
    ("yaml.is_valid", _is_valid),
)
