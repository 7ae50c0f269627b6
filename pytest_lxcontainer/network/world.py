"""The way from a bridge of ours to the world: one rule by which its containers appear there as the host.

Only root can make it, and only a host that forwards packets (ip-sysctl's ip_forward) lets it serve. Nothing else of the
host's is changed: where its firewall drops what is forwarded, as Docker has it do, containers do not reach the world.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from pathlib import Path

from .programs import found

_FORWARDS = Path("/proc/sys/net/ipv4/ip_forward")
_ROUTES = Path("/proc/net/route")
_DROPS = re.compile(r"hook forward [^\n]*policy drop")
_RULE = """\
add table ip {bridge}
add chain ip {bridge} out {{ type nat hook postrouting priority srcnat; }}
add rule ip {bridge} out ip saddr {subnet} oifname != "{bridge}" masquerade
list chains
"""


def open_way(bridge: str, subnet: ipaddress.IPv4Network) -> bool:
    """Let *subnet*, which is on *bridge*, reach the world, by an nftables table of its name; tells whether it does."""
    nft = found("nft")
    if nft is None or not forwards() or not _leads_anywhere():
        return False
    rule = _RULE.format(bridge=bridge, subnet=subnet)
    done = subprocess.run([nft, "-f", "-"], input=rule, check=False, capture_output=True, text=True)
    if done.returncode:
        return False
    if _DROPS.search(done.stdout):
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
