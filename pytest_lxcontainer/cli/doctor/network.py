"""Networks: how far containers reach, and what a test can make them suffer. Containers run without either."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...errors import HostNotReadyError
from ...network.bridge import USER_BRIDGE, Bridge
from ...network.faults import Abilities, Fault, Kind
from ...network.faults.fault import KINDS
from ...network.faults.serve import divide
from ...network.programs import found
from ...network.world import Obstacles
from .finding import Finding, note, ok

_WORLD = "way to the world"

Has = Callable[[str], bool]
"""Whether this host has a program, or a module for its kernel."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One of the ways to have faults: *needs* are modules by the ability that they are for, *program* uses them."""

    name: str
    program: str
    package: str
    needs: Mapping[str, str]


_IN_KERNEL = _Way(
    "faults in the kernel",
    "tc",
    "iproute2",
    {"netem": "sch_netem", "htb": "sch_htb", "ifb": "ifb", "redirects": "sch_ingress cls_bpf act_mirred"},
)
_IN_PROCESS = _Way(
    "faults in a process",
    "nft",
    "nftables",
    {"nftables": "nf_tables", "copies": "nft_dup_ipv4", "nfqueue": "nfnetlink_queue", "queue_statement": "nft_queue"},
)


def check_world(what: Obstacles) -> Finding:
    """Whether containers on a bridge that root makes reach what the host reaches."""
    if what.lacks_nft:
        return _none_beyond("nft is not installed", "apt-get install -y nftables")
    if what.forwards_nothing:
        return _none_beyond("it forwards no packets", "sysctl -w net.ipv4.ip_forward=1")
    if what.has_no_route:
        return _none_beyond("it has no default route itself")
    if what.dropping:
        commands = [f"nft 'add chain {chain} {{ policy accept; }}'" for chain in what.dropping]
        return _none_beyond(f"its firewall drops what is forwarded ({', '.join(what.dropping)})", " && ".join(commands))
    return ok(_WORLD, "containers reach it as the host does")


def check_user_world(bridge: Bridge, what: Obstacles, user: str) -> Finding:
    """Whether containers of an ordinary *user* on *bridge* do; one of ours has to be made anew when that changes."""
    if bridge.leads_out:
        return ok(_WORLD, f"containers on {bridge.name} reach it as the host does")
    finding = check_world(what)
    if bridge.name != USER_BRIDGE:
        return finding
    again = f"ip link delete {bridge.name} && lxcontainer doctor --fix --user {user}"
    if finding.verdict == "ok":
        return _none_beyond(f"{bridge.name} was made when it did not let them, or its firewall does not", again)
    return _none_beyond(finding.found.partition(": ")[2], f"{finding.command} && {again}" if finding.command else "")


def _none_beyond(why: str, command: str = "") -> Finding:
    return note(_WORLD, f"containers reach no further than the host: {why}", command)


def check_faults(
    abilities: Abilities, is_installed: Has = lambda name: found(name) is not None, is_module: Has | None = None
) -> list[Finding]:
    """What faults a test can have here, and each of the two ways to them; one is enough for most."""
    is_module = is_module or _can_be_loaded
    return [
        _all_in_all(abilities),
        *(_check_way(way, abilities, is_installed, is_module) for way in (_IN_KERNEL, _IN_PROCESS)),
    ]


def _all_in_all(abilities: Abilities) -> Finding:
    lacking = [kind for kind in KINDS if not _can_be(kind, abilities)]
    if len(lacking) == len(KINDS):
        return note("network faults", "none; see below")
    lacking_too = [] if abilities.destroys else ["reset"]
    if lacking or lacking_too:
        return note("network faults", f"all but {', '.join([*lacking, *lacking_too])}")
    return ok("network faults", "all")


def _can_be(kind: Kind, abilities: Abilities) -> bool:
    try:
        divide([Fault(kind, "both", amount=1e6 if kind == "rate" else 1.0)], abilities)
    except HostNotReadyError:
        return False
    return True


def _check_way(way: _Way, abilities: Abilities, is_installed: Has, is_module: Has) -> Finding:
    missing = [ability for ability in way.needs if not getattr(abilities, ability)]
    if way is _IN_PROCESS and abilities.queue_target:
        # The other form of the same rule.
        missing = [ability for ability in missing if ability != "queue_statement"]
    if not missing:
        return ok(way.name, "possible")
    if not is_installed(way.program):
        return note(way.name, f"{way.program} is not installed", f"apt-get install -y {way.package}")
    modules = " ".join(way.needs[ability] for ability in missing).split()
    if all(map(is_module, modules)):
        return note(way.name, f"not loaded: {', '.join(modules)}", f"modprobe -a {' '.join(modules)}")
    return note(way.name, f"not in this kernel: {', '.join(modules)}")


def _can_be_loaded(module: str) -> bool:
    modprobe = found("modprobe")
    return modprobe is not None and subprocess.run([modprobe, "-nq", module], check=False).returncode == 0
