"""Responses that outlive an evaluation, for requests with `cache` or `force_cache`: one bounded cache a loaded policy.

How long a response is fresh follows OPA: the forced duration, else Cache-Control's max-age from Date, else Expires. What is no
longer fresh is asked again with If-None-Match and If-Modified-Since.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime

from cupcake.engine.builtins.host.http_request import Request
from cupcake.engine.builtins.host.http_wire import Response

ENTRIES_MAX = 256
BYTES_MAX = 32 << 20

CACHEABLE = frozenset({200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501})
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    response: Response
    fresh_until_ns: int


class ResponseCache:
    """Thread-safe; the oldest go first."""

    __slots__ = ("_bytes", "_entries", "_lock")

    def __init__(self) -> None:
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> _Entry | None:
        with self._lock:
            return self._entries.get(key)

    def drop(self, key: str) -> None:
        with self._lock:
            self._drop(key)

    def put(self, key: str, entry: _Entry) -> None:
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._bytes += _size(entry)
            while len(self._entries) > ENTRIES_MAX or self._bytes > BYTES_MAX:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= _size(found)


def _size(entry: _Entry) -> int:
    return len(entry.response.body) + sum(len(k) + len(v) for k, v in entry.response.headers)


def through_cache(
    cache: ResponseCache,
    key: str,
    request: Request,
    now_ns: int,
    send: Callable[[Request], Response],
) -> Response:
    """The cached response while it is fresh, else one from the server, kept if it may be."""
    found = cache.get(key)
    if found is not None and now_ns < found.fresh_until_ns:
        return found.response
    if found is not None:
        cache.drop(key)
        answer = _revalidated(found.response, request, send)
        if answer is not None:
            _keep(cache, key, request, answer, now_ns)
            return answer
    answer = send(request)
    _keep(cache, key, request, answer, now_ns)
    return answer


def _revalidated(
    old: Response, request: Request, send: Callable[[Request], Response]
) -> Response | None:
    """The old response with the server's new headers, or a new one; None = ask without conditions."""
    conditions = [
        (name, old.header(header))
        for name, header in (("If-None-Match", "etag"), ("If-Modified-Since", "last-modified"))
        if old.header(header)
    ]
    if not conditions:
        return None
    answer = send(replace(request, headers=(*request.headers, *conditions)))
    if answer.code == 304:
        renewed = {name.lower() for name, _ in answer.headers}
        kept = tuple(pair for pair in old.headers if pair[0].lower() not in renewed)
        return replace(old, headers=kept + answer.headers)
    return answer if answer.code == 200 else None


def _keep(
    cache: ResponseCache, key: str, request: Request, response: Response, now_ns: int
) -> None:
    directives = _directives(response)
    if response.code not in CACHEABLE or (request.cache_seconds <= 0 and "no-store" in directives):
        return
    until: int | None
    if request.cache_seconds > 0:
        until = now_ns + request.cache_seconds * _NS
    elif "max-age" in directives:
        age, made = directives["max-age"], _http_time(response.header("date"))
        if not re.fullmatch("[0-9]+", age, re.ASCII) or made is None:
            return
        until = made + min(int(age[:12]), (1 << 31) - 1) * _NS
    else:
        until = _http_time(response.header("expires")) or 0
    cache.put(key, _Entry(response, until))


def _directives(response: Response) -> dict[str, str]:
    found = {}
    for part in response.header("cache-control").split(","):
        name, _, value = part.strip().partition("=")
        if name and "=" not in value:
            found[name.strip()] = value
    return found


def _http_time(text: str) -> int | None:
    try:
        return int(parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp()) * _NS
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
