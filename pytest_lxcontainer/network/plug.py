"""Plugging a container into a bridge: messages that make its veth, and set up the end inside.

LXC would make the pair on the host, move one end, which has the kernel wait for all processors, and let both ends take
IPv6 addresses of their own, which they then ask all others on the bridge about. Here the end inside comes to be there,
and neither has an address that nobody gave it. https://docs.kernel.org/networking/netlink_spec/rt_link.html
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

from .addresses import HeldAddress
from .netlink import NLM_F_CREATE, NLM_F_EXCL, attribute, message, number

INSIDE = "eth0"
"""What the end inside is called there."""

_RTM_NEWLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 20, 24
_NEW = NLM_F_CREATE | NLM_F_EXCL
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_NET_NS_FD = 1, 3, 10, 18, 26, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INET6_ADDR_GEN_MODE, _NO_ADDRESS = 8, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_BROADCAST = 1, 2, 4
_RTA_OIF, _RTA_GATEWAY = 4, 5
_IFF_UP = 1
_MAIN, _BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1


@dataclass(frozen=True, slots=True)
class Plug:
    """The *address* that a container gets on its bridge, and the *pair*'s name on the host.

    With *leads_out* its way to everybody else is by the host.
    """

    address: HeldAddress
    pair: str
    leads_out: bool

    def outside(self, namespace: int) -> tuple[bytes, ...]:
        """What is to be told on the host; *namespace* is a descriptor of where the other end is to be."""
        inside = attribute(_IFLA_IFNAME, _text(INSIDE))
        inside += attribute(_IFLA_ADDRESS, bytes.fromhex(self.address.mac.replace(":", "")))
        inside += attribute(_IFLA_NET_NS_FD, number(namespace))
        kind = attribute(_IFLA_INFO_KIND, b"veth")
        kind += attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, _link() + inside))
        bridge = socket.if_nametoindex(self.address.bridge.name)
        name = attribute(_IFLA_IFNAME, _text(self.pair))
        made = name + attribute(_IFLA_MASTER, number(bridge)) + attribute(_IFLA_LINKINFO, kind)
        return (
            message(_RTM_NEWLINK, _NEW, _link() + made),
            message(_RTM_NEWLINK, 0, _link() + name + _WITHOUT_IPV6_ADDRESS),
            message(_RTM_NEWLINK, 0, _link(_IFF_UP) + name),
        )

    def inside(self, index: int) -> tuple[bytes, ...]:
        """What is to be told inside, where the interface's number is *index*."""
        subnet = self.address.bridge.subnet
        packed = self.address.address.packed
        address = bytes((socket.AF_INET, subnet.prefixlen, 0, _UNIVERSE)) + number(index)
        address += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        address += attribute(_IFA_BROADCAST, subnet.broadcast_address.packed)
        messages = (
            message(_RTM_NEWLINK, 0, _link(index=index) + _WITHOUT_IPV6_ADDRESS),
            message(_RTM_NEWADDR, _NEW, address),
            message(_RTM_NEWLINK, 0, _link(_IFF_UP, index)),
        )
        return (*messages, self._way_out(index)) if self.leads_out else messages

    def _way_out(self, index: int) -> bytes:
        route = bytes((socket.AF_INET, 0, 0, 0, _MAIN, _BOOT, _UNIVERSE, _UNICAST)) + number(0)
        route += attribute(_RTA_GATEWAY, self.address.bridge.gateway.packed) + attribute(_RTA_OIF, number(index))
        return message(_RTM_NEWROUTE, _NEW, route)


def _link(flags: int = 0, index: int = 0) -> bytes:
    """``struct ifinfomsg``; *flags* are switched on, others stay."""
    return bytes(4) + number(index) + number(flags) + number(flags)


def _text(name: str) -> bytes:
    return name.encode() + b"\0"


_WITHOUT_IPV6_ADDRESS = attribute(
    _IFLA_AF_SPEC,
    attribute(socket.AF_INET6, attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_NO_ADDRESS]))),
)
