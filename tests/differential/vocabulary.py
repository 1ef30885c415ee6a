"""Literals of the random programs, and the shape of their documents. Pure data, and values made from it by a Random."""

from __future__ import annotations

import json
import random
from typing import Any, Final

NUMBERS: Final = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "10",
        "7",
        "1.0",
        "1.5",
        "-0.5",
        "0.1",
        "0.2",
        "2.50",
        "1e3",
        "1e-7",
    ),
    *("100000000000000000000", "9007199254740993", "-9007199254740993", "3.14159265358979323846"),
    *("2147483648", "4294967296", "9223372036854775807", "-9223372036854775808", "1e21", "0.30"),
)
STRINGS: Final = (
    *("", "a", "b", "c", "abc", "A b", "é", "日本", "a,b,c", "1", "-1.5", "a/b", "x.y.z", " pad "),
    *("a\tb", "😀", "true", "null", "[1,2]", "aXbXc", "ABC", "ß", "k", "foo", "foobar"),
    *('{"a": 1}', "a\nb", '"q\\'),
)
KEYS: Final = ("a", "b", "c", "k", "n", "x y", "é")
KINDS: Final = ("num", "str", "bool", "arr", "set", "obj", "any")
# Where references into documents start; the last two are whole documents.
ROOTS: Final = (
    *("input.n", "input.s", "input.b", "input.a", "input.w", "input.o", "input.m", "input.u"),
    *("input.x", "input.z", "data.d.a", "data.d.o", "data.d.n", "data.d.s", "input", "data.d"),
)
STEPS: Final = ('["k"]', ".a", ".b", "[0]", "[1]", "[_]", ".name", '["x y"]', ".n")


def text_of(value: object) -> str:
    """A JSON value as a Rego term."""
    return json.dumps(value, ensure_ascii=False)


def document(choose: random.Random, depth: int = 2) -> Any:
    """A random JSON value."""
    match choose.randrange(10 if depth else 5):
        case 0 | 1:
            return json.loads(choose.choice(NUMBERS[:21]))
        case 2 | 3:
            return choose.choice(STRINGS)
        case 4:
            return choose.choice((True, False, None))
        case 5 | 6:
            return [document(choose, depth - 1) for _ in range(choose.randrange(4))]
        case _:
            return {
                choose.choice(KEYS): document(choose, depth - 1) for _ in range(choose.randrange(4))
            }


def input_document(choose: random.Random) -> dict[str, Any]:
    """An input whose members have the types that the programs count on, now and then without one."""
    small = choose.randrange
    given: dict[str, Any] = {
        "n": json.loads(choose.choice(NUMBERS)),
        "s": choose.choice(STRINGS),
        "b": choose.choice((True, False)),
        "a": [json.loads(choose.choice(NUMBERS[:9])) for _ in range(small(4))],
        "w": [choose.choice(STRINGS) for _ in range(small(4))],
        "o": {choose.choice(KEYS): document(choose, 1) for _ in range(small(4))},
        "m": [[small(3) for _ in range(2)] for _ in range(small(4))],
        "u": [{"name": choose.choice(STRINGS), "age": small(5)} for _ in range(small(4))],
        "x": document(choose, 2),
        "z": None,
    }
    return {key: value for key, value in given.items() if choose.random() >= 0.05}
