"""Strings with bytes that are not UTF-8: kept in the sandbox and by builtins of the host, never seen outside."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from cupcake.engine.api import load, query
from cupcake.engine.artifact import Artifact
from cupcake.engine.builtins.effects import Record, Recorder
from cupcake.engine.builtins.values import BuiltinError
from cupcake.engine.errors import EvaluationError

Compile = Callable[..., Artifact]

# What a policy is given as hexadecimal digits, and what everybody else reads of it.
READ = [
    ("ff", "\ufffd"),
    ("61ff62", "a\ufffdb"),
    ("e697", "\ufffd\ufffd"),
    ("e697a5", "日"),
    ("c080", "\ufffd\ufffd"),
    ("eda080", "\ufffd\ufffd\ufffd"),
    ("edb080", "\ufffd\ufffd\ufffd"),
    ("f0808080", "\ufffd" * 4),
    ("f4908080", "\ufffd" * 4),
    ("f09f98", "\ufffd" * 3),
    ("f09f9880", "😀"),
    ("00ff00", "\0\ufffd\0"),
    ("22ff5c", '"\ufffd\\'),
    ("6161616161616161ff6161616161616161e2", "aaaaaaaa\ufffdaaaaaaaa\ufffd"),
    ("e280a8ffe280a9", "\u2028\ufffd\u2029"),
]
_SHOWN = "p := {hex.decode(input): [{hex.decode(input)}]}"


@pytest.mark.parametrize(("digits", "read"), READ)
@pytest.mark.parametrize("linked", [False, True], ids=["split", "linked"])
def test_a_result_is_utf8(compiled: Compile, digits: str, read: str, linked: bool) -> None:
    artifact = compiled(_SHOWN)
    policy = load(artifact.wasm if linked else artifact)
    policy.evaluate_json("a/p", f'"{digits}"'.encode()).decode("utf-8", "strict")
    assert policy.evaluate("a/p", digits) == {read: [[read]]}


@pytest.mark.parametrize(("digits", "read"), READ)
def test_a_function_of_the_caller_gets_and_gives_the_bytes(digits: str, read: str) -> None:
    seen: list[bytes] = []

    def look(value: str) -> str:
        seen.append(value.encode("utf-8", "surrogateescape"))
        return value

    text = f'x := my.f(hex.decode("{digits}")); y := hex.encode(x)'
    assert query(text, builtins={"my.f": look}) == [{"x": read, "y": digits}]
    assert seen == [bytes.fromhex(digits)]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("\udcff", "ff"),
        ("\ud800", "efbfbd"),
        ("\udc7f\udd00", "efbfbdefbfbd"),
        ("\U0001f0ff\udcff", "f09f83bfff"),
    ],
)
def test_only_surrogates_that_stand_for_bytes_are_bytes(given: str, kept: str) -> None:
    assert query("x := hex.encode(my.f(1))", builtins={"my.f": lambda value: given}) == [
        {"x": kept}
    ]


@pytest.mark.parametrize("given", ["\udcff", ["\udcff", Decimal("1.25")]])
def test_an_input_makes_no_such_bytes(given: object) -> None:
    text = "x := [hex.encode(s) | walk(input, [_, s]); is_string(s)]"
    assert query(text, input=given) == [{"x": ["efbfbd"]}]
    assert query('x := hex.encode("\\udcff")') == [{"x": "efbfbd"}]
    assert query("x := hex.encode(data.s)", data={"s": "\udcff"}) == [{"x": "efbfbd"}]


@pytest.mark.parametrize("linked", [False, True], ids=["split", "linked"])
def test_keys_of_the_host_are_bytes(compiled: Compile, linked: bool) -> None:
    """Two keys that read alike must not open for each other's tokens."""
    artifact = compiled(
        'p := io.jwt.verify_hs256(io.jwt.encode_sign({"alg": "HS256"}, {}, '
        '{"kty": "oct", "k": base64url.encode_no_pad(hex.decode(input.a))}), hex.decode(input.b))'
    )
    policy = load(artifact.wasm if linked else artifact)
    for a, b in (("ff", "ff"), ("ff", "fe"), ("ff", "efbfbd"), ("efbfbd", "ff")):
        assert policy.evaluate("a/p", {"a": a, "b": b}) is (a == b)


ERRORS = [
    'net.cidr_contains(hex.decode("ff"), "1.1.1.1")',
    'json.patch({}, [{"op": hex.decode("e697"), "path": "a"}])',
    'time.format([0, hex.decode("fe")])',
    'regex.match(hex.decode("61ff"), "a")',
    # Longer than a message may be: cut between letters.
    'net.cidr_contains(concat("日", numbers_of), hex.decode("ff"))',
]


@pytest.mark.parametrize("call", ERRORS)
def test_an_error_is_utf8(call: str) -> None:
    text = call.replace("numbers_of", "[format_int(n, 10) | some n in numbers.range(1, 3000)]")
    with pytest.raises(EvaluationError) as caught:
        query(f"x := {text}", strict_builtin_errors=True)
    assert caught.value.code == "eval_builtin_error"
    caught.value.message.encode("utf-8", "strict")


def test_an_error_of_the_caller_s_function_is_utf8() -> None:
    def refuse(value: str) -> str:
        raise BuiltinError("builtin", f"my.f: no {value}")

    with pytest.raises(EvaluationError) as caught:
        query('x := my.f(hex.decode("ff"))', builtins={"my.f": refuse}, strict_builtin_errors=True)
    assert caught.value.message == "my.f: no \ufffd"


def test_a_record_keeps_the_bytes() -> None:
    text = 'x := hex.encode(my.f(hex.decode("ff"))); y := hex.encode(my.f(hex.decode("fe")))'
    recorder = Recorder()
    first = query(text, builtins={"my.f": lambda value: value + "\udc80"}, recorder=recorder)
    assert first == [{"x": "ff80", "y": "fe80"}]
    written = recorder.record.to_json()
    assert written.isascii()
    again = query(text, builtins={"my.f": lambda value: 1}, replay=Record.from_json(written))
    assert again == first


def test_keys_that_read_alike_are_one_in_json_and_the_last_counts() -> None:
    text = (
        'o := {hex.decode("fe"): 1, hex.decode("ff"): 2, "\\ufffd": 3}; n := count(o); '
        'k := {[hex.decode("ff")]: 1, [hex.decode("fe")]: 2}; m := count(k)'
    )
    assert query(text) == [{"o": {"\ufffd": 2}, "n": 3, "k": {'["\\ufffd"]': 1}, "m": 2}]
