"""JSON and value text: what is read, what is refused, how it is written."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cupcake.engine.runtime import abi

if TYPE_CHECKING:
    from conftest import Native, Runtime

# text in -> JSON out
READ = [
    ("null", "null"),
    (" \t\r\n[ true , false ] \n", "[true,false]"),
    ("{}", "{}"),
    ("[]", "[]"),
    ('""', '""'),
    ('{"b":1,"a":2}', '{"a":2,"b":1}'),
    ('{"a":1,"b":2,"a":3}', '{"a":3,"b":2}'),
    ('{"ab":1,"a":2,"":3,"é":4}', '{"":3,"a":2,"ab":1,"é":4}'),
    ("0", "0"),
    ("-0", "-0"),
    ("1.50", "1.50"),
    ("1E5", "1E5"),
    ("1e400", "1e400"),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("9223372036854775808", "9223372036854775808"),
    ("123456789012345678", "123456789012345678"),
    ("1234567890123456789", "1234567890123456789"),
    ('"\\"\\\\\\/\\b\\f\\n\\r\\t"', '"\\"\\\\/\\b\\f\\n\\r\\t"'),
    ('"\\u0041\\u00e9\\u20ac\\ud83d\\ude00"', '"Aé€😀"'),
    ('"\\u0000\\u001f\\u007f"', '"\\u0000\\u001f\x7f"'),
    ('"\\ud800"', '"\ufffd"'),
    ('"\\ud800x"', '"\ufffdx"'),
    ('"\\udc00\\ud800"', '"\ufffd\ufffd"'),
    ('"\\ud800\\u0041"', '"\ufffdA"'),
    ('"\\ud83d\\ud83d\\ude00"', '"\ufffd😀"'),
    (b'"\xff"', '"\ufffd"'),
    (b'"\xc3"', '"\ufffd"'),
    (b'"a\xc0\x80b"', '"a\ufffd\ufffdb"'),
    (b'"\xed\xa0\x80"', '"\ufffd\ufffd\ufffd"'),
    (b'"\xf4\x90\x80\x80"', '"\ufffd\ufffd\ufffd\ufffd"'),
    (b'"\xe2\x82"', '"\ufffd\ufffd"'),
    ('"<>&\u2028"', '"<>&\u2028"'),
    ('"' + "x" * 23 + '\\n"', '"' + "x" * 23 + '\\n"'),
]

REFUSED: list[str | bytes] = [
    "",
    " ",
    "nul",
    "nulll",
    "True",
    "undefined",
    "01",
    "-",
    "+1",
    ".5",
    "1.",
    "1e",
    "1e+",
    "--1",
    "0x10",
    "1 2",
    "NaN",
    "Infinity",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "[1 2]",
    "]",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":1,',
    '{"a":1,}',
    "{a:1}",
    "{1:2}",
    '{"a" 1}',
    '"',
    '"abc',
    '"\\',
    '"\\x"',
    '"\\u12"',
    '"\\u12g4"',
    '"a\nb"',
    '"\x00"',
    "'a'",
    "{1,2}",
    "set()",
    "/**/1",
    "\ufeff1",
]

# value text in -> value text out, JSON out
VALUES = [
    ("set()", "set()", "[]"),
    ("{}", "{}", "{}"),
    ("{3,1,2,1}", "{1,2,3}", "[1,2,3]"),
    ('{1:"a",[2]:null,true:0}', '{true:0,1:"a",[2]:null}', '{"1":"a","[2]":null,"true":0}'),
    ('{{1},{2:3},"x",[]}', '{"x",[],{2:3},{1}}', '["x",[],{"2":3},[1]]'),
    ('{ "a" : { 1 , 2 } }', '{"a":{1,2}}', '{"a":[1,2]}'),
    ("{1,1.0,1e0,2}", "{1,2}", "[1,2]"),
    ("{{2,1}:0}", "{{1,2}:0}", '{"[1,2]":0}'),
]

# The form for hosts in -> itself again, and what any other reader is shown
BYTES = [
    (r'"\udcff"', r'"\ufffd"'),
    (r'"a\udce6\udc97b"', r'"a\ufffd\ufffdb"'),
    (r'{"\udc80","\udcfe"}', r'{"\ufffd","\ufffd"}'),
    (r'{"\udcff":{["\udcff"]:1}}', r'{"\ufffd":{["\ufffd"]:1}}'),
    ('"日\ufffd"', '"日\ufffd"'),
    ('"\U0001f0ff"', '"\U0001f0ff"'),
]

BAD_VALUES = ["{1,2:3}", "{1:2,3}", "{1,}", "{,1}", "set(", "set( )", "{1", "{1:", "{1 2}"]


@pytest.mark.parametrize(("text", "want"), READ)
def test_json_is_read_and_written_back(rt: Runtime, text: str | bytes, want: str) -> None:
    value = rt.parse(text)
    assert value
    assert rt.json(value) == want


@pytest.mark.parametrize("text", REFUSED)
def test_text_that_is_not_one_json_value_is_refused(rt: Runtime, text: str | bytes) -> None:
    assert rt.parse(text) == 0


@pytest.mark.parametrize(("text", "value", "as_json"), VALUES)
def test_value_text_keeps_sets_and_keys(rt: Runtime, text: str, value: str, as_json: str) -> None:
    assert rt.dump(rt.value(text)) == value
    assert rt.json(rt.value(text)) == as_json
    assert rt.call("rt_equal", rt.value(value), rt.value(text)) == 1


@pytest.mark.parametrize(("text", "shown"), BYTES)
def test_bytes_that_are_no_utf8_are_kept_between_sandbox_and_host(
    rt: Runtime, text: str, shown: str
) -> None:
    value = rt.call("rt_read", rt.write(text.encode()), len(text.encode()), abi.TEXT_HOST)
    assert rt.text(rt.call("rt_write", value, abi.TEXT_HOST)) == text
    assert rt.dump(value) == rt.text(rt.call("rt_write", value, abi.TEXT_VALUE)) == shown
    rt.json(value)  # is UTF-8


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (r'"\udce6\udc97\udca5"', '"日"'),
        (r'"\ud800"', '"\ufffd"'),
        (r'"\udc7f"', '"\ufffd"'),
        (r'"\ud83c\udcff"', '"\U0001f0ff"'),
    ],
)
def test_what_is_utf8_again_is_written_as_letters(rt: Runtime, text: str, kept: str) -> None:
    value = rt.call("rt_read", rt.write(text.encode()), len(text), abi.TEXT_HOST)
    assert rt.text(rt.call("rt_write", value, abi.TEXT_HOST)) == kept
    # For everybody else such an escape is half a pair.
    assert "\ufffd" in rt.dump(rt.value(text)) or kept == rt.dump(rt.value(text))


@pytest.mark.parametrize("text", BAD_VALUES)
def test_mixed_braces_are_refused(rt: Runtime, text: str) -> None:
    assert rt.parse(text, "opa_value_parse") == 0


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("[[", "]]")])
def test_nesting_is_read_up_to_the_limit_and_refused_above(
    rt: Runtime, opening: str, closing: str
) -> None:
    per = opening.count("[") + opening.count("{")
    deepest = 512 // per - 1
    fits = opening * deepest + "[]" + closing * deepest
    assert rt.json(rt.parse(fits)) == fits
    too_deep = opening * (deepest + 1) + "[]" + closing * (deepest + 1)
    assert rt.parse(too_deep) == 0


def test_unbalanced_input_of_a_million_brackets_is_refused(rt: Runtime) -> None:
    assert rt.parse("[" * 1_000_000) == 0


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(st.characters(exclude_categories=["Cs"]))
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=12),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner),
    ),
    max_leaves=40,
)


def canonical(document: Any) -> str:
    """Keys in the order of their UTF-8 bytes, no blanks, only what must be escaped."""
    if isinstance(document, dict):
        pairs = sorted(document.items(), key=lambda pair: pair[0].encode())
        return "{" + ",".join(f"{canonical(k)}:{canonical(v)}" for k, v in pairs) + "}"
    if isinstance(document, list):
        return "[" + ",".join(map(canonical, document)) + "]"
    return json.dumps(document, ensure_ascii=False)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(document=documents, spaced=st.booleans(), ascii_only=st.booleans())
def test_any_document_comes_back_in_canonical_form(
    document: Any, spaced: bool, ascii_only: bool, session_rt: Runtime
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=1 if spaced else None)
    value = session_rt.parse(text)
    assert value
    assert session_rt.json(value) == canonical(document)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.binary(max_size=40), quoted=st.booleans())
def test_any_bytes_in_a_string_are_repaired_as_go_does(
    data: bytes, quoted: bool, session_rt: Runtime
) -> None:
    body = bytes(b for b in data if b >= 0x20 and b not in b'"\\')
    value = session_rt.parse(b'["' + body + b'"]' if quoted else b'"' + body + b'"')
    assert value
    (want,) = json.loads(session_rt.json(value)) if quoted else [json.loads(session_rt.json(value))]
    assert want == go_utf8(body)


def go_utf8(data: bytes) -> str:
    """Every byte that begins no valid sequence becomes one U+FFFD."""
    out, at = "", 0
    while at < len(data):
        for size in (1, 2, 3, 4):
            try:
                out += data[at : at + size].decode()
            except UnicodeDecodeError:
                continue
            at += size
            break
        else:
            out, at = out + "\ufffd", at + 1
    return out


def test_under_the_sanitizers_all_texts_read_the_same(native: Native) -> None:
    answers = native([("json", text) for text, _ in READ])
    assert answers == [want for _, want in READ]
    assert native([("json", text) for text in REFUSED]) == ["undefined"] * len(REFUSED)
    assert native([("value", text) for text, _, _ in VALUES]) == [want for _, want, _ in VALUES]
    assert native([("value", text) for text in BAD_VALUES]) == ["undefined"] * len(BAD_VALUES)


def test_under_the_sanitizers_every_cut_of_a_text_is_survived(native: Native) -> None:
    text = '{"a":[1,-2.5e3,"x\\u00e9\\ud83d\\ude00\\n",{"b":[true,null]}],"é":"0123456789abcdef"}'.encode()
    answers = native([("json", text[:n]) for n in range(len(text) + 1)])
    assert answers[:-1] == ["undefined"] * len(text)
    assert answers[-1].startswith('{"a":[1,-2.5e3,"xé😀')


SEEDS = [
    b'{"a":[1,-2.5e3,"x\\u00e9\\ud83d\\ude00\\n",{"b":[true,null]}],"z":"0123456789abcdef"}',
    b'[0,10,-0,1e5,1E-7,0.5,"\xc3\xa9\xf0\x9f\x98\x80"]',
    b'{"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"k1":{}}',
    b'[[[[]]],{},"",null,false,"\\\\\\"\\/\\b"]',
]
ALPHABET = b'{}[],:"\\0123456789-+.eEtrufalsn \n/x\x80\xc3\xff\x1f'


def mutated(source: random.Random) -> bytes:
    text = bytearray(source.choice(SEEDS))
    for _ in range(source.choice((1, 1, 1, 2, 3, 6))):
        at = source.randrange(len(text))
        match source.randrange(3):
            case 0:
                del text[at]
            case 1:
                text.insert(at, source.choice(ALPHABET))
            case _:
                text[at] = source.choice(ALPHABET)
    return bytes(text)


def is_json(data: bytes) -> bool:
    def refuse(_: str) -> None:
        raise ValueError

    try:
        json.loads(data.decode("utf-8", "replace"), parse_constant=refuse)
    except ValueError:
        return False
    return True


def test_under_the_sanitizers_damaged_texts_are_read_exactly_when_they_are_json(
    native: Native,
) -> None:
    source = random.Random(17)
    texts = [mutated(source) for _ in range(4000)]
    answers = native([("json", text) for text in texts])
    assert [answer != "undefined" for answer in answers] == [is_json(text) for text in texts]
    native([("value", text) for text in texts])


def test_html_characters_are_escaped_for_json_marshal(native: Native) -> None:
    text = '"<a href=\\"x\\">&\u2028\u2029\u20ac\xe2 plain text of some length <"'
    (answer,) = native([("html", text)])
    assert answer == (
        '"\\u003ca href=\\"x\\"\\u003e\\u0026\\u2028\\u2029\u20ac\xe2 plain text of some length \\u003c"'
    )
