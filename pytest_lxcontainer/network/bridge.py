"""The bridge that a run's containers are on: root makes one, an ordinary user is given one by the host.

All changes go through iproute2's ``ip``, in one batch for a bridge; per container LXC makes the veth itself.
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostNotReadyError
from .leases import Lease, take
from .programs import program
from .world import close_way, forwards, open_way

PREFIX = "lxt"
"""Every bridge and host-side veth of ours starts so; interface names have at most 15 characters."""

USER_BRIDGE = f"{PREFIX}usr0"
"""The bridge that ordinary users' containers share where this package sets the host up for them."""

RANGE = ipaddress.IPv4Network("10.64.0.0/10")
SUBNET_PREFIX = 22

_LEADS_OUT = "leads-out"
"""The alias (ip-link(8)) of a bridge of ours whose containers reach the world, for who has not made it."""

USERNET = Path("/etc/lxc/lxc-usernet")


@dataclass(frozen=True, slots=True)
class Bridge:
    """An Ethernet bridge with an address of the host's; containers take theirs from *subnet*.

    *leads_out* is whether packets from it go beyond the host. Where they do not, containers get no default route:
    a look-up or connection to the world then fails at once, and does not wait for answers that cannot come.
    """

    name: str
    gateway: ipaddress.IPv4Address
    subnet: ipaddress.IPv4Network
    leads_out: bool = False

    def candidates(self, start: int) -> Iterator[ipaddress.IPv4Address]:
        """Every address a container may have, beginning *start* addresses in, so that runs seldom meet."""
        first, count = int(self.subnet.network_address) + 1, self.subnet.num_addresses - 2
        for offset in range(count):
            address = ipaddress.IPv4Address(first + (start + offset) % count)
            if address != self.gateway:
                yield address


def create_bridge(name: str) -> tuple[Bridge, Lease]:
    """Make bridge *name* with a subnet that collides with nothing on the host; needs root.

    The lease holds the subnet against other runs of ours until it is released.
    """
    taken = _routed_networks()
    for subnet in _subnets():
        if any(subnet.overlaps(network) for network in taken):
            continue
        lease = take(f"subnet/{subnet}")
        if lease is None:
            continue
        try:
            return _made(name, subnet), lease
        except BaseException:
            close_way(name)
            delete_link(name)
            lease.release()
            raise
    raise HostNotReadyError(
        f"no free subnet of {RANGE} is left on this host", hint="remove routes or bridges that are not in use"
    )


def _made(name: str, subnet: ipaddress.IPv4Network) -> Bridge:
    gateway = next(subnet.hosts())
    _ip_batch(
        [
            f"link add name {name} address {mac_of(gateway)} type bridge",
            f"address add {gateway}/{subnet.prefixlen} dev {name}",
            f"link set dev {name} up",
        ]
    )
    leads_out = open_way(name, subnet)
    if leads_out:
        _ip_batch([f"link set dev {name} alias {_LEADS_OUT}"])
    return Bridge(name, gateway, subnet, leads_out)


def mac_of(address: ipaddress.IPv4Address) -> str:
    """The locally administered unicast MAC address of who has *address* on a bridge of ours.

    A bridge without one of its own takes that of a port, and another's when the port goes: who knows the old one by
    ARP then gets nothing through for some ten seconds.
    """
    return "02:1c:" + ":".join(f"{byte:02x}" for byte in address.packed)


def delete_link(name: str) -> None:
    """Delete an interface; one that is gone already is fine."""
    if Path("/sys/class/net", name).exists():
        subprocess.run([program("ip"), "link", "delete", "dev", name], check=False, capture_output=True)


def links_of(run: str) -> list[str]:
    """The host's interfaces that belong to *run*."""
    return [name for name in os.listdir("/sys/class/net") if name.startswith(f"{PREFIX}{run}")]


