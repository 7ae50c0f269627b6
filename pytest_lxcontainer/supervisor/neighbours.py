"""Which containers of a run reach one another, and by what names.

A *group* is where a container belongs: from the whole run by way of session and module down to a test. It reaches those
of the same place, those above it, which serve it, and those below it, whom it serves. On a further network it reaches
whoever of the same place is on that one too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..container.spec import DEFAULT_NETWORK
from ..network import names

if TYPE_CHECKING:
    from .life import Life

Group = tuple[str, ...]
_Lives = dict["Life", None]


class Neighbours:
    """Containers by where they belong."""

    def __init__(self) -> None:
        self._in: dict[Group, _Lives] = {}
        self._on: dict[tuple[Group, str], _Lives] = {}
        self._below: dict[Group, _Lives] = {}

    def join(self, life: Life) -> None:
        """Add *life*."""
        for index, key in self._keys(life):
            index.setdefault(key, {})[life] = None

    def leave(self, life: Life) -> None:
        """Remove *life*."""
        for index, key in self._keys(life):
            lives = index[key]
            del lives[life]
            if not lives:
                del index[key]

    def of(self, life: Life) -> list[Life]:
        """Those that *life* reaches, in the order in which they came."""
        group = life.spec.group
        found: _Lives = {}
        if DEFAULT_NETWORK in life.spec.networks:
            for above in _above(group):
                found |= self._on.get((above, DEFAULT_NETWORK), {})
            found |= self._below.get(group, {})
        for name in life.spec.networks:
            found |= self._on.get((group, name), {})
        found.pop(life, None)
        return list(found)

    def has(self, group: Group) -> bool:
        """Whether somebody is in just this *group*."""
        return group in self._in

    def write_hosts(self, life: Life) -> None:
        """Bring its /etc/hosts up to date, in place, since it is bind-mounted."""
        entries = [
            (str(address), (each.spec.hostname, *each.spec.aliases))
            for each in (life, *self.of(life))
            for address in addresses_of([each])
        ]
        _rewrite(life.files / "hosts", names.hosts(entries))

    def _keys(self, life: Life) -> Iterator[tuple[dict[Any, _Lives], Any]]:
        group = life.spec.group
        yield self._in, group
        for name in life.spec.networks:
            yield self._on, (group, name)
        if DEFAULT_NETWORK in life.spec.networks:
            for above in _above(group):
                yield self._below, above


def addresses_of(lives: Iterable[Life]) -> list[IPv4Address]:
    """The addresses of those that have one."""
    return [life.address.address for life in lives if life.address is not None]


def _above(group: Group) -> Iterator[Group]:
    for length in range(1, len(group)):
        yield group[:length]


def _rewrite(path: Path, text: str) -> None:
    """Replace a file's content without another inode and without a moment in which it is empty."""
    data = text.encode()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
