"""The files in /etc by which a container finds itself, its peers and the world."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from pathlib import Path

_LOOPBACK = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def hosts(entries: Iterable[tuple[str, Iterable[str]]]) -> str:
    """The text of /etc/hosts for *entries* of (address, names), in the form of hosts(5)."""
    lines = [f"{address}\t{' '.join(dict.fromkeys(names))}\n" for address, names in entries]
    return _LOOPBACK + "".join(lines)


def resolv_conf(text: str) -> str:
    """The host's resolv.conf(5) without name servers on the host's loopback, which a container cannot reach."""
    return "".join(f"{line}\n" for line in text.splitlines() if not _is_loopback_server(line))


def host_resolv_conf() -> str:
    """`resolv_conf` of this host; behind systemd-resolved's stub, of what that asks itself."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        try:
            text = resolv_conf(Path(path).read_text())
        except OSError:
            continue
        if "nameserver" in text:
            return text
    return ""


def _is_loopback_server(line: str) -> bool:
    fields = line.split()
    if len(fields) < 2 or fields[0] != "nameserver":
        return False
    try:
        return ipaddress.ip_address(fields[1].partition("%")[0]).is_loopback
    except ValueError:
        return False
