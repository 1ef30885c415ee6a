"""Numbers by their exact decimal digits: the Python twin of `number.c`.

Reads JSON's number grammar only. No floats, no arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cupcake.engine.runtime import abi

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


@dataclass(frozen=True, slots=True)
class Decimal:
    """0.<digits> * 10**point; digits have no zero at either end; zero is ("", 0) and not negative."""

    negative: bool
    digits: str
    point: int

    def as_int64(self) -> int | None:
        """The value when it is an integer of 64 bits."""
        if not self.digits:
            return 0
        if not len(self.digits) <= self.point <= 19:
            return None
        value = int(self.digits.ljust(self.point, "0")) * (-1 if self.negative else 1)
        return value if -(1 << 63) <= value < 1 << 63 else None

    def compare(self, other: Decimal) -> int:
        """-1, 0 or 1, exactly."""
        x, y = self._rank(), other._rank()
        if x[0] != y[0]:
            return -1 if x[0] < y[0] else 1
        order = (x[1:] > y[1:]) - (x[1:] < y[1:])
        return -order if self.negative else order

    def _rank(self) -> tuple[int, int, str]:
        sign = 0 if not self.digits else (-1 if self.negative else 1)
        return sign, self.point, self.digits


def parse_number(text: str) -> Decimal | None:
    """None when the text is not JSON's number grammar."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    sign, whole, fraction, exponent = match.groups()
    raw = whole + (fraction or "")
    digits = raw.lstrip("0")
    dropped = len(raw) - len(digits)
    digits = digits.rstrip("0")
    if not digits:
        return Decimal(False, "", 0)
    point = len(whole) - dropped + _exponent(exponent)
    limit = abi.NUM_POINT_MAX
    return Decimal(bool(sign), digits, max(-limit, min(limit, point)))


def _exponent(text: str | None) -> int:
    if not text:
        return 0
    digits = text.lstrip("+-").lstrip("0")
    value = abi.NUM_POINT_MAX * 10 if len(digits) > 14 else int(digits or "0")
    return -value if text.startswith("-") else value
