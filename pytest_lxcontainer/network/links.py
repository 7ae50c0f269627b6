"""Moving network interfaces between the host and a container, as command lines of iproute2's ``ip``.

A container's network namespace is named by a process in it.
"""

from __future__ import annotations

import os

from .programs import program


def into_namespace(name: str, pid: int, inside: str) -> list[str]:
    """Move the host's interface *name* to where process *pid* is, as *inside*."""
    return [program("ip"), "link", "set", "dev", name, "down", "name", inside, "netns", str(pid)]


def give_address(pid: int, name: str, address: str) -> list[str]:
    """Give interface *name* where process *pid* is an *address* with its prefix length."""
    return [*_at(pid), "address", "add", address, "dev", name]


def switch_on(pid: int, name: str) -> list[str]:
    """Switch interface *name* on where process *pid* is."""
    return [*_at(pid), "link", "set", "dev", name, "up"]


def out_of_namespace(inside: str, pid: int, name: str) -> list[str]:
    """Move interface *inside* from where process *pid* is to where this one is, as *name*."""
    return [*_at(pid), "link", "set", "dev", inside, "down", "name", name, "netns", str(os.getpid())]


def _at(pid: int) -> list[str]:
    return [program("nsenter"), f"--net=/proc/{pid}/ns/net", program("ip")]
