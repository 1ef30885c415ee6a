"""URLs split as Go's net/url splits them: for `uri.parse`, and for what a request may reach. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from urllib.parse import quote

from cupcake.engine.builtins.host.go_format import quoted
from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.texts import from_bytes, to_bytes
from cupcake.engine.builtins.values import Value

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USERINFO = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
_PRINTED = "".join(chr(code) for code in range(0x21, 0x7F))
_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
# What stands for itself in a host, in a path, in a fragment.
_HOST = frozenset(_UNRESERVED + "!$&'()*+,;=:[]<>\"")
_PATH = frozenset(_UNRESERVED + "$&+,/:;=@")


class UrlError(ValueError):
    """Not a URL; the message is Go's, without the `parse "...":` in front."""


@dataclass(frozen=True, slots=True)
class Url:
    """`host` holds the port, IPv6 addresses in brackets; `raw_path` is the path as written
    where that says more than the path itself."""

    scheme: str = ""
    opaque: str = ""
    userinfo: str = ""
    host: str = ""
    path: str = ""
    raw_path: str = ""
    query: str = ""
    fragment: str = ""

    @property
    def hostname(self) -> str:
        """The host without port and brackets."""
        name = self.host[: len(self.host) - len(self._port_text())]
        return name[1:-1] if name.startswith("[") and name.endswith("]") else name

    @property
    def port(self) -> str:
        return self._port_text()[1:]

    @property
    def target(self) -> str:
        """Path and query as they are sent."""
        if self.raw_path == self.path:
            path = escape_path(to_bytes(self.path))
        else:
            path = quote(to_bytes(self.raw_path), safe="/%:@!$&'()*+,;=-._~[]")
        return (path or "/") + (
            "?" + quote(to_bytes(self.query), safe=_PRINTED) if self.query else ""
        )

    def _port_text(self) -> str:
        at = self.host.rfind(":")
        return self.host[at:] if at >= 0 and _PORT.fullmatch(self.host[at:]) else ""


def parse_url(text: str) -> Url:
    """UrlError if it is none."""
    if _CONTROL.search(text):
        raise UrlError("net/url: invalid control character in URL")
    rest, _, fragment = text.partition("#")
    if rest == "*":
        return Url(path="*", raw_path="*", fragment=_unescape(fragment))
    scheme, rest = _split_scheme(rest)
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, opaque=rest, query=query, fragment=_unescape(fragment))
        if ":" in rest.partition("/")[0]:
            raise UrlError("first path segment in URL cannot contain colon")
    userinfo = host = ""
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, rest = rest[2:].partition("/")
        rest = slash + rest
        userinfo, _, host = authority.rpartition("@")
        host = _parse_host(scheme, host)
        _check_userinfo(userinfo)
    _escapes(rest)
    path = _decoded(rest)
    raw = from_bytes(path) if escape_path(path) == rest else rest
    shown = from_bytes(path)
    return Url(scheme, "", userinfo, host, shown, raw, query, _unescape(fragment))


def _split_scheme(text: str) -> tuple[str, str]:
    if text.startswith(":"):
        raise UrlError("missing protocol scheme")
    found = _SCHEME.match(text)
    return (found.group(1).lower(), text[found.end() :]) if found else ("", text)


def _check_userinfo(text: str) -> None:
    if not _USERINFO.fullmatch(text):
        raise UrlError("net/url: invalid userinfo")
    for part in text.split(":", 1):
        _unescape(part)


def _parse_host(scheme: str, host: str) -> str:
    bracket = host.rfind("[")
    if bracket > 0:
        raise UrlError("invalid IP-literal")
    if bracket == 0:
        return _parse_literal(host)
    at = host.find(":")
    if at >= 0:
        # Colons in a host are for databases' lists of hosts, not for the web.
        port = host[at:] if scheme in ("http", "https") else host[host.rfind(":") :]
        _check_port(port)
    return _unescape_host(host)


def _parse_literal(host: str) -> str:
    end = host.rfind("]")
    if end < 0:
        raise UrlError("missing ']' in host")
    port = host[end + 1 :]
    _check_port(port)
    name, percent, zone = host[1:end].partition("%25")
    name = _unescape_host(name) + ("%" + _unescape(zone) if percent else "")
    try:
        IPv6Address(name)
    except ValueError:
        if re.fullmatch(r"[0-9.]+", name):
            raise UrlError("invalid IP-literal") from None
        raise UrlError(f"invalid host: ParseAddr({quoted(name)}): unable to parse IP") from None
    return f"[{name}]{port}"


def _check_port(text: str) -> None:
    if not _PORT.fullmatch(text):
        raise UrlError(f"invalid port {quoted(text)} after host")


def _escapes(text: str) -> None:
    found = re.search(r"%(?![0-9a-fA-F]{2})", text)
    if found:
        raise UrlError(f"invalid URL escape {quoted(text[found.start() : found.start() + 3])}")


def _unescape(text: str) -> str:
    _escapes(text)
    return from_bytes(_decoded(text))


def _unescape_host(text: str) -> str:
    """Only bytes beyond ASCII are escaped in a host."""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "%":
            _escapes(text[at : at + 3])
            if text[at + 1] in "01234567" and text[at : at + 3] != "%25":
                raise UrlError(f"invalid URL escape {quoted(text[at : at + 3])}")
            at += 3
            continue
        if char < "\x80" and char not in _HOST:
            raise UrlError(f"invalid character {quoted(char)} in host name")
        at += 1
    return from_bytes(_decoded(text))


def _decoded(text: str) -> bytes:
    first, *parts = to_bytes(text).split(b"%")
    return first + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts)


def escape_path(path: bytes) -> str:
    """A path as Go writes it."""
    return "".join(chr(b) if chr(b) in _PATH else f"%{b:02X}" for b in path)


def _uri_parse(uri: Value) -> Value:
    name = "uri.parse"
    text = string(name, 1, uri)
    try:
        url = parse_url(text)
    except UrlError as error:
        raise failed(name, f"parse {quoted(text)}: {error}") from None
    members = {
        "scheme": url.scheme,
        "hostname": url.hostname,
        "port": url.port,
        "path": url.path,
        "raw_path": url.raw_path,
        "raw_query": url.query,
        "fragment": url.fragment,
    }
    return {key: member for key, member in members.items() if member}


def _uri_is_valid(uri: Value) -> Value:
    if not isinstance(uri, str) or not uri:
        return False
    try:
        parse_url(uri)
    except UrlError:
        return False
    return True


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("uri.parse", _uri_parse),
    ("uri.is_valid", _uri_is_valid),
)
