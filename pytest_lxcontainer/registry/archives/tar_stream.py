"""A directory as a tar stream that is the same whenever the directory is: in pax format, sorted, times to nanoseconds.

`tarfile` takes longer for the headers of a root file system than the disk for its files.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from ...errors import UnsupportedImageError
from ...image.document import printable
from .tree import Node, Tree, changed, refusals

_BLOCK = 512
_CHUNK = 512 * 1024
_SECOND = 1_000_000_000
_END = bytes(2 * _BLOCK)
_OCTAL_ID, _OCTAL_SIZE = 8**7, 8**11
_SHIFTED_FROM, _IDS = 65536, 65536
_KINDS = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_CAPABILITY = "security.capability"
_KEPT_XATTRS = (_CAPABILITY, "system.posix_acl_access", "system.posix_acl_default")


class Owners:
    """Whose an entry is in the image, by its owner on the host; *root* is the status of the tree's root.

    A tree made in a user namespace is shifted back by what its root is shifted; in an ordinary user's own tree, what is
    the user's is root's, as it is in a user namespace of theirs.
    """

    def __init__(self, root: os.stat_result) -> None:
        self._shift = (root.st_uid, root.st_gid)
        mine = os.geteuid() if root.st_uid == os.geteuid() else 0
        self._mine = (mine, os.getegid() if mine else 0)

    def of(self, status: os.stat_result) -> tuple[int, int]:
        """Return user and group."""
        return self._mapped(0, status.st_uid), self._mapped(1, status.st_gid)

    def _mapped(self, which: int, number: int) -> int:
        if number == self._mine[which]:
            return 0
        shift = self._shift[which]
        return number - shift if shift >= _SHIFTED_FROM and shift <= number < shift + _IDS else number


def tar_stream(tree: Tree) -> Iterator[bytes]:
    """Yield the tar of *tree* in chunks of some hundred KiB; `tree.state` is then that of what was read."""
    buffer = bytearray()
    for piece in _pieces(tree):
        buffer += piece
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + _END


def _pieces(tree: Tree) -> Iterator[bytes]:
    first_names: dict[tuple[int, int], str] = {}
    owners: Owners | None = None
    for node in tree.nodes():
        owners = owners or Owners(node.status)
        identity = (node.status.st_dev, node.status.st_ino)
        if node.status.st_nlink > 1 and not stat.S_ISDIR(node.status.st_mode):
            first = first_names.setdefault(identity, node.path)
            if first != node.path:
                yield _headers(node, owners, kind=b"1", link=first)
                continue
        with refusals(tree.path, node.path):
            yield from _entry(node, owners)


def _entry(node: Node, owners: Owners) -> Iterator[bytes]:
    kind = _KINDS[stat.S_IFMT(node.status.st_mode)]
    if kind == b"2":
        yield _headers(node, owners, kind, link=node.readlink())
    elif kind in (b"0", b"5"):
        fd = node.open()
        try:
            yield _headers(node, owners, kind, xattrs=_xattrs(fd))
            if kind == b"0":
                yield from _data(node, fd)
        finally:
            os.close(fd)
    else:
        yield _headers(node, owners, kind)


def _data(node: Node, fd: int) -> Iterator[bytes]:
    left = node.status.st_size
    while left:
        chunk = os.read(fd, min(_CHUNK, left))
        if not chunk:
            raise changed(node.path)
        left -= len(chunk)
        yield chunk
    yield bytes(-node.status.st_size % _BLOCK)


def _xattrs(fd: int) -> list[tuple[bytes, bytes]]:
    """What an image may carry: not the host's labels, nor what overlayfs keeps for itself."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return []
    kept = [name for name in names if name in _KEPT_XATTRS or (name.startswith("user.") and ".overlay." not in name)]
    return [(os.fsencode(f"SCHILY.xattr.{name}"), _value(name, os.getxattr(fd, name))) for name in sorted(kept)]


def _value(name: str, value: bytes) -> bytes:
    # Version 3 is version 2 and the user namespace's root, which is another one in the container; capabilities(7).
    return value[:3] + b"\x02" + value[4:20] if name == _CAPABILITY and value[3:4] == b"\x03" else value


def _headers(
    node: Node, owners: Owners, kind: bytes, *, link: str = "", xattrs: list[tuple[bytes, bytes]] | None = None
) -> bytes:
    status = node.status
    uid, gid = owners.of(status)
    name = os.fsencode(node.path) + (b"/" if kind == b"5" else b"") if node.path else b"./"
    target = os.fsencode(link)
    size = status.st_size if kind == b"0" else 0
    seconds, rest = divmod(status.st_mtime_ns, _SECOND)
    records = [
        (b"path", name, len(name) > 100 or not name.isascii()),
        (b"linkpath", target, len(target) > 100 or not target.isascii()),
        (b"uid", b"%d" % uid, uid >= _OCTAL_ID),
        (b"gid", b"%d" % gid, gid >= _OCTAL_ID),
        (b"size", b"%d" % size, size >= _OCTAL_SIZE),
        (b"mtime", _time(status.st_mtime_ns), bool(rest) or not 0 <= seconds < _OCTAL_SIZE),
    ]
    needed = [(key, value) for key, value, is_needed in records if is_needed] + (xattrs or [])
    header = _header(
        name,
        kind,
        target,
        (stat.S_IMODE(status.st_mode), uid % _OCTAL_ID, gid % _OCTAL_ID),
        (size % _OCTAL_SIZE, max(0, seconds) % _OCTAL_SIZE),
        (os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in b"34" else (0, 0),
    )
    return _extended(needed, printable(node.path)) + header if needed else header


def _header(
    name: bytes,
    kind: bytes,
    link: bytes,
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
        + link[:100].ljust(100, b"\0")
        + b"ustar\x0000".ljust(72, b"\0")
        + b"%07o\0%07o\0" % device
    )
    return (fields[:148] + b"%06o\0 " % sum(fields) + fields[156:]).ljust(_BLOCK, b"\0")


def _extended(records: list[tuple[bytes, bytes]], path: str) -> bytes:
    data = b"".join(_record(key, value) for key, value in records)
    if len(data) >= 4 * 1024 * 1024:
        raise UnsupportedImageError(f"{path} has extended attributes of {len(data)} bytes")
    head = _header(b"PaxHeaders/0", b"x", b"", (0o644, 0, 0), (len(data), 0), (0, 0))
    return head + data + bytes(-len(data) % _BLOCK)


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
