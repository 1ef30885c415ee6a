"""Dates by example, as Go writes and reads them: `2006-01-02T15:04:05Z07:00`.

`format_moment` and `parse_moment` over a `Moment`, which is a civil date and clock with an offset. Pure
calendar arithmetic; it must not know time zones by name or the clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cupcake.engine.builtins.texts import to_bytes

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_NUMERIC_ZONES = ("-07:00:00", "-070000", "-07:00", "-0700", "-07")
_ISO_ZONES = ("Z07:00:00", "Z070000", "Z07:00", "Z0700", "Z07")
# Longest first where one begins like another.
_PIECES = (
    *("January", "Monday", "MST", "2006", "002", "__2"),
    *("01", "02", "03", "04", "05", "06", "15", "PM", "pm"),
    *_NUMERIC_ZONES,
    *_ISO_ZONES,
    *("_2", "1", "2", "3", "4", "5"),
)
_FRACTION = re.compile(r"[.,](0+|9+)(?![0-9])")


class LayoutError(ValueError):
    """A text does not fit the layout."""


@dataclass(frozen=True, slots=True)
class Moment:
    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    nanosecond: int
    offset: int = 0  # seconds east of UTC
    zone: str = "UTC"

    def seconds(self) -> int:
        """Seconds since 1970 in UTC."""
        days = days_from_civil(self.year, self.month, self.day)
        return days * 86_400 + self.hour * 3600 + self.minute * 60 + self.second - self.offset

    def nanoseconds(self) -> int:
        return self.seconds() * 1_000_000_000 + self.nanosecond


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; month and day may be out of range."""
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    if month <= 2:
        year -= 1
    era_day = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + era_day - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month, day of a day since 1970-01-01."""
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + (3 if shifted < 10 else -9)
    return year + era * 400 + (month <= 2), month, day


def moment_at(nanoseconds: int, offset: int, zone: str) -> Moment:
    """The civil time of an instant at an offset."""
    seconds, nano = divmod(nanoseconds, 1_000_000_000)
    days, clock = divmod(seconds + offset, 86_400)
    year, month, day = civil_from_days(days)
    hour, rest = divmod(clock, 3600)
    return Moment(year, month, day, hour, rest // 60, rest % 60, nano, offset, zone)


def weekday(moment: Moment) -> str:
    return WEEKDAYS[(days_from_civil(moment.year, moment.month, moment.day) + 4) % 7]


def _pieces(layout: str) -> Iterator[tuple[str, str]]:
    """(literal text, piece) pairs; the last piece is ""."""
    literal = 0
    at = 0
    while at < len(layout):
        piece = _piece_at(layout, at)
        if piece:
            yield layout[literal:at], piece
            at += len(piece)
            literal = at
        elif layout.startswith("_2006", at):
            yield layout[literal : at + 1], "2006"
            at += 5
            literal = at
        else:
            at += 1
    yield layout[literal:], ""


def _piece_at(layout: str, at: int) -> str:
    found = _FRACTION.match(layout, at)
    if found:
        return found.group()
    if layout.startswith("_2006", at):
        return ""
    for piece in _PIECES:
        if layout.startswith(piece, at):
            return piece
    for short in ("Jan", "Mon"):
        if layout.startswith(short, at) and not layout[at + 3 : at + 4].islower():
            return short
    return ""


def format_moment(moment: Moment, layout: str) -> str:
    """The moment as the layout shows it."""
    return "".join(literal + _shown(moment, piece) for literal, piece in _pieces(layout))


def _shown(moment: Moment, piece: str) -> str:
    year_day = days_from_civil(moment.year, moment.month, moment.day)
    year_day += 1 - days_from_civil(moment.year, 1, 1)
    match piece:
        case "":
            return ""
        case "2006":
            return f"{moment.year:04d}"
        case "06":
            return f"{moment.year % 100:02d}"
        case "January":
            return MONTHS[moment.month - 1]
        case "Jan":
            return MONTHS[moment.month - 1][:3]
        case "01":
            return f"{moment.month:02d}"
        case "1":
            return str(moment.month)
        case "Monday":
            return weekday(moment)
        case "Mon":
            return weekday(moment)[:3]
        case "02":
            return f"{moment.day:02d}"
        case "_2":
            return f"{moment.day:2d}"
        case "2":
            return str(moment.day)
        case "002":
            return f"{year_day:03d}"
        case "__2":
            return f"{year_day:3d}"
        case "15":
            return f"{moment.hour:02d}"
        case "03":
            return f"{(moment.hour + 11) % 12 + 1:02d}"
        case "3":
            return str((moment.hour + 11) % 12 + 1)
        case "04":
            return f"{moment.minute:02d}"
        case "4":
            return str(moment.minute)
        case "05":
            return f"{moment.second:02d}"
        case "5":
            return str(moment.second)
        case "PM":
            return "PM" if moment.hour >= 12 else "AM"
        case "pm":
            return "pm" if moment.hour >= 12 else "am"
        case "MST":
            return moment.zone or _offset(moment.offset, "-0700" if moment.offset % 3600 else "-07")
    if piece[0] in ".,":
        digits = f"{moment.nanosecond:09d}"[: len(piece) - 1]
        if piece[1] == "9":
            digits = digits.rstrip("0")
        return piece[0] + digits if digits else ""
    if piece[0] == "Z" and moment.offset == 0:
        return "Z"
    return _offset(moment.offset, piece)


def _offset(offset: int, piece: str) -> str:
    sign = "-" if offset < 0 else "+"
    hours, rest = divmod(abs(offset), 3600)
    glue = ":" if ":" in piece else ""
    text = f"{sign}{hours:02d}"
    digits = sum(c.isdigit() for c in piece)
    if digits >= 4:
        text += f"{glue}{rest // 60:02d}"
    if digits >= 6:
        text += f"{glue}{rest % 60:02d}"
    return text


def _quoted(text: str) -> str:
    """As Go's time package quotes: byte by byte what is not printable ASCII."""
    shown = ""
    for byte in to_bytes(text):
        char = chr(byte)
        shown += (
            f"\\x{byte:02x}" if not 32 <= byte < 128 else "\\" + char if char in '"\\' else char
        )
    return f'"{shown}"'


