"""Archives that are compressed as a whole: decompressed once, into a file that has no name."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import CorruptImageError, ImageSourceError
from ...image.zstd import load_zstd

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BZIP2_MAGIC = b"BZh"
_XZ_MAGIC = b"\xfd7zXZ\x00"
_LONGEST_MAGIC = 6

_CHUNK = 512 * 1024
_MAX_RATIO = 500
_RATIO_FROM = 4 * 1024**3


def compression(head: bytes) -> str:
    """Return how a file that begins with *head* is compressed: "gzip", "zstd", "bzip2", "xz" or ""."""
    for magic, name in ((GZIP_MAGIC, "gzip"), (ZSTD_MAGIC, "zstd"), (_BZIP2_MAGIC, "bzip2"), (_XZ_MAGIC, "xz")):
        if head.startswith(magic):
            return name
    return ""


def plain(path: Path) -> int:
    """Open *path* for reading, decompressed if need be; the descriptor is the caller's.

    What is decompressed takes its size in the directory for temporary files (``TMPDIR``, else ``/var/tmp``).
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    keep = False
    try:
        kind = compression(os.pread(fd, _LONGEST_MAGIC, 0))
        keep = not kind
        return fd if keep else _decompressed(fd, kind, path)
    finally:
        if not keep:
            os.close(fd)


def _decompressed(fd: int, kind: str, path: Path) -> int:
    import tempfile

    # Not /tmp, which may be memory.
    directory = os.environ.get("TMPDIR") or "/var/tmp"
    chunks = _chunks(fd, kind, path)
    try:
        with tempfile.TemporaryFile(dir=directory) as target:
            for chunk in chunks:
                target.write(chunk)
            target.flush()
            return os.dup(target.fileno())
    except OSError as error:
        raise ImageSourceError(
            f"{path} cannot be decompressed into {directory}: {error.strerror}",
            hint="name a directory with room in TMPDIR, or decompress the archive yourself",
            path=str(path),
        ) from error


def _chunks(fd: int, kind: str, path: Path) -> Iterator[bytes]:
    opener, damages = _reader(kind)
    size = os.fstat(fd).st_size
    most = max(_RATIO_FROM, size * _MAX_RATIO)
    total = 0
    try:
        with open(fd, "rb", closefd=False) as compressed, opener(compressed) as source:
            while chunk := source.read(_CHUNK):
                total += len(chunk)
                if total > most:
                    raise CorruptImageError(f"{path} of {size} bytes grows beyond {most} bytes when it is decompressed")
                yield chunk
    except damages as error:
        raise CorruptImageError(f"{path} is damaged: its {kind} stream cannot be read", details=str(error)) from None


def _reader(kind: str) -> tuple[Callable[[Any], Any], tuple[type[Exception], ...]]:
    """What opens a file of this *kind*, and what it raises for a damaged one."""
    if kind == "gzip":
        import gzip

        return gzip.open, (EOFError, zlib.error, gzip.BadGzipFile)
    if kind == "bzip2":
        import bz2

        return bz2.open, (EOFError, OSError, ValueError)
    if kind == "xz":
        import lzma

        return lzma.open, (EOFError, lzma.LZMAError)
    zstd = load_zstd("the archive")
    return zstd.open, (EOFError, zstd.ZstdError)
