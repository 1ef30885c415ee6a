"""The `format`s of JSON Schema that are checked, each on a text; formats that are not named here match all."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

from cupcake.engine.builtins.host.automaton import check_pattern
from cupcake.engine.regex.errors import RegexError

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([zZ]|[+-][0-9]{2}:[0-9]{2})?"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_LABEL = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_POINTER = re.compile(r"(/([^~/]|~0|~1)*)*")
_RELATIVE = re.compile(r"(0|[1-9][0-9]*)(#|(/([^~/]|~0|~1)*)*)")


def _date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _date_time(text: str) -> bool:
    day, middle, clock = text[:10], text[10:11], text[11:]
    return middle in ("T", "t", " ") and _date(day) and _time(clock) and clock[-1:] not in ("",)


def _time(text: str) -> bool:
    return bool(_TIME.fullmatch(text))


def _email(text: str) -> bool:
    return len(text) <= 320 and bool(_EMAIL.fullmatch(text))


def _hostname(text: str) -> bool:
    return len(text) <= 255 and all(_LABEL.fullmatch(label) for label in text.split("."))


def _address(kind: type[IPv4Address | IPv6Address]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            kind(text)
        except ValueError:
            return False
        return "%" not in text

    return check


def _uri(text: str) -> bool:
    return _uri_reference(text) and bool(urlsplit(text).scheme)


def _uri_reference(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return "\\" not in text and not re.search(r"[\x00-\x20\x7f]", text)


def _regex(text: str) -> bool:
    try:
        check_pattern(text)
    except RegexError:
        return False
    return True


FORMATS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("date", _date),
    ("date-time", _date_time),
    ("email", _email),
    ("hostname", _hostname),
    ("idn-email", _email),
    ("ipv4", _address(IPv4Address)),
    ("ipv6", _address(IPv6Address)),
    ("iri", _uri),
    ("iri-reference", _uri_reference),
    ("json-pointer", lambda text: bool(_POINTER.fullmatch(text))),
    ("regex", _regex),
    ("relative-json-pointer", lambda text: bool(_RELATIVE.fullmatch(text))),
    ("time", _time),
    ("uri", _uri),
    ("uri-reference", _uri_reference),
    ("uuid", lambda text: bool(_UUID.fullmatch(text))),
)
