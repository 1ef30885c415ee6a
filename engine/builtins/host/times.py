"""time.*: the clock, calendars and time zones. Instants are nanoseconds since 1970 in 64 bits."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from zoneinfo import ZoneInfo

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.layout import (
    LayoutError,
    Moment,
    civil_from_days,
    days_from_civil,
    format_moment,
    moment_at,
    parse_moment,
    weekday,
)
from cupcake.engine.builtins.host.operands import failed, integer, string, type_error
from cupcake.engine.builtins.values import Value

_NS = 1_000_000_000
_YEAR_ZERO = 292_277_022_400
_MIN, _MAX = -(1 << 63), (1 << 63) - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_RFC3339 = "2006-01-02T15:04:05Z07:00"
_RFC3339_NANO = "2006-01-02T15:04:05.999999999Z07:00"
_LAYOUTS = MappingProxyType(
    {
        "ANSIC": "Mon Jan _2 15:04:05 2006",
        "UnixDate": "Mon Jan _2 15:04:05 MST 2006",
        "RubyDate": "Mon Jan 02 15:04:05 -0700 2006",
        "RFC822": "02 Jan 06 15:04 MST",
        "RFC822Z": "02 Jan 06 15:04 -0700",
        "RFC850": "Monday, 02-Jan-06 15:04:05 MST",
        "RFC1123": "Mon, 02 Jan 2006 15:04:05 MST",
        "RFC1123Z": "Mon, 02 Jan 2006 15:04:05 -0700",
        "RFC3339": _RFC3339,
        "RFC3339Nano": _RFC3339_NANO,
    }
)
_UNITS = MappingProxyType(
    {
        "ns": 1,
        "us": 1000,
        "\u00b5s": 1000,
        "\u03bcs": 1000,
        "ms": 1_000_000,
        "s": _NS,
        "m": 60 * _NS,
        "h": 3600 * _NS,
    }
)


def _checked(name: str, nanoseconds: int) -> int:
    if not _MIN <= nanoseconds <= _MAX:
        raise failed(name, "time outside of valid range")
    return nanoseconds


def _now_ns(gate: Gate) -> Value:
    return gate.now_ns()


def _zone(name: str, key: str) -> ZoneInfo | None:
    """None is UTC."""
    if key in ("", "UTC", "Local"):  # the host's own zone is not a policy's business
        return None
    if "\0" in key:
        raise failed(name, "invalid argument")
    if key.startswith(("/", "\\")) or ".." in key:
        raise failed(name, "time: invalid location name")
    try:
        return ZoneInfo(key)
    except (OSError, ValueError, KeyError):
        raise failed(name, f"unknown time zone {key}") from None


def _offset_at(zone: ZoneInfo | None, nanoseconds: int) -> tuple[int, str]:
    """Seconds east of UTC and the zone's abbreviation."""
    if zone is None:
        return 0, "UTC"
    at = (_EPOCH + timedelta(seconds=nanoseconds // _NS)).astimezone(zone)
    offset = at.utcoffset() or timedelta()
    name = at.tzname() or ""
    return int(offset.total_seconds()), "" if name[:1] in "+-" else name


def _instant(name: str, value: Value) -> tuple[int, ZoneInfo | None, str]:
    """Nanoseconds, zone and layout of `ns` or `[ns, zone?, layout?]`."""
    wanted = "either number (ns) or [number (ns), string (tz)]"
    zone: ZoneInfo | None = None
    layout = ""
    number: Value = value
    if isinstance(value, list):
        if not value:
            raise type_error(name, 1, value, wanted)
        number = value[0]
        if isinstance(number, bool) or not isinstance(number, int | Decimal):
            raise type_error(name, 1, number, "number")
        if len(value) > 1:
            zone = _zone(name, string(name, 1, value[1]))
        if len(value) > 2:
            layout = string(name, 1, value[2])
    if isinstance(number, bool) or not isinstance(number, int | Decimal):
        raise type_error(name, 1, value, wanted)
    if isinstance(number, Decimal):
        number = _whole(number)
    if not _MIN <= number <= _MAX:
        raise failed(name, "timestamp too big")
    return number, zone, layout


def _whole(number: Decimal) -> int:
    """The integer that a number is once it is rounded to the 64 bits of OPA's floating point; one beyond the range where it
    is none."""
    if not -2 < number.adjusted() < 20:
        return 0 if number == 0 else _MAX + 1
    exact = Fraction(number)
    bits = 64 - max(int(abs(exact)).bit_length(), 1)
    scaled = round(exact * (1 << bits))
    return scaled >> bits if scaled % (1 << bits) == 0 else _MAX + 1


def _moment(name: str, value: Value) -> Moment:
    nanoseconds, zone, _ = _instant(name, value)
    return moment_at(nanoseconds, *_offset_at(zone, nanoseconds))


def _parse(name: str, layout: str, text: str) -> int:
    try:
        return _checked(name, parse_moment(layout, text).nanoseconds())
    except LayoutError as error:
        raise failed(name, str(error)) from None


def _parse_ns(layout: Value, text: Value) -> Value:
    name = "time.parse_ns"
    wanted = string(name, 1, layout)
    return _parse(name, _LAYOUTS.get(wanted, wanted), string(name, 2, text))


def duration_ns(name: str, whole: str) -> int:
    """A text such as `1h30m` in nanoseconds; BuiltinError in Go's words."""
    invalid = failed(name, f'time: invalid duration "{whole}"')
    sign = -1 if whole.startswith("-") else 1
    rest = whole[1:] if whole[:1] in ("+", "-") else whole
    if rest == "0":
        return 0
    if not rest or len(rest) > 200:
        raise invalid
    total = 0
    while rest:
        found = re.match(r"([0-9]*)(?:\.([0-9]*))?", rest)
        number = found.group() if found else ""
        if not number or number == ".":
            raise invalid
        rest = rest[len(number) :]
        unit = re.match(r"[^0-9.]*", rest)
        word = unit.group() if unit else ""
        rest = rest[len(word) :]
        if not word:
            raise failed(name, f'time: missing unit in duration "{whole}"')
        if word not in _UNITS:
            raise failed(name, f'time: unknown unit "{word}" in duration "{whole}"')
        before, _, after = number.partition(".")
        total += int(Fraction(f"{before or 0}.{after or 0}") * _UNITS[word])
    total *= sign
    if not _MIN <= total <= _MAX:
        raise invalid
    return total


def _format(value: Value) -> Value:
    nanoseconds, zone, layout = _instant("time.format", value)
    wanted = _LAYOUTS.get(layout, layout) or _RFC3339_NANO
    return format_moment(moment_at(nanoseconds, *_offset_at(zone, nanoseconds)), wanted)


def _date(value: Value) -> Value:
    at = _moment("time.date", value)
    return [at.year, at.month, at.day]


def _clock(value: Value) -> Value:
    at = _moment("time.clock", value)
    return [at.hour, at.minute, at.second]


def _weekday(value: Value) -> Value:
    return weekday(_moment("time.weekday", value))


def _signed(number: int) -> int:
    """The lowest 64 bits, as Go's sums come out."""
    return (number - _MIN) % (1 << 64) + _MIN


def _midnight(year: int, month: int, day: int) -> int:
    """Seconds from 1970 to a date, which may lie beyond the 64 bits: then it is where Go finds it (b_calendar.c is the twin)."""

    def days(year: int, month: int, day: int) -> int:
        century, of_century = divmod((year + _YEAR_ZERO - (month < 3)) % (1 << 64), 100)
        of_days = 1461 * of_century // 4 + (153 * ((month + 9) % 12) + 2) // 5
        return 146_097 * century % (1 << 64) // 4 + of_days + day - 1

    return (days(year, month, day) - days(1970, 1, 1)) * 86_400


def _add_date(value: Value, years: Value, months: Value, days: Value) -> Value:
    name = "time.add_date"
    nanoseconds, zone, _ = _instant(name, value)
    add_years = integer(name, 2, years)
    add_months = integer(name, 3, months)
    add_days = integer(name, 4, days)
    at = moment_at(nanoseconds, *_offset_at(zone, nanoseconds))
    carry, from_january = divmod(_signed(at.month + add_months - 1), 12)
    midnight = _midnight(at.year + add_years + carry, from_january + 1, _signed(at.day + add_days))
    local = _signed(midnight + at.hour * 3600 + at.minute * 60 + at.second)
    if not _MIN <= local * _NS <= _MAX:
        raise failed(name, "time outside of valid range")
    # The offset at the new date; a second look settles dates close to a change of the clocks.
    guess = local - _offset_at(zone, local * _NS)[0]
    offset = _offset_at(zone, guess * _NS)[0]
    return _checked(name, (local - offset) * _NS + at.nanosecond)


def _diff(first: Value, second: Value) -> Value:
    name = "time.diff"
    a, zone, _ = _instant(name, first)
    b, _, _ = _instant(name, second)
    early, late = (moment_at(ns, *_offset_at(zone, ns)) for ns in sorted((a, b)))
    year, month, day = late.year - early.year, late.month - early.month, late.day - early.day
    hour, minute = late.hour - early.hour, late.minute - early.minute
    second_ = late.second - early.second
    if second_ < 0:
        second_, minute = second_ + 60, minute - 1
    if minute < 0:
        minute, hour = minute + 60, hour - 1
    if hour < 0:
        hour, day = hour + 24, day - 1
    if day < 0:  # days of the month that the earlier date is in
        _, _, over = civil_from_days(days_from_civil(early.year, early.month, 32))
        day, month = day + 32 - over, month - 1
    if month < 0:
        month, year = month + 12, year - 1
    return [year, month, day, hour, minute, second_]


GATED: tuple[tuple[str, Callable[..., Value]], ...] = (("time.now_ns", _now_ns),)
FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("time.parse_ns", _parse_ns),
    ("time.format", _format),
    ("time.date", _date),
    ("time.clock", _clock),
    ("time.weekday", _weekday),
    ("time.add_date", _add_date),
    ("time.diff", _diff),
)
