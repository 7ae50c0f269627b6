"""Which ids of the host stand for a container's ids.

https://man7.org/linux/man-pages/man7/user_namespaces.7.html and
https://man7.org/linux/man-pages/man5/subuid.5.html
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import HostNotReadyError

SUBUID = Path("/etc/subuid")
SUBGID = Path("/etc/subgid")

ROOT_BASE = 0x70000000
"""Where root's containers live without an entry of root's own: above the ranges that distributions
(100000 up) and systemd-nspawn (0x00080000 to 0x6FFFFFFF) hand out, and still a positive 32-bit number."""
FIRST_SUBORDINATE = 100000
"""Where distributions begin to hand ids out (SUB_UID_MIN of login.defs(5))."""
ID_COUNT = 65536
"""The ids an ordinary image may use: 0 to 65535, so that nobody (65534) is among them."""


@dataclass(frozen=True, slots=True)
class IdRange:
    """*count* ids from *inside* up stand for as many of the host's from *outside* up."""

    inside: int
    outside: int
    count: int

    def __str__(self) -> str:
        return f"{self.inside} {self.outside} {self.count}"


@dataclass(frozen=True, slots=True)
class IdMap:
    """The ids of one user namespace; without ranges, no user namespace at all."""

    uid_ranges: tuple[IdRange, ...] = ()
    gid_ranges: tuple[IdRange, ...] = ()

    @classmethod
    def identity(cls) -> IdMap:
        """Return the map of a privileged container: every id is the host's."""
        return cls()

    @classmethod
    def for_host(cls, *, subuid: Path = SUBUID, subgid: Path = SUBGID) -> IdMap:
        """Return the map that fits whoever runs this process."""
        uid = os.geteuid()
        if uid == 0:
            return cls.for_root(subuid=subuid, subgid=subgid)
        return cls.for_user(uid, os.getegid(), _user_name(uid), subuid=subuid, subgid=subgid)

    @classmethod
    def for_root(cls, *, subuid: Path = SUBUID, subgid: Path = SUBGID) -> IdMap:
        """Return root's map: its subordinate ids where it was given some, else a range of our own."""
        uids = _subordinate(subuid, 0, "root", ID_COUNT) or (ROOT_BASE, ID_COUNT)
        gids = _subordinate(subgid, 0, "root", ID_COUNT) or (ROOT_BASE, ID_COUNT)
        return cls((IdRange(0, uids[0], ID_COUNT),), (IdRange(0, gids[0], ID_COUNT),))

    @classmethod
    def for_user(cls, uid: int, gid: int, name: str, *, subuid: Path = SUBUID, subgid: Path = SUBGID) -> IdMap:
        """Return the map of an ordinary user: root inside is the user, all others subordinate ids.

        Raises `HostNotReadyError` where the user has fewer than 65535 of them.
        """
        uids = _subordinate(subuid, uid, name, ID_COUNT - 1)
        gids = _subordinate(subgid, uid, name, ID_COUNT - 1)
        if uids is None or gids is None:
            lacking = subuid if uids is None else subgid
            raise HostNotReadyError(
                f"user {name} has no {ID_COUNT - 1} subordinate ids in {lacking}",
                hint=f"as root: {command_for_ids(name, subuid=subuid, subgid=subgid)}",
            )
        return cls((IdRange(0, uid, 1), IdRange(1, *uids)), (IdRange(0, gid, 1), IdRange(1, *gids)))

    @property
    def is_identity(self) -> bool:
        """Whether there is no user namespace."""
        return not self.uid_ranges

    @property
    def variant(self) -> str:
        """A short name for this map, for what differs with it on disk (cache keys)."""
        if self.is_identity:
            return "host"
        return f"{zlib.crc32(repr(self.lxc_items()).encode()):08x}"

    def lxc_items(self) -> tuple[tuple[str, str], ...]:
        """Return the ``lxc.idmap`` lines of a container's configuration, none for the identity."""
        uids = tuple(("lxc.idmap", f"u {item}") for item in self.uid_ranges)
        return uids + tuple(("lxc.idmap", f"g {item}") for item in self.gid_ranges)

    def host_uid(self, inside: int) -> int:
        """Return the host's uid for the container's, or raise `ValueError` where it has none."""
        return _outside(self.uid_ranges, inside)

    def host_gid(self, inside: int) -> int:
        """Return the host's gid for the container's, or raise `ValueError` where it has none."""
        return _outside(self.gid_ranges, inside)


def command_for_ids(name: str, *, subuid: Path = SUBUID, subgid: Path = SUBGID) -> str:
    """Return the command that gives user *name* subordinate ids which nobody has in either file."""
    first = FIRST_SUBORDINATE
    for start, count in sorted((*_ranges_in(subuid), *_ranges_in(subgid))):
        if start < first + ID_COUNT:
            first = max(first, start + count)
    free = f"{first}-{first + ID_COUNT - 1}"
    return f"usermod --add-subuids {free} --add-subgids {free} {name}"


def _ranges_in(path: Path) -> list[tuple[int, int]]:
    return [(start, count) for _, start, count in _entries(path)]


def _outside(ranges: Sequence[IdRange], inside: int) -> int:
    if not ranges:
        return inside
    for item in ranges:
        if item.inside <= inside < item.inside + item.count:
            return item.outside + inside - item.inside
    raise ValueError(f"id {inside} is outside the container's ids")


def _subordinate(path: Path, uid: int, name: str, needed: int) -> tuple[int, int] | None:
    """Return the first range in *path* that belongs to the user and has *needed* ids."""
    own = ((start, count) for owner, start, count in _entries(path) if owner in (name, str(uid)))
    return next(((start, count) for start, count in own if count >= needed), None)


def _entries(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield owner, first id and count of each line that is in the form of subuid(5)."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        owner, _, numbers = line.strip().partition(":")
        start, _, count = numbers.partition(":")
        if start.isdecimal() and count.isdecimal():
            yield owner, int(start), int(count)


def _user_name(uid: int) -> str:
    # Here, since only an ordinary user's map needs the user database.
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
