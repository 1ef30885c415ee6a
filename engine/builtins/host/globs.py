"""regex.globs_match: whether two small patterns (`.`, `[...]`, `+`, `*`, `\\`) have a common non-empty match."""

from __future__ import annotations

from dataclasses import dataclass

from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.texts import readable
from cupcake.engine.builtins.values import Value

_NAME = "regex.globs_match"
_PAIRS_MAX = 250_000  # steps of the search
_SET_MAX = 70_000  # characters of one set


@dataclass(frozen=True, slots=True)
class _Step:
    """One character out of `runes` (None: any), once or any number of times."""

    runes: frozenset[str] | None
    star: bool


class _Reader:
    __slots__ = ("at", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def fail(self, reason: str) -> Exception:
        message = f"input:{self.text}, pos:{self.at}, {reason}: the input provided is invalid"
        return failed(_NAME, message)

    def next(self) -> tuple[str, bool]:
        """A character and whether it was escaped."""
        char = self.text[self.at]
        if char != "\\":
            self.at += 1
            return char, False
        if self.at + 1 >= len(self.text):
            raise self.fail("input ends with a \\ (escape) character")
        self.at += 2
        return self.text[self.at - 1], True

    def steps(self) -> list[_Step]:
        result: list[_Step] = []
        while self.at < len(self.text):
            char, escaped = self.next()
            runes: frozenset[str] | None = frozenset(char)
            if not escaped:
                if char == ".":
                    runes = None
                elif char == "[":
                    runes = self.bracket()
                elif char == "]":
                    raise self.fail("set-close ']' with no preceding '['")
                elif char in "+*":
                    raise self.fail(f"flag '{char}' must be preceded by a non-flag")
            flag = self.text[self.at : self.at + 1]
            if flag and flag in "+*":
                self.at += 1
                if flag == "+":
                    result.append(_Step(runes, False))
                result.append(_Step(runes, True))
            else:
                result.append(_Step(runes, False))
        return result

    def bracket(self) -> frozenset[str]:
        found: set[str] = set()
        previous = ""
        while self.at < len(self.text):
            char, escaped = self.next()
            if char == "]" and not escaped:
                return frozenset(found)
            if char != "-" or escaped:
                found.add(char)
                previous = char
                continue
            if not previous:
                raise self.fail("range character '-' must be preceded by a Unicode character")
            if self.at >= len(self.text) - 1:
                raise self.fail("range character '-' must be followed by a Unicode character")
            last, last_escaped = self.next()
            if last in "]-" and not last_escaped:
                raise self.fail("range character '-' cannot be followed by a special symbol")
            if last < previous:
                reason = f"range is out of order: '{last}' comes before '{previous}' in Unicode"
                raise self.fail(reason)
            if len(found) + ord(last) - ord(previous) > _SET_MAX:
                raise self.fail("set is too large")
            found.update(chr(c) for c in range(ord(previous), ord(last) + 1))
            previous = ""
        raise self.fail("found [ without matching ]")


def _common(a: _Step, b: _Step) -> bool:
    if a.runes is None or b.runes is None:
        return a.runes != frozenset() and b.runes != frozenset()
    return not a.runes.isdisjoint(b.runes)


def globs_match(left: Value, right: Value) -> Value:
    """A walk over the product of both patterns; a pair of places is visited twice at most."""
    first, second = (readable(string(_NAME, at, v)) for at, v in ((1, left), (2, right)))
    a, b = _Reader(first).steps(), _Reader(second).steps()
    if not a and not b:
        return True
    if len(a) * len(b) > _PAIRS_MAX:
        raise failed(_NAME, "the patterns are too long")
    seen: set[tuple[int, int, bool]] = set()
    work: list[tuple[int, int, bool]] = [(0, 0, False)]
    while work:
        at = work.pop()
        if at in seen:
            continue
        seen.add(at)
        i, j, moved = at
        if i == len(a) and j == len(b) and moved:
            return True
        if i < len(a) and a[i].star:
            work.append((i + 1, j, moved))
        if j < len(b) and b[j].star:
            work.append((i, j + 1, moved))
        if i < len(a) and j < len(b) and _common(a[i], b[j]):
            work.append((i + (not a[i].star), j + (not b[j].star), True))
    return False
