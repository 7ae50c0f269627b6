"""Writing a layer's directory as a tar, as `unpack` reads it: the same bytes whenever the directory is the same.

Whiteouts become those of https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts; owners, modes,
times to the nanosecond, extended attributes and hard links are as whoever packs sees them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from ..errors import StoreError
from ..image.digest import Digest, sha256_of
from ..image.tar_header import DIRECTORY, END, FILE, HARD_LINK, SYMLINK, TarHeader, padding
from .attributes import HOST_XATTRS
from .merged import OPEN_DIR
from .whiteout import (
    OCI_OPAQUE_NAME,
    OCI_WHITEOUT_PREFIX,
    is_oci_whiteout,
    is_opaque,
    is_overlay_whiteout,
    is_overlay_xattr,
)

_CHUNK = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written: the digest of the tar, which is the layer's *diff_id*, and its *size* in bytes."""

    diff_id: Digest
    size: int


def pack(source_fd: int, target_fd: int) -> Packed:
    """Write the layer in the directory *source_fd*, which nobody changes meanwhile, into the open file *target_fd*.

    Left out are sockets, what only a host knows (labels), and names that begin with ``.wh.``, which a layer has no way
    to hold. Raises `UnsupportedImageError` for what a tar cannot hold, and `StoreError`.
    """
    verifier = sha256_of(b"").verifier()
    size = 0
    for chunk in _chunks(_Packer(source_fd).pieces()):
        verifier.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target_fd, view) :]
        size += len(chunk)
    return Packed(verifier.actual, size)


def _chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """*pieces* in larger ones: most are headers."""
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= _CHUNK:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + END


class _Packer:
    """One walk through a layer's directory. It keeps one directory open: there may be thousands in one another."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._linked: dict[tuple[int, int], str] = {}

    def pieces(self) -> Iterator[bytes]:
        """The tar, but for its end."""
        fd = os.dup(self._root)
        try:
            yield from self._directory("", fd)
            trail = [("", _names(fd))]
            while trail:
                path, names = trail[-1]
                if not names:
                    trail.pop()
                    if trail:
                        fd = _moved("..", fd)
                    continue
                name = names.pop()
                inner = f"{path}/{name}" if path else name
                status = os.lstat(name, dir_fd=fd)
                if stat.S_ISDIR(status.st_mode):
                    fd = _moved(name, fd)
                    yield from self._directory(inner, fd)
                    trail.append((inner, _names(fd)))
                else:
                    yield from self._entry(inner, path, name, fd, status)
        finally:
            os.close(fd)

    def _directory(self, path: str, fd: int) -> Iterator[bytes]:
        yield bytes(replace(TarHeader.of(path, os.fstat(fd), DIRECTORY), xattrs=_xattrs(fd)))
        if is_opaque(fd):
            yield bytes(TarHeader(f"{path}/{OCI_OPAQUE_NAME}" if path else OCI_OPAQUE_NAME))

    def _entry(self, path: str, parent: str, name: str, fd: int, status: os.stat_result) -> Iterator[bytes]:
        """What is no directory."""
        if stat.S_ISSOCK(status.st_mode):
            return
        if is_overlay_whiteout(status):
            yield bytes(TarHeader(f"{parent}/{OCI_WHITEOUT_PREFIX}{name}" if parent else OCI_WHITEOUT_PREFIX + name))
            return
        if status.st_nlink > 1:
            first = self._linked.setdefault((status.st_dev, status.st_ino), path)
            if first != path:
                yield bytes(replace(TarHeader.of(path, status, HARD_LINK), link=first))
                return
        header = TarHeader.of(path, status)
        if header.kind == FILE:
            yield from _file(header, name, fd)
            return
        if header.kind == SYMLINK:
            header = replace(header, link=os.readlink(name, dir_fd=fd))
        yield bytes(replace(header, xattrs=_xattrs(f"/proc/self/fd/{fd}/{name}")))


def _file(header: TarHeader, name: str, dir_fd: int) -> Iterator[bytes]:
    fd = os.open(name, _READ, dir_fd=dir_fd)
    try:
        with suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield bytes(replace(header, xattrs=_xattrs(fd)))
        left = header.size
        while left:
            chunk = os.read(fd, min(_CHUNK, left))
            if not chunk:
                raise StoreError(f"{header.path} of a layer became shorter while it was read")
            left -= len(chunk)
            yield chunk
        yield padding(header.size)
    finally:
        os.close(fd)


def _names(fd: int) -> list[str]:
    """The names in a directory, last first; those that only a layer's tar gives a meaning are not a container's."""
    return sorted((name for name in os.listdir(fd) if not is_oci_whiteout(name)), key=os.fsencode, reverse=True)


def _xattrs(target: int | str) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes of an open file, or of what is at a path, but for overlayfs' and the host's own."""
    follow = not isinstance(target, str)
    try:
        names = os.listxattr(target, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return ()
    kept = sorted(name for name in names if not is_overlay_xattr(name) and name not in HOST_XATTRS)
    return tuple((name, os.getxattr(target, name, follow_symlinks=follow)) for name in kept)


def _moved(name: str, fd: int) -> int:
    """Open the directory *name* in *fd*, and close that."""
    inner = os.open(name, OPEN_DIR, dir_fd=fd)
    os.close(fd)
    return inner