def permitted_bridge(user: str, groups: Sequence[str], usernet: Path = USERNET) -> Bridge:
    """The bridge that *usernet* (lxc-usernet(5)) lets *user* attach to.

    Raises `HostNotReadyError` with what to run as root where there is none.
    """
    hint = f"as root: lxcontainer doctor --fix --user {user}"
    names = permitted_bridge_names(user, groups, usernet)
    if not names:
        raise HostNotReadyError(f"user {user} may not attach containers to any bridge ({usernet})", hint=hint)
    for name in names:
        if bridge := existing_bridge(name):
            return bridge
    raise HostNotReadyError(
        f"user {user} may use the bridge {names[0]}, which does not exist or has no IPv4 address", hint=hint
    )


def permitted_bridge_names(user: str, groups: Sequence[str], usernet: Path = USERNET) -> list[str]:
    """Names of bridges in lines ``user veth bridge count`` that apply to *user* or one of ``@groups``."""
    try:
        lines = usernet.read_text().splitlines()
    except OSError:
        return []
    owners = {user, *(f"@{group}" for group in groups)}
    fields = [line.split() for line in lines if not line.lstrip().startswith("#")]
    return [each[2] for each in fields if len(each) == 4 and each[0] in owners and each[1] == "veth"]


def existing_bridge(name: str) -> Bridge | None:
    """Bridge *name* with the host's first IPv4 address on it, or ``None``."""
    if not Path("/sys/class/net", name, "bridge").is_dir():
        return None
    for link in json.loads(_ip_output("-4", "-json", "address", "show", "dev", name) or "[]"):
        for info in link.get("addr_info", ()):
            interface = ipaddress.IPv4Interface(f"{info['local']}/{info['prefixlen']}")
            return Bridge(name, interface.ip, interface.network, _leads_out(name))
    return None


def delete_bridge(bridge: Bridge) -> None:
    """Undo `create_bridge`; what is gone already is fine."""
    if bridge.leads_out:
        close_way(bridge.name)
    delete_link(bridge.name)


def _leads_out(name: str) -> bool:
    """Whether a bridge leads to the world: others' do where the host forwards, of ours it was noted."""
    if not name.startswith(PREFIX):
        return forwards()
    try:
        return Path("/sys/class/net", name, "ifalias").read_text().strip() == _LEADS_OUT
    except OSError:
        return False


def make_user_bridge(name: str) -> Bridge:
    """Make the bridge that ordinary users' containers share; needs root, and another's is taken as it is."""
    if bridge := existing_bridge(name):
        if name == USER_BRIDGE:
            _ip_batch([f"link set dev {name} address {mac_of(bridge.gateway)}"])
        return bridge
    delete_link(name)
    bridge, lease = create_bridge(name)
    lease.release()
    return bridge


def _subnets() -> Iterator[ipaddress.IPv4Network]:
    """Every subnet once, from a random one on: runs that start together seldom try the same."""
    size = 1 << (32 - SUBNET_PREFIX)
    count = RANGE.num_addresses // size
    start = int.from_bytes(os.urandom(4), "big")
    for step in range(count):
        first = int(RANGE.network_address) + (start + step) % count * size
        yield ipaddress.IPv4Network((first, SUBNET_PREFIX))


def _routed_networks() -> list[ipaddress.IPv4Network]:
    routes = json.loads(_ip_output("-4", "-json", "route", "show", "table", "all") or "[]")
    destinations = [route["dst"] for route in routes if route.get("dst", "default") != "default"]
    return [ipaddress.IPv4Network(destination, strict=False) for destination in destinations]


def _ip_output(*arguments: str) -> str:
    done = subprocess.run([program("ip"), *arguments], check=False, capture_output=True, text=True)
    return done.stdout


def _ip_batch(commands: Sequence[str]) -> None:
    text = "\n".join(commands) + "\n"
    done = subprocess.run([program("ip"), "-batch", "-"], input=text, check=False, capture_output=True, text=True)
    if done.returncode:
        raise HostNotReadyError(
            "the bridge for containers could not be made",
            details=done.stderr.strip(),
            hint="run as root with the kernel modules 'bridge' and 'veth' available; see: lxcontainer doctor",
        )
