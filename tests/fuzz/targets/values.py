"""Texts of values: JSON and value text in Python and through the module, inputs of an evaluation, data files."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from decimal import Decimal

from driver import Finding, Target, token_mutator

from cupcake.engine.api import compile_policy
from cupcake.engine.cli.files import LoadProblem, parse_json
from cupcake.engine.errors import EvaluationError
from cupcake.engine.vm import Limits, Policy, load
from cupcake.engine.vm.text import ValueTextError, dump_value, parse_value

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|[a-zA-Z]+|\s+|.', re.DOTALL)
WORDS = [
    *("[", "]", "{", "}", ",", ":", "set()", "set(", "null", "true", "false", "nul", "NaN", "Infinity", "-", "+1", "01"),
    *("0", "-0", "1", "1.0", "1e2", "1E-2", "1e999999", "1e-999999999999", "9" * 60, "9223372036854775808", "0.1", ".5", "1."),
    *('""', '"a"', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\x"', '"\\', '"\x01"', '"é"'),
    *("\0", "\ufeff", " ", "\t", "\n", "\r", "\x0b", '{"a":1,"a":2}', "{1:2}", "{{1}:[2]}", "{1,2}", "{1,1.0}", "[" * 520),
]  # fmt: skip
mutate = token_mutator(TOKEN, WORDS)
MAX_DIGITS = 4000


def check_value_text(data: bytes) -> None:
    """What parses is written and read again as itself."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        value = parse_value(text)
    except ValueTextError:
        return
    written = dump_value(value)
    again = parse_value(written)
    if dump_value(again) != written:
        raise Finding(f"{written!r} is read as {again!r}")


POLICY = (
    "package a\np := input\nq := json.unmarshal(input)\nr := [json.is_valid(input), count(input)]\n"
)


@functools.cache
def policy() -> Policy:
    artifact = compile_policy({"a.rego": POLICY}, entrypoints=("a/p",))
    return load(artifact, limits=Limits(memory_bytes=32 << 20, seconds=2.0))


def check_input(data: bytes) -> None:
    """Any bytes as input: the value comes back, or a typed error; what Python takes for JSON is taken, and alike."""
    try:
        found = policy().evaluate_json("a/p", data)
    except EvaluationError as error:
        if error.code == "eval_internal_error":
            raise Finding(str(error)) from error
        found = None
    try:
        wanted = json.loads(
            data,
            parse_float=_number,
            parse_int=_number,
            parse_constant=_refuse,
            object_pairs_hook=_last,
        )
    except (ValueError, RecursionError, ArithmeticError):
        return
    if found is None:
        if data and _depth(wanted) < 500 and data[:3] != b"\xef\xbb\xbf" and not _wide(data):
            raise Finding("valid JSON is refused as input")
        return
    got = json.loads(found, parse_float=_number, parse_int=_number, object_pairs_hook=_last)
    if data and got != [{"result": _repaired(wanted)}]:
        raise Finding(f"{wanted!r} comes back as {got!r}")


def _wide(data: bytes) -> bool:
    """UTF-16 and -32, which json.loads guesses."""
    return b"\0" in data[:4]


def _number(text: str) -> Decimal:
    # Compared with sign and value only: `-0` and `0` are equal.
    if len(text) > MAX_DIGITS or abs(int(re.split("[eE]", text + "e0")[1] or 0)) > 100_000:
        raise ValueError("not compared")
    return Decimal(text)


def _refuse(name: str) -> object:
    raise ValueError(name)


def _last(items: list[tuple[str, object]]) -> dict[str, object]:
    return {_text(key): value for key, value in items}


def _text(text: str) -> str:
    # json.loads keeps lone surrogates of escapes, the module writes U+FFFD for them.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repaired(value: object) -> object:
    match value:
        case str():
            return re.sub("[\ud800-\udfff]", "\ufffd", value)
        case list():
            return [_repaired(item) for item in value]
        case dict():
            return {_repaired(k): _repaired(v) for k, v in value.items()}
        case _:
            return value


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for item in level
            if isinstance(item, (list, dict))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def check_data_file(data: bytes) -> None:
    try:
        parse_json(data.decode("utf-8", "surrogateescape"), "data.json")
    except LoadProblem as error:
        if "data.json" not in str(error):
            raise Finding("the error does not name the file") from error


def seeds() -> Sequence[bytes]:
    return [
        b'{"a":[1,2.5,-3e2,null,true,false,"x\\n\\u00e9"],"b":{"c":{}}}',
        b'[{"k":[[[[]]]]},"\\ud83d\\ude00",12345678901234567890.123456789]',
        b'{1:2,"a":{3,4,{5:set()}},[1]:null,{1}:{{}}}',
    ]


TARGETS = (
    Target("value-text", check_value_text, mutate, seeds),
    Target("input", check_input, mutate, seeds),
    Target("data-file", check_data_file, mutate, seeds),
)
