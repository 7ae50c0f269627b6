"""The way from a bridge of ours to the world: one rule by which its containers appear there as the host.

Only root can make it, and only a host that forwards packets (ip-sysctl's ip_forward) lets it serve. Nothing else of the
host's is changed: where its firewall drops what is forwarded, as Docker has it do, containers do not reach the world.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .programs import found

_FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")
_ROUTES = Path("/proc/net/route")
_DROPPING = re.compile(r"table (\w+ \S+) \{|chain (\S+) \{|hook forward [^\n]*policy drop")
_RULE = """\
add table ip {bridge}
add chain ip {bridge} out {{ type nat hook postrouting priority srcnat; }}
add rule ip {bridge} out ip saddr {subnet} oifname != "{bridge}" masquerade
list chains
"""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What keeps a host's containers from the world: nothing where none is true, and no chain drops what is forwarded.

    *dropping* are the chains of the firewall that do, as ``ip filter FORWARD``; only root sees them.
    """

    lacks_nft: bool = False
    forwards_nothing: bool = False
    has_no_route: bool = False
    dropping: tuple[str, ...] = ()


def obstacles() -> Obstacles:
    """Those of this host."""
    nft = found("nft")
    listed = subprocess.run([nft, "list", "chains"], check=False, capture_output=True, text=True).stdout if nft else ""
    return Obstacles(nft is None, not forwards(), not _leads_anywhere(), dropping_chains(listed))


def dropping_chains(listed: str) -> tuple[str, ...]:
    """Which of the chains that ``nft list chains`` has *listed* drop whatever forwarded packet they do not accept."""
    dropping, table, chain = [], "", ""
    for match in _DROPPING.finditer(listed):
        if match[1]:
            table = match[1]
        elif match[2]:
            chain = match[2]
        else:
            dropping.append(f"{table} {chain}")
    return tuple(dropping)


def open_way(bridge: str, subnet: ipaddress.IPv4Network) -> bool:
    """Let *subnet*, which is on *bridge*, reach the world, by an nftables table of its name; tells whether it does."""
    nft = found("nft")
    if nft is None or not forwards() or not _leads_anywhere():
        return False
    rule = _RULE.format(bridge=bridge, subnet=subnet)
    done = subprocess.run([nft, "-f", "-"], input=rule, check=False, capture_output=True, text=True)
    if done.returncode or dropping_chains(done.stdout):
        # What has been added stays where only the list has failed.
        close_way(bridge)
        return False
    return True


def close_way(bridge: str) -> None:
    """Undo `open_way`; what is not there is fine."""
    if nft := found("nft"):
        subprocess.run([nft, "delete", "table", "ip", bridge], check=False, capture_output=True)


def forwards() -> bool:
    """Whether the host passes on what is not for itself."""
    return _FORWARDS.read_text().strip() == "1"


def _leads_anywhere() -> bool:
    """Whether the host itself has a way to the world: a default route, in the form of proc_net_route(5)."""
    lines = (line.split() for line in _ROUTES.read_text().splitlines()[1:])
    return any(fields[1] == fields[7] == "00000000" for fields in lines)
