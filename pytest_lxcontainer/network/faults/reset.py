"""Ending TCP connections from outside, so that both ends notice at once; see ss(8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from .programs import run


def reset(peers: Sequence[IPv4Address], ports: Sequence[int]) -> None:
    """Reset this network namespace's connections with any of *peers*, with any of *ports* at either end.

    None named means all of them. Those on loopback stay.
    """
    run("ss", "-K", "-H", "-n", "-t", "state", "connected", "exclude", "time-wait", selecting(peers, ports))


def selecting(peers: Sequence[IPv4Address], ports: Sequence[int]) -> str:
    """The choice of sockets, as ss(8) reads it."""
    conditions = ["( not dst 127.0.0.0/8 and not dst [::1] )"]
    if peers:
        conditions.append(_any(f"dst {peer}" for peer in peers))
    if ports:
        conditions.append(_any(f"{end} = :{port}" for port in ports for end in ("sport", "dport")))
    return " and ".join(conditions)


def _any(conditions: Iterable[str]) -> str:
    return f"( {' or '.join(conditions)} )"
