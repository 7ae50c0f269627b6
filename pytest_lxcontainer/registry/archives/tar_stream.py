"""A directory as a tar that is the same whenever the directory is: in pax format, sorted, times to nanoseconds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace

from ...image.tar_header import DIRECTORY, END, FILE, HARD_LINK, SYMLINK, TarHeader, padding
from .tree import Node, Tree, changed, refusals

_CHUNK = 512 * 1024
_SHIFTED_FROM, _IDS = 65536, 65536
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
    yield bytes(buffer) + END


def _pieces(tree: Tree) -> Iterator[bytes]:
    first_names: dict[tuple[int, int], str] = {}
    owners: Owners | None = None
    for node in tree.nodes():
        owners = owners or Owners(node.status)
        identity = (node.status.st_dev, node.status.st_ino)
        if node.status.st_nlink > 1 and not stat.S_ISDIR(node.status.st_mode):
            first = first_names.setdefault(identity, node.path)
            if first != node.path:
                yield bytes(replace(_header(node, owners, HARD_LINK), link=first))
                continue
        with refusals(tree.path, node.path):
            yield from _entry(node, owners)


def _entry(node: Node, owners: Owners) -> Iterator[bytes]:
    header = _header(node, owners)
    if header.kind == SYMLINK:
        yield bytes(replace(header, link=node.readlink()))
    elif header.kind in (FILE, DIRECTORY):
        fd = node.open()
        try:
            yield bytes(replace(header, xattrs=_xattrs(fd)))
            if header.kind == FILE:
                yield from _data(node, fd)
        finally:
            os.close(fd)
    else:
        yield bytes(header)


def _header(node: Node, owners: Owners, kind: bytes | None = None) -> TarHeader:
    uid, gid = owners.of(node.status)
    return replace(TarHeader.of(node.path, node.status, kind), uid=uid, gid=gid)


def _data(node: Node, fd: int) -> Iterator[bytes]:
    left = node.status.st_size
    while left:
        chunk = os.read(fd, min(_CHUNK, left))
        if not chunk:
            raise changed(node.path)
        left -= len(chunk)
        yield chunk
    yield padding(node.status.st_size)


def _xattrs(fd: int) -> tuple[tuple[str, bytes], ...]:
    """What an image may carry: not the host's labels, nor what overlayfs keeps for itself."""
    try:
        names = os.listxattr(fd)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return ()
    kept = [name for name in names if name in _KEPT_XATTRS or (name.startswith("user.") and ".overlay." not in name)]
    return tuple((name, _value(name, os.getxattr(fd, name))) for name in sorted(kept))


def _value(name: str, value: bytes) -> bytes:
    # Version 3 is version 2 and the user namespace's root, which is another one in the container; capabilities(7).
    return value[:3] + b"\x02" + value[4:20] if name == _CAPABILITY and value[3:4] == b"\x03" else value
