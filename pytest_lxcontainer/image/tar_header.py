"""Headers of a tar in pax format, as bytes: what a layer that is written here is made of.

`tarfile` takes longer for the headers of a root file system than the disk for its files.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..errors import UnsupportedImageError
from .document import printable

BLOCK = 512
"""Headers and the data of files are padded to a multiple of this."""
END = bytes(2 * BLOCK)
"""What a tar ends with."""

FILE, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = (b"%d" % number for number in range(7))
KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER_DEVICE,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFIFO: FIFO,
}
"""By the type bits of a mode; a tar has none for sockets."""

_SECOND = 1_000_000_000
_OCTAL_ID, _OCTAL_SIZE = 8**7, 8**11
_MAX_RECORDS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TarHeader:
    """One entry: *path* from the tar's root (``""`` is the root), *link* where it leads, *mtime* in nanoseconds.

    *xattrs* are names and values as the entry's owner sees them.
    """

    path: str
    kind: bytes = FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    link: str = ""
    device: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, path: str, status: os.stat_result, kind: bytes | None = None) -> TarHeader:
        """That of a file with *status*; of one that has another name in the tar already, *kind* is `HARD_LINK`."""
        kind = kind or KINDS[stat.S_IFMT(status.st_mode)]
        return cls(
            path,
            kind,
            stat.S_IMODE(status.st_mode),
            status.st_uid,
            status.st_gid,
            status.st_size if kind == FILE else 0,
            status.st_mtime_ns,
            device=status.st_rdev if kind in (CHARACTER_DEVICE, BLOCK_DEVICE) else 0,
        )

    def __bytes__(self) -> bytes:
        """The blocks before its data; `UnsupportedImageError` for what a tar cannot hold."""
        name = os.fsencode(self.path) + (b"/" if self.kind == DIRECTORY else b"") if self.path else b"./"
        target = os.fsencode(self.link)
        needed = [*self._beyond_ustar(name, target), *_attributes(self.xattrs)]
        header = _header(
            name,
            self.kind,
            target,
            (self.mode, self.uid % _OCTAL_ID, self.gid % _OCTAL_ID),
            (self.size % _OCTAL_SIZE, max(0, self.mtime // _SECOND) % _OCTAL_SIZE),
            (os.major(self.device), os.minor(self.device)),
        )
        return _extended(needed, self.path) + header if needed else header

    def with_room(self) -> bytes:
        """The blocks before the data of a file, as many whatever its size is; its name is short and plain."""
        room = _extended([(b"size", b"%019d" % self.size)], self.path)
        return room + bytes(replace(self, size=self.size % _OCTAL_SIZE))

    def _beyond_ustar(self, name: bytes, target: bytes) -> Iterable[tuple[bytes, bytes]]:
        """What the fields of a plain header have no room for."""
        seconds, rest = divmod(self.mtime, _SECOND)
        records = [
            (b"path", name, len(name) > 100 or not name.isascii()),
            (b"linkpath", target, len(target) > 100 or not target.isascii()),
            (b"uid", b"%d" % self.uid, self.uid >= _OCTAL_ID),
            (b"gid", b"%d" % self.gid, self.gid >= _OCTAL_ID),
            (b"size", b"%d" % self.size, self.size >= _OCTAL_SIZE),
            (b"mtime", _time(self.mtime), bool(rest) or not 0 <= seconds < _OCTAL_SIZE),
        ]
        return [(key, value) for key, value, is_needed in records if is_needed]


def padding(size: int) -> bytes:
    """What follows *size* bytes of data."""
    return bytes(-size % BLOCK)


def _attributes(xattrs: Iterable[tuple[str, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    return [(os.fsencode(f"SCHILY.xattr.{name}"), value) for name, value in xattrs]


def _header(
    name: bytes,
    kind: bytes,
    target: bytes,
    narrow: tuple[int, int, int],
    wide: tuple[int, int],
    device: tuple[int, int],
) -> bytes:
    """A ustar header: *narrow* are mode, user and group, *wide* are size and time."""
    if max(device) >= _OCTAL_ID:
        raise UnsupportedImageError(f"the numbers of the device {printable(os.fsdecode(name))} are too large for a tar")
    fields = (
        name[:100].ljust(100, b"\0")
        + b"%07o\0%07o\0%07o\0" % narrow
        + b"%011o\0%011o\0        " % wide
        + kind
        + target[:100].ljust(100, b"\0")
        + b"ustar\x0000".ljust(72, b"\0")
        + b"%07o\0%07o\0" % device
    )
    return (fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]).ljust(BLOCK, b"\0")


def _extended(records: Iterable[tuple[bytes, bytes]], path: str) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    if len(data) >= _MAX_RECORDS:
        raise UnsupportedImageError(f"{printable(path)} has extended attributes of {len(data)} bytes")
    head = _header(b"PaxHeaders/0", b"x", b"", (0o644, 0, 0), (len(data), 0), (0, 0))
    return head + data + padding(len(data))


def _record(key: bytes, value: bytes) -> bytes:
    """``length key=value``, where the length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while (digits := b"%d" % length) and len(digits) + len(rest) != length:
        length = len(digits) + len(rest)
    return digits + rest


def _time(nanoseconds: int) -> bytes:
    sign = b"-" if nanoseconds < 0 else b""
    seconds, rest = divmod(abs(nanoseconds), _SECOND)
    return sign + b"%d" % seconds + (b".%09d" % rest if rest else b"")
