"""One exchange of `http.send` with a server: dial, TLS, send, receive, follow redirects, try again. On http.client and ssl.

Every connection, also one that a redirect wants, goes to an allowed host at an address that was checked. Time is bounded
by the request's timeout and by what is left of the evaluation; a server that answers drop by drop is cut off.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.http_request import Request, Tls
from cupcake.engine.builtins.host.network import (
    NetworkError,
    NetworkTimeoutError,
    addresses,
    allowed_addresses,
    refused,
)
from cupcake.engine.builtins.host.operands import failed
from cupcake.engine.builtins.host.uris import Url, UrlError, parse_url
from cupcake.engine.builtins.texts import to_bytes
from cupcake.engine.errors import EvaluationError

NAME = "http.send"
AGENT = "Cupcake"
REDIRECTS_MAX = 10
PEM_MAX = 1 << 20  # bytes of a file with certificates
_PORTS = (("http", 80), ("https", 443))
_FOLLOWED = (301, 302, 303, 307, 308)
_OTHERS_BUSINESS = ("Authorization", "Cookie", "Www-Authenticate", "Host")
_FIRST_PAUSE = 0.1


@dataclass(frozen=True, slots=True)
class Response:
    """`headers` as received, names repeated where they were."""

    code: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k.lower() == name), "")


def exchange(gate: Gate, request: Request) -> Response:
    """The response, after redirects if the request wants them. NetworkError, BuiltinError; EvaluationError for a host that
    is not allowed."""
    attempt = 0
    while True:
        try:
            return _follow(gate, request)
        except NetworkError:
            pause = _FIRST_PAUSE * 1.6**attempt
            if attempt >= request.retries or pause >= gate.seconds_left():
                raise
            time.sleep(pause)
            attempt += 1


def check_host(gate: Gate, url: Url) -> int:
    """The port; EvaluationError unless the host may be reached."""
    port = int(url.port[:6] or dict(_PORTS).get(url.scheme, 0))
    if not gate.effects.allows_host(url.hostname, port):
        raise refused(NAME, url.hostname)
    return port


def _follow(gate: Gate, request: Request) -> Response:
    deadline = time.monotonic() + min(request.seconds, gate.seconds_left())
    for _ in range(REDIRECTS_MAX):
        response = _once(gate, request, deadline)
        location = response.header("location")
        if not request.redirects or response.code not in _FOLLOWED or not location:
            return response
        request = _redirected(request, response.code, location)
    raise NetworkError(_blame(request, f"stopped after {REDIRECTS_MAX} redirects"))


def _redirected(request: Request, code: int, location: str) -> Request:
    shown = urljoin(request.shown_url, location)
    try:
        url = parse_url(shown)
    except UrlError as error:
        message = f"failed to parse Location header {location!r}: {error}"
        raise NetworkError(_blame(request, message)) from None
    headers = request.headers
    if (url.hostname, url.port) != (request.url.hostname, request.url.port):
        headers = tuple((k, v) for k, v in headers if k not in _OTHERS_BUSINESS)
    following = replace(request.to(url, shown), headers=headers)
    if code in (301, 302, 303) and request.method not in ("GET", "HEAD"):
        following = replace(following, method="GET", body=b"")
    return following


def _blame(request: Request, message: str) -> str:
    """As Go names the request that failed."""
    shown = request.shown_url
    if request.url.userinfo:  # a password is nobody's business
        shown = shown.replace(f"{request.url.userinfo}@", f"{request.url.userinfo.partition(':')[0]}:xxxxx@")  # fmt: skip
    return f'{request.method.capitalize()} "{shown}": {message}'


def _once(gate: Gate, request: Request, deadline: float) -> Response:
    url = request.url
    if url.scheme not in dict(_PORTS):
        raise NetworkError(_blame(request, f'unsupported protocol scheme "{url.scheme}"'))
    if not url.hostname:
        raise NetworkError(_blame(request, "http: no Host in request URL"))
    port = check_host(gate, url)
    context = _context(gate, request.tls) if url.scheme == "https" else None
    try:
        with _connected(gate, request, port, deadline, context) as connection:
            return _converse(gate, request, connection)
    except NetworkError as error:
        raise type(error)(_blame(request, str(error))) from None
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
            message = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            raise NetworkTimeoutError(_blame(request, message)) from None
        raise NetworkError(_blame(request, _reason(error))) from None


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"tls: failed to verify certificate: {error.verify_message}"
        case ssl.SSLError():
            return f"tls: {error.reason or error}"
        case http.client.RemoteDisconnected() | http.client.IncompleteRead():
            return "EOF" if isinstance(error, ConnectionError) else "unexpected EOF"
        case OSError():
            return (error.strerror or str(error)).lower()
    return f"malformed HTTP response: {type(error).__name__}"


@contextmanager
def _connected(
    gate: Gate, request: Request, port: int, deadline: float, context: ssl.SSLContext | None
) -> Iterator[http.client.HTTPConnection]:
    """An open connection, closed by force when the time is over."""
    host = request.url.hostname
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    raw = _dial(gate, name, port, deadline)
    watchdog = threading.Timer(max(0.0, deadline - time.monotonic()), _cut, (raw,))
    watchdog.daemon = True
    watchdog.start()
    connection = http.client.HTTPConnection(name, port)
    try:
        if context is None:
            connection.sock = raw
        else:
            connection.sock = context.wrap_socket(
                raw, server_hostname=request.tls.server_name or name
            )
        yield connection
    finally:
        watchdog.cancel()
        connection.close()
        raw.close()


def _cut(raw: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # Not `close`: the thread that reads must wake up.
        socket.socket.shutdown(raw, socket.SHUT_RDWR)


def _dial(gate: Gate, host: str, port: int, deadline: float) -> socket.socket:
    found = addresses(gate, host)
    allowed = allowed_addresses(gate, host, port, found)
    if found and not allowed:
        message = (
            f"{NAME}: the host {host!r} leads to {found[0]}, an address of this machine or its link; "
            "allow the address itself (allow_net) if that is meant"
        )
        raise EvaluationError("eval_builtin_error", message)
    problem = "no address"
    for address in allowed:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            made = socket.create_connection((address, port), timeout=left)
        except TimeoutError:
            raise
        except (OSError, OverflowError) as error:
            shown = f"[{address}]" if ":" in address else address
            reason = getattr(error, "strerror", None) or str(error)
            problem = f"dial tcp {shown}:{port}: connect: {reason.lower()}"
        else:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
    raise NetworkError(problem)


def _converse(gate: Gate, request: Request, connection: http.client.HTTPConnection) -> Response:
    url = request.url
    connection.putrequest(request.method, url.target, skip_host=True, skip_accept_encoding=True)
    given = dict(request.headers)
    bare = url.host.rpartition(":")[0] if url.port and (url.scheme, int(url.port)) in _PORTS else url.host  # fmt: skip
    connection.putheader("Host", given.pop("Host", bare if bare.isascii() else connection.host))
    given.setdefault("User-Agent", AGENT)
    given.setdefault("Accept-Encoding", "identity")
    if url.userinfo and "Authorization" not in given:
        credentials = base64.b64encode(unquote_to_bytes(to_bytes(url.userinfo))).decode()
        given["Authorization"] = f"Basic {credentials}"
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        given["Content-Length"] = str(len(request.body))
    given["Connection"] = "close"
    for name, value in given.items():
        connection.putheader(name, to_bytes(value))
    connection.endheaders(request.body or None)
    answer = connection.getresponse()
    limit = gate.effects.response_bytes
    body = answer.read(limit + 1)
    if len(body) > limit:
        raise failed(NAME, f"the response is longer than {limit} bytes")
    if answer.length:  # `read` with a size takes an early end for the end
        raise http.client.IncompleteRead(body, answer.length)
    return Response(answer.status, answer.reason, tuple(answer.getheaders()), body)


# ---- TLS ----


def _context(gate: Gate, tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    own = [
        tls.ca_cert,
        _file(tls.ca_cert_file),
        _variable(gate, tls.ca_cert_variable),
    ]
    if tls.system_certs or not any(own):
        context.load_default_certs()
    for text in filter(None, own):
        try:
            context.load_verify_locations(cadata=text)
        except (ssl.SSLError, ValueError):
            raise failed(NAME, "could not append certificates") from None
    for cert, key in (
        (tls.client_cert, tls.client_key),
        (_file(tls.client_cert_file), _file(tls.client_key_file)),
        (_variable(gate, tls.client_cert_variable), _variable(gate, tls.client_key_variable)),
    ):
        if cert and key:
            _load_pair(context, cert, key)
    if tls.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _file(path: str) -> str:
    """A text with certificates or a key; never shown to a policy."""
    if not path:
        return ""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > PEM_MAX:
            raise failed(NAME, f"open {path}: not a regular file of at most {PEM_MAX} bytes")
        return Path(path).read_text("ascii", "replace")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise failed(NAME, f"open {path}: {reason.lower()}") from None


def _variable(gate: Gate, name: str) -> str:
    if not name:
        return ""
    if not gate.effects.shows_variable(name):
        message = f"{NAME}: policies may not read the variable {name!r}; allow it by name (env)"
        raise EvaluationError("eval_builtin_error", message)
    return gate.variable(name) or ""


def _load_pair(context: ssl.SSLContext, cert: str, key: str) -> None:
    # The library reads a key from a file only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"{cert}\n{key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise failed(NAME, f"tls: cannot use the client's certificate: {error}") from None


def _no_password() -> bytes:
    """Without one, OpenSSL would ask on the terminal."""
    raise ValueError("the key is encrypted")
