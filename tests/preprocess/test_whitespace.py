"""Blanks in shell commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cupcake.engine.preprocess.whitespace import normalise_whitespace

TABLE = [
    ("", ""),
    ("   ", ""),
    ("ls", "ls"),
    ("rm  -rf /x", "rm -rf /x"),
    ("rm\t-rf\t/x", "rm -rf /x"),
    (" rm   -rf   /x  ", "rm -rf /x"),
    ("echo a\nrm x", "echo a rm x"),
    ("a\r\n\v\f b", "a b"),
    ("a\u00a0\u2003\u3000b", "a b"),
    ("a\u200bb", "a\u200bb"),  # no White_Space
    ("a\x1cb", "a\x1cb"),
    ("echo   'a  b'", "echo 'a  b'"),
    ('echo   "a  b"  c', 'echo "a  b" c'),
    ('echo "it\'s  ok"  x', 'echo "it\'s  ok" x'),
    ("echo 'say \"a  b\"'   x", "echo 'say \"a  b\"' x"),
    ('echo "a \\"  b"   c', 'echo "a \\"  b" c'),
    ("echo 'a\\'   b", "echo 'a\\' b"),  # no escapes inside single quotes
    ("touch a\\ \\  b", "touch a\\ \\  b"),
    ("echo \\'  x", "echo \\' x"),
    ("echo 'open   end", "echo 'open   end"),
    ('echo "open   end', 'echo "open   end'),
    ("a   \\", "a \\"),
]


@pytest.mark.parametrize(("command", "expected"), TABLE)
def test_blanks_outside_of_quotes_become_one_space(command: str, expected: str) -> None:
    assert normalise_whitespace(command) == expected


@given(st.text(alphabet="ab '\"\\\t\n"))
def test_normalising_twice_changes_nothing_more(command: str) -> None:
    once = normalise_whitespace(command)
    # Trimming may cut the blank that a backslash escapes; what is left is stable.
    twice = normalise_whitespace(once)
    assert normalise_whitespace(twice) == twice


@given(st.text(alphabet="ab '\"\\\t\n\u00a0"))
def test_nothing_but_blanks_is_lost(command: str) -> None:
    blanks = " \t\n\u00a0"
    strip = str.maketrans("", "", blanks)
    assert normalise_whitespace(command).translate(strip) == command.translate(strip)
