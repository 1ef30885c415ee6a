"""Patterns: the compilers of regular expressions and globs, and both matchers against Python's `re` where it means the same."""

from __future__ import annotations

import functools
import re
import warnings

from driver import Finding, Target, token_mutator

from cupcake.engine.api import compile_policy
from cupcake.engine.errors import EvaluationError
from cupcake.engine.regex.compile import compile_pattern
from cupcake.engine.regex.errors import RegexError
from cupcake.engine.regex.globs import compile_glob
from cupcake.engine.vm import Limits, Policy, load

TOKEN = re.compile(
    r"\\[pP]\{\^?\w+\}|\\x\{\w+\}|\[\[:\^?\w+:\]\]|\\.|\(\?[imsU-]*:?|\{\d*,?\d*\}|.", re.DOTALL
)
WORDS = [
    *("a", "b", "c", "é", "1", "_", " ", "\n", ".", "\\.", "^", "$", "|", "(", ")", "(?:", "(?i)", "(?s)", "(?m)", "(?U)"),
    *("*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}?", "{2,}", "{1000}", "{1001}", "{3,1}", "{,3}", "{}", "{a}"),
    *("[ab]", "[^a]", "[a-c]", "[", "]", "[^", "[]a]", "[a-", "[[:alpha:]]", "[[:^digit:]]", "[[:foo:]]", "\\d", "\\D", "\\w"),
    *("\\W", "\\s", "\\S", "\\b", "\\B", "\\A", "\\z", "\\Z", "\\pL", "\\p{Greek}", "\\P{Lu}", "\\p{^Nd}", "\\x41", "\\x{1F600}"),
    *("\\Q", "\\E", "\\C", "\\1", "\\8", "\\0", "\\07", "(?P<n>", "(?<n>", "(?=", "(?i-s:", "\\", "\0", "\U0001f600", "\udcff", "(?-", "k", "K", "\u017f"),
]  # fmt: skip
GLOB_WORDS = [
    *("*", "**", "***", "?", "[abc]", "[!abc]", "[a-z]", "[!a-z]", "[", "]", "[!]", "[]", "[z-a]", "{a,b}", "{", "}", ","),
    *("\\", "\\*", "\\\\", "a", "b", "é", ".", "/", ":", "-", "!", " ", "\n", "\0", "{,a}", "{}", "{a,{b,c}}", "\U0001f600"),
]  # fmt: skip
#: Syntax with which Python's `re` means the same as RE2 on these alphabets.
COMMON = re.compile(
    r"(?:[abc1é_ ]|\.|\\\.|\^|\|(?!\))|\(\?:|\((?!\?)|\)|\[\^?(?:[abcé1]|a-c)+\]|\\[dDwWbB]"
    r"|(?<=[abc1é_ .\])dDwW])(?:[*+?]|\{[0-3]\}|\{[0-2],[2-4]\})\??(?![*+?{]))*"
)
TEXTS = (
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abc",
    "cab1",
    "aaaaaaaaab",
    "é",
    "aéb",
    "_1",
    " a b ",
    "a\nb",
    "ABC",
    "1.5",
    "bbbacca",
)

POLICY = """package t
matched := [m | some s in input.texts; m := regex.match(input.pattern, s)]
found := [m | some s in input.texts; m := regex.find_n(input.pattern, s, 1)]
replaced := [m | some s in input.texts; m := regex.replace(s, input.pattern, "<$0>")]
split := [m | some s in input.texts; m := regex.split(input.pattern, s)]
result := {"matched": matched, "found": found, "replaced": replaced, "split": split}
"""
GLOB = 'package t\nresult := [m | some s in input.texts; m := glob.match(input.pattern, [".", "/"], s)]'
LIMITS = Limits(memory_bytes=64 << 20, seconds=10.0)


@functools.cache
def policy(text: str) -> Policy:
    return load(compile_policy({"t.rego": text}, entrypoints=("t/result",)), limits=LIMITS)


def evaluated(text: str, pattern: str) -> object:
    """None when the pattern is refused."""
    question = {"pattern": pattern, "texts": list(TEXTS)}
    try:
        return policy(text).evaluate("t/result", question, strict_builtin_errors=True)
    except EvaluationError as error:
        if error.code == "eval_builtin_error":
            return None
        raise Finding(str(error)) from error


def repeats_nothing(pattern: str) -> bool:
    """Whether a group that may be empty is repeated: there Python ends the loop at the first empty match, Go and we do not."""
    starts: list[int] = []
    for at, character in enumerate(pattern):
        if character == "(":
            starts.append(at)
        elif character == ")" and starts:
            body = pattern[starts.pop() : at + 1]
            if pattern[at + 1 : at + 2] in ("*", "+", "{") and re.fullmatch(body, "", re.ASCII):
                return True
    return False


def check_regex(data: bytes) -> None:
    pattern = data.decode("utf-8", "surrogateescape")
    try:
        blob = compile_pattern(pattern)
    except RegexError as error:
        str(error)
        return
    if len(blob) > 4 << 20:
        raise Finding(f"{len(blob)} bytes for a pattern of {len(pattern)} characters")
    if not pattern.isprintable():
        return
    found = evaluated(POLICY, pattern)
    if not isinstance(found, dict):
        raise Finding("the host compiles what the module refuses")
    if not COMMON.fullmatch(pattern):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            other = re.compile(pattern, re.ASCII)
        except re.error:
            return
    for text, matched, first in zip(TEXTS, found["matched"], found["found"], strict=True):
        if not text and r"\B" in pattern:
            continue  # Python before 3.14 finds no place without a word boundary in the empty text, Go and we do
        here = other.search(text)
        if matched != bool(here):
            raise Finding(f"{pattern!r} on {text!r}: {matched}, but Python {bool(here)}")
        if not repeats_nothing(pattern) and first != ([here[0]] if here else []):
            raise Finding(f"{pattern!r} on {text!r}: {first}, but Python {here}")


def check_glob(data: bytes) -> None:
    pattern = data.decode("utf-8", "surrogateescape")
    try:
        compile_glob(pattern, [".", "/"])
    except RegexError as error:
        str(error)
        return
    if not pattern.isprintable():
        return
    found = evaluated(GLOB, pattern)
    if not isinstance(found, list):
        raise Finding("the host compiles what the module refuses")
    if re.fullmatch(r"[abé.*?]*", pattern):
        simple = re.sub(r"\*{2,}|\*|\?|.", _as_regex, pattern)
        for text, matched in zip(TEXTS, found, strict=True):
            if matched != bool(re.fullmatch(simple, text, re.DOTALL)):
                raise Finding(f"{pattern!r} on {text!r}: {matched}, but {simple!r} differs")


def _as_regex(match: re.Match[str]) -> str:
    words = {"*": "[^./]*", "?": "[^./]"}
    return ".*" if len(match[0]) > 1 else words.get(match[0], re.escape(match[0]))


TARGETS = (
    Target(
        "regex",
        check_regex,
        token_mutator(TOKEN, WORDS),
        lambda: [
            b"^(a|b)+[^c]*\\.(?i:x{2,5})$",
            b"(?P<y>\\d{4})-(\\w+)",
            b"a.*?b|\\bc\\b",
            b"[a-c]{3}(?:b|c)*?",
        ],
        max_size=300,
    ),
    Target(
        "glob",
        check_glob,
        token_mutator(re.compile(r"\\.|\*+|.", re.DOTALL), GLOB_WORDS),
        lambda: [b"*.{com,org}", b"api/**/v[0-9]?", b"a\\*[!b-d]**"],
        max_size=200,
    ),
)