def parse_moment(layout: str, text: str) -> Moment:
    """The moment that the text says; raises LayoutError in Go's words."""
    return _Parser(layout, text).run()


class _Parser:
    __slots__ = ("layout", "parts", "rest", "text")

    def __init__(self, layout: str, text: str) -> None:
        self.layout = layout
        self.text = text
        self.rest = text
        self.parts: dict[str, int] = {}

    def fail(self, piece: str) -> LayoutError:
        return LayoutError(
            f"parsing time {_quoted(self.text)} as {_quoted(self.layout)}: "
            f"cannot parse {_quoted(self.rest)} as {_quoted(piece)}"
        )

    def out_of_range(self, what: str) -> LayoutError:
        return LayoutError(f"parsing time {_quoted(self.text)}: {what} out of range")

    def digits(self, piece: str, least: int, most: int) -> int:
        found = re.match(f"[0-9]{{{least},{most}}}", self.rest)
        if found is None:
            raise self.fail(piece)
        self.rest = self.rest[found.end() :]
        return int(found.group())

    def skip(self, literal: str) -> None:
        """What stands between two pieces. Spaces are as good as any number of spaces, none at the end of the text."""
        for run in re.findall(" +|[^ ]", literal):
            if run[0] == " ":
                if self.rest and self.rest[0] != " ":
                    raise self.fail(literal)
                self.rest = self.rest.lstrip(" ")
            elif self.rest.startswith(run):
                self.rest = self.rest[1:]
            else:
                raise self.fail(literal)

    def run(self) -> Moment:
        pieces = list(_pieces(self.layout))
        zone = "UTC"
        for index, (literal, piece) in enumerate(pieces):
            self.skip(literal)
            if not piece:
                if self.rest:
                    raise LayoutError(
                        f"parsing time {_quoted(self.text)}: extra text: {_quoted(self.rest)}"
                    )
                break
            if piece == "MST":
                zone = self.zone_name(piece)
                continue
            self.read(piece)
            if piece in ("05", "5"):
                following = pieces[index + 1][1] if not pieces[index + 1][0] else ""
                found = re.match(r"[.,]([0-9]+)", self.rest)
                if found and following[:1] not in (".", ","):
                    self.fraction(found.group(1))
                    self.rest = self.rest[found.end() :]
        return self.moment(zone)

    def zone_name(self, piece: str) -> str:
        found = re.match(r"UTC|GMT[+-][0-9]{1,2}|[A-Z]{3,5}|[+-][0-9]{2}", self.rest)
        if found is None:
            raise self.fail(piece)
        self.rest = self.rest[found.end() :]
        name = found.group()
        if len(name) > 3 and name.startswith("GMT"):
            self.parts["offset"] = int(name[3:]) * 3600
        return name

    def fraction(self, digits: str) -> None:
        self.parts["nano"] = int(digits[:9].ljust(9, "0"))

    def read(self, piece: str) -> None:
        parts = self.parts
        match piece:
            case "2006":
                parts["year"] = self.digits(piece, 4, 4)
            case "06":
                year = self.digits(piece, 2, 2)
                parts["year"] = year + (1900 if year >= 69 else 2000)
            case "January" | "Jan" | "Monday" | "Mon":
                self.name(piece)
            case "01" | "1":
                parts["month"] = self.ranged(piece, "month", 1, 12)
            case "02" | "_2" | "2":
                if piece == "_2" and self.rest.startswith(" "):
                    self.rest = self.rest[1:]
                parts["day"] = self.digits(piece, 2 if piece == "02" else 1, 2)
            case "002" | "__2":
                self.rest = self.rest.lstrip(" ") if piece == "__2" else self.rest
                parts["year_day"] = self.digits(piece, 3 if piece == "002" else 1, 3)
            case "15":
                parts["hour"] = self.ranged("15", "hour", 0, 23)
            case "03" | "3":
                parts["hour"] = self.ranged(piece, "hour", 0, 12)
            case "04" | "4":
                parts["minute"] = self.ranged(piece, "minute", 0, 59)
            case "05" | "5":
                parts["second"] = self.ranged(piece, "second", 0, 59)
            case "PM" | "pm":
                word = self.rest[:2]
                if word not in (("AM", "PM") if piece == "PM" else ("am", "pm")):
                    raise self.fail(piece)
                parts["half"] = int(word.lower() == "pm")
                self.rest = self.rest[2:]
            case _:
                self.other(piece)

    def ranged(self, piece: str, what: str, low: int, high: int) -> int:
        value = self.digits(piece, 2 if piece[0] == "0" else 1, 2)
        if not low <= value <= high:
            raise self.out_of_range(what)
        return value

    def name(self, piece: str) -> None:
        months = piece.startswith("Jan")
        names = MONTHS if months else WEEKDAYS
        for number, name in enumerate(names, 1):
            wanted = name if len(piece) > 3 else name[:3]
            if self.rest[: len(wanted)].lower() == wanted.lower():
                if months:
                    self.parts["month"] = number
                self.rest = self.rest[len(wanted) :]
                return
        raise self.fail(piece)

    def other(self, piece: str) -> None:
        if piece[0] in ".,":
            if piece[1] == "9":
                found = re.match(r"[.,]([0-9]+)", self.rest)
            else:
                found = re.match(rf"[.,]([0-9]{{{len(piece) - 1}}})", self.rest)
                if found is None:
                    raise self.fail(piece)
            if found:
                self.fraction(found.group(1))
                self.rest = self.rest[found.end() :]
            return
        if piece[0] == "Z" and self.rest.startswith("Z"):
            self.rest = self.rest[1:]
            self.parts["offset"] = 0
            return
        form = re.sub("[0-9]{2}", "([0-9]{2})", piece[1:])
        found = re.match("([+-])" + form, self.rest)
        if found is None:
            raise self.fail(piece)
        self.rest = self.rest[found.end() :]
        hours, minutes, seconds = (int(g) for g in (*found.groups()[1:], "0", "0")[:3])
        if hours > 24 or minutes > 60 or seconds > 60:
            raise self.out_of_range("time zone offset " + ("hour" if hours > 24 else "minute"))
        value = hours * 3600 + minutes * 60 + seconds
        self.parts["offset"] = -value if found.group(1) == "-" else value

    def moment(self, zone: str) -> Moment:
        parts = self.parts
        hour = parts.get("hour", 0)
        if "half" in parts:
            hour = hour % 12 + 12 * parts["half"]
        year = parts.get("year", 0)
        month, day = parts.get("month", 1), parts.get("day", 1)
        if "year_day" in parts and "day" not in parts:
            length = days_from_civil(year + 1, 1, 1) - days_from_civil(year, 1, 1)
            if not 1 <= parts["year_day"] <= length:
                raise self.out_of_range("day-of-year")
            first = days_from_civil(year, 1, 1)
            _, month, day = civil_from_days(first + parts["year_day"] - 1)
        if not 1 <= day <= days_from_civil(year, month + 1, 1) - days_from_civil(year, month, 1):
            raise self.out_of_range("day")
        return Moment(
            year,
            month,
            day,
            hour,
            parts.get("minute", 0),
            parts.get("second", 0),
            parts.get("nano", 0),
            parts.get("offset", 0),
            zone,
        )
