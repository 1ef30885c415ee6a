"""CIDR arithmetic on sets of blocks; what asks about one block lives in the runtime (`b_net.c`). Nothing here reaches a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)

from cupcake.engine.builtins.host.operands import failed, string, type_error
from cupcake.engine.builtins.values import (
    BuiltinError,
    RegoObject,
    RegoSet,
    Value,
    pairs,
    rego_set,
)

EXPAND_MAX = 1 << 18  # addresses of net.cidr_expand


def _parse_ip(text: str) -> IPv4Address | IPv6Address | None:
    if "%" in text:
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def _parse_cidr(name: str, text: str) -> IPv4Network | IPv6Network:
    address, slash, length = text.partition("/")
    valid = bool(slash) and length.isascii() and length.isdigit() and "%" not in address
    try:
        if valid and len(length) < 8:
            net = ip_network(f"{address}/{int(length)}", strict=False)
            if isinstance(net, IPv6Network) and net.prefixlen >= 96:
                mapped = net.network_address.ipv4_mapped
                return IPv4Network((mapped, net.prefixlen - 96)) if mapped else net
            return net
    except ValueError:
        pass
    raise failed(name, f"invalid CIDR address: {text}")


def _holds(net: IPv4Network | IPv6Network, other: object) -> bool:
    match net, other:
        case IPv4Network(), IPv4Address() | IPv4Network():
            first = other if isinstance(other, IPv4Address) else other.network_address
            last = other if isinstance(other, IPv4Address) else other.broadcast_address
            return first in net and last in net
        case IPv6Network(), IPv6Address() | IPv6Network():
            first6 = other if isinstance(other, IPv6Address) else other.network_address
            last6 = other if isinstance(other, IPv6Address) else other.broadcast_address
            return first6 in net and last6 in net
    return False


def _contains_as(name: str, cidr: Value, other: Value) -> bool:
    net = _parse_cidr(name, string(name, 1, cidr))
    text = string(name, 1, other)
    address = _parse_ip(text)
    if address is not None:
        return _holds(net, address)
    try:
        inner = _parse_cidr(name, text)
    except BuiltinError:
        message = f"not a valid textual representation of an IP address or CIDR: {text}"
        raise failed(name, message) from None
    return _holds(net, inner)


def _candidates(name: str, at: int, value: Value) -> Iterator[tuple[str, Value]]:
    """(CIDR, what stands for it in the result): its index, key or the element itself."""
    items: list[tuple[Value, Value]]
    match value:
        case str():
            items = [(value, value)]
        case list():
            items = [(item, index) for index, item in enumerate(value)]
        case RegoSet():
            items = [(item, item) for item in value]
        case dict() | RegoObject():
            items = [(item, key) for key, item in pairs(value)]
        case _:
            items = []
    for item, index in items:
        text = item[0] if isinstance(item, list) and item else item
        if not isinstance(text, str):
            if isinstance(item, list) and item:
                raise type_error(name, 1, text, "string")
            raise failed(name, f"operand {at}: element must be string or non-empty array")
        yield text, index


def _contains_matches(cidrs: Value, cidrs_or_ips: Value) -> Value:
    name = "net.cidr_contains_matches"
    found: list[Value] = []
    for outer, first in _candidates(name, 1, cidrs):
        try:
            for inner, second in _candidates(name, 2, cidrs_or_ips):
                if _contains_as(name, outer, inner):
                    found.append([first, second])
        except BuiltinError:
            _parse_cidr(name, outer)  # whose fault it is comes first
            raise
    return rego_set(found)


def _expand(cidr: Value) -> Value:
    name = "net.cidr_expand"
    net = _parse_cidr(name, string(name, 1, cidr))
    if net.num_addresses > EXPAND_MAX:
        raise failed(name, f"{cidr} has more than {EXPAND_MAX} addresses")
    return rego_set(str(address) for address in net)


def _class_length(address: IPv4Address) -> int:
    """The prefix of the classful days, which OPA gives to an address without one."""
    first = int(address) >> 24
    return 8 if first < 128 else 16 if first < 192 else 24


def _touches(net: IPv4Network, other: IPv4Network) -> bool:
    """Whether the addresses of the other one end where these begin, or the other way round."""
    return int(other.broadcast_address) + 1 == int(net.network_address) or int(
        net.broadcast_address
    ) + 1 == int(other.network_address)


def _merge(addresses: Value) -> Value:
    name = "net.cidr_merge"
    if not isinstance(addresses, list | RegoSet):
        raise failed(name, "operand must be an array")
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    bare: list[str] = []
    for text in addresses:
        if not isinstance(text, str):
            raise failed(name, "element must be string")
        address = _parse_ip(text)
        if isinstance(address, IPv6Address):
            raise failed(name, "IPv6 invalid: needs prefix length")
        net: IPv4Network | IPv6Network
        if address is not None:
            net = IPv4Network((address, _class_length(address)), strict=False)
        else:
            net = _parse_cidr(name, text)
        if isinstance(net, IPv4Network):
            four.append(net)
            # An address that merges with nothing is shown with its host part.
            bare.append(f"{address}/{net.prefixlen}" if address is not None else "")
        else:
            six.append(net)
    shown = [str(n) for n in collapse_addresses(six)]
    for merged in collapse_addresses(four):
        parts = [own for net, own in zip(four, bare, strict=True) if net.subnet_of(merged)]
        alone = len(parts) == 1 and not any(_touches(merged, net) for net in four)
        shown.append(parts[0] if alone and parts[0] else str(merged))
    return rego_set(shown)


FUNCTIONS: tuple[tuple[str, Callable[..., Value]], ...] = (
    ("net.cidr_contains_matches", _contains_matches),
    ("net.cidr_expand", _expand),
    ("net.cidr_merge", _merge),
)
