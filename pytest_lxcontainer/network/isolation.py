"""Who a container can reach on its bridge: the host, its peers, and nobody else.

All containers of a run are on one bridge, since one for each test would cost a test more than its container does. So
each has rules in its own network namespace (ip-rule(8)) by which other containers' addresses are unreachable: who tries
is told so at once. They are made before its command starts, and only CAP_NET_ADMIN inside can change them, which a
container has not unless it asks for it. https://docs.kernel.org/networking/policy-routing.html
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from .bridge import RANGE, Bridge
from .netlink import NLM_F_CREATE, NLM_F_EXCL, attribute, message, number

ADMITTED, FORBIDDEN = 1000, 2000
"""Preferences of the rules for those that can be reached, and for all others; lower ones come first."""

_RTM_NEWRULE, _RTM_DELRULE = 32, 33
_FRA_DST, _FRA_PRIORITY = 1, 6
_TO_TABLE, _UNREACHABLE = 1, 7
_MAIN = 254
_AF_INET, _AF_INET6 = 2, 10
_LINK_LOCAL = b"\xfe\x80" + bytes(14), 10


def confine(bridge: Bridge) -> tuple[bytes, ...]:
    """Messages by which nobody but the host can be reached on *bridge*, nor on any other of ours by way of the host."""
    networks = [RANGE] if bridge.subnet.subnet_of(RANGE) else [RANGE, bridge.subnet]
    return (
        *admit([bridge.gateway]),
        *(_rule(_RTM_NEWRULE, _of(network), FORBIDDEN, _UNREACHABLE) for network in networks),
        # An address of this kind comes with every interface.
        _rule(_RTM_NEWRULE, _LINK_LOCAL, FORBIDDEN, _UNREACHABLE),
    )


def admit(addresses: Iterable[IPv4Address]) -> tuple[bytes, ...]:
    """Messages by which *addresses* can be reached."""
    return tuple(_rule(_RTM_NEWRULE, (each.packed, 32), ADMITTED, _TO_TABLE) for each in addresses)


def expel(addresses: Iterable[IPv4Address]) -> tuple[bytes, ...]:
    """Messages that undo `admit`."""
    return tuple(_rule(_RTM_DELRULE, (each.packed, 32), ADMITTED, _TO_TABLE) for each in addresses)


def _of(network: IPv4Network) -> tuple[bytes, int]:
    return network.network_address.packed, network.prefixlen


def _rule(kind: int, destination: tuple[bytes, int], preference: int, action: int) -> bytes:
    """``struct fib_rule_hdr`` and its attributes."""
    address, prefix = destination
    family = _AF_INET if len(address) == 4 else _AF_INET6
    table = _MAIN if action == _TO_TABLE else 0
    header = bytes((family, prefix, 0, 0, table, 0, 0, action)) + number(0)
    body = header + attribute(_FRA_DST, address) + attribute(_FRA_PRIORITY, number(preference))
    return message(kind, NLM_F_CREATE | NLM_F_EXCL if kind == _RTM_NEWRULE else 0, body)
