"""Names to addresses, and which of them an evaluation may reach: `net.lookup_ip_addr`, and the dialling of `http.send`.

A connection goes to the very address that was checked, so that a name cannot change its mind in between.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from cupcake.engine.builtins.effects import Effects
from cupcake.engine.builtins.gate import Gate
from cupcake.engine.builtins.host.operands import failed, string
from cupcake.engine.builtins.values import Value, rego_set
from cupcake.engine.errors import EvaluationError

_LOOKUP = "net.lookup_ip_addr"


class NetworkError(Exception):
    """The network, or the other side, did not do what was asked; the message is like Go's."""


class NetworkTimeoutError(NetworkError):
    """Not in time."""


def refused(name: str, host: str) -> EvaluationError:
    """No BuiltinError: the rule would become undefined, which may mean "allowed"."""
    message = f"{name}: policies may not reach the host {host!r}; allow it by name (allow_net)"
    return EvaluationError("eval_builtin_error", message)


def is_localhost(host: str) -> bool:
    """Needs no lookup, says RFC 6761."""
    return host.lower().removesuffix(".") == "localhost"


def addresses(gate: Gate, host: str) -> list[str]:
    """The addresses of a host; NetworkError when there are none or the evaluation's time is over."""
    if is_localhost(host):
        return ["127.0.0.1", "::1"]
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    found: list[str] = []
    problem: list[str] = []

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(answer[4][0]) for answer in answers))
        except (OSError, UnicodeError):
            problem.append(f"lookup {host}: no such host")

    # The system's resolver knows no deadline: it is left behind when it takes too long.
    thread = threading.Thread(target=ask, name="cupcake-lookup", daemon=True)
    thread.start()
    thread.join(gate.seconds_left())
    if thread.is_alive():
        raise NetworkTimeoutError(f"lookup {host}: i/o timeout")
    if problem:
        raise NetworkError(problem[0])
    return found


def allowed_addresses(gate: Gate, host: str, port: int, found: list[str]) -> list[str]:
    """Those of a host's addresses that may be connected to."""
    return [text for text in found if _is_allowed(gate.effects, host, port, text)]


def _is_allowed(effects: Effects, host: str, port: int, text: str) -> bool:
    if effects.allow_net is None or is_localhost(host):
        return True
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    inward = (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
    )
    return not inward or effects.allows_host(str(address), port)


def _lookup(gate: Gate, name: Value) -> Value:
    host = string(_LOOKUP, 1, name)
    literal = is_localhost(host) or _is_literal(host)
    if not literal and not gate.effects.allows_host(host):
        raise refused(_LOOKUP, host)
    try:
        return rego_set(list[Value](addresses(gate, host)))
    except NetworkTimeoutError as error:
        raise EvaluationError("eval_cancel_error", f"{_LOOKUP}: {error}") from None
    except NetworkError as error:
        raise failed(_LOOKUP, str(error)) from None


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


GATED: tuple[tuple[str, Callable[..., Value]], ...] = ((_LOOKUP, _lookup),)
