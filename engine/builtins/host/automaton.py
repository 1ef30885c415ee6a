"""Does a regular expression match somewhere in a text? In Python, for host builtins; linear in the text.

The policies' own regular expressions run in the VM; this is for patterns inside of JSON schemas.
"""

from __future__ import annotations

from functools import lru_cache

from cupcake.engine.regex.classes import Ranges
from cupcake.engine.regex.parser import parse
from cupcake.engine.regex.program import ASSERTS, Op, Program, build_program

STEPS_MAX = 4_000_000  # instructions times characters


class TooMuchWorkError(ValueError):
    """The pattern and the text are too large for one another."""


@lru_cache(maxsize=256)
def _program(pattern: str) -> Program:
    return build_program(parse(pattern))


def check_pattern(pattern: str) -> None:
    """Raises RegexError for a pattern that RE2 has not."""
    _program(pattern)


def cost(pattern: str, text: str) -> int:
    """An upper bound of the steps that `search` takes; RegexError for a bad pattern."""
    return len(_program(pattern).code) * (len(text) + 1)


def search(pattern: str, text: str) -> bool:
    """RegexError for a bad pattern, TooMuchWorkError when the bound is exceeded."""
    program = _program(pattern)
    if cost(pattern, text) > STEPS_MAX:
        raise TooMuchWorkError(f"pattern {pattern[:80]!r} is too large for a text this long")
    states: set[int] = set()
    for at in range(len(text) + 1):
        states.add(program.start)  # the match may begin anywhere
        states = _closure(program, states, text, at)
        if any(program.code[state][0] == Op.MATCH for state in states):
            return True
        if at < len(text):
            states = _step(program, states, ord(text[at]))
    return False


def _step(program: Program, states: set[int], rune: int) -> set[int]:
    following: set[int] = set()
    for state in states:
        op, operand, after = program.code[state]
        if (
            op == Op.ANY
            or (op == Op.RUNE and operand == rune)
            or (op == Op.NOT_NEWLINE and rune != 10)
            or (op == Op.CLASS and _within(program.classes[operand], rune))
        ):
            following.add(after)
    return following


def _within(ranges: Ranges, rune: int) -> bool:
    low, high = 0, len(ranges)
    while low < high:
        middle = (low + high) // 2
        if ranges[middle][1] < rune:
            low = middle + 1
        else:
            high = middle
    return low < len(ranges) and ranges[low][0] <= rune


def _closure(program: Program, states: set[int], text: str, at: int) -> set[int]:
    """Everything that is reached without reading a character."""
    seen = set(states)
    pending = list(states)
    while pending:
        op, operand, after = program.code[pending.pop()]
        if op == Op.SPLIT:
            reached = [operand, after]
        elif op == Op.SAVE or (op == Op.ASSERT and _holds(ASSERTS[operand], text, at)):
            reached = [after]
        else:
            continue
        for state in reached:
            if state not in seen:
                seen.add(state)
                pending.append(state)
    return seen


def _holds(assertion: str, text: str, at: int) -> bool:
    match assertion:
        case "text_start":
            return at == 0
        case "text_end":
            return at == len(text)
        case "line_start":
            return at == 0 or text[at - 1] == "\n"
        case "line_end":
            return at == len(text) or text[at] == "\n"
    boundary = _is_word(text[at - 1 : at] if at else "") != _is_word(text[at : at + 1])
    return boundary == (assertion == "word")


def _is_word(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char == "_")
