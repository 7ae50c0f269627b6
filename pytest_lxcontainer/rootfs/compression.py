"""A layer's blob as the stream of its uncompressed bytes.

Media types are not trusted: images exist whose layers are compressed otherwise than they say.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Protocol

from ..errors import CorruptImageError, UnsafeLayerError, UnsupportedImageError
from ..image.zstd import load_zstd
from .limits import Limits

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# Frames 0x184D2A50 to 0x184D2A5F, little endian: zstd:chunked layers may start with one.
ZSTD_SKIPPABLE_MAGIC = b"\x2a\x4d\x18"
OTHER_MAGIC = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x04\x22\x4d\x18": "lz4"}

READ_SIZE = 128 * 1024
CHUNK_SIZE = 1024 * 1024
"""The most bytes that are in memory decompressed at once."""

GZIP_WBITS = 31


class Decompressor(Protocol):
    """One member or frame, in the manner of `bz2.BZ2Decompressor`."""

    @property
    def eof(self) -> bool:
        """Whether its end was reached."""

    @property
    def needs_input(self) -> bool:
        """Whether it can go on only with more compressed bytes."""

    @property
    def unused_data(self) -> bytes:
        """What was given to it beyond its end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Take *data* and return up to *max_length* bytes."""


def uncompressed(fd: int, limits: Limits | None = None) -> Iterator[bytes]:
    """Yield the uncompressed bytes of the blob open at *fd*, in chunks of up to `CHUNK_SIZE`.

    Raises `CorruptImageError`, `UnsupportedImageError` for a compression nobody here knows, and
    `UnsafeLayerError` past the *limits*.
    """
    limits = limits or Limits()
    first = os.read(fd, READ_SIZE)
    return _bounded(_chunks(fd, first), os.fstat(fd).st_size, limits)


def _chunks(fd: int, first: bytes) -> Iterator[bytes]:
    if first.startswith(GZIP_MAGIC):
        return _members(fd, first, *_gzip())
    if first.startswith(ZSTD_MAGIC) or first[1:4] == ZSTD_SKIPPABLE_MAGIC:
        zstd = load_zstd("a layer")
        return _members(fd, first, zstd.ZstdDecompressor, zstd.ZstdError)
    for magic, name in OTHER_MAGIC.items():
        if first.startswith(magic):
            raise UnsupportedImageError(f"a layer is compressed with {name}, which no image layer may be")
    return _plain(fd, first)


def preload() -> None:
    """Import what decompression needs while its files can still be read; not having it is no error yet."""
    _gzip()
    with suppress(UnsupportedImageError):
        load_zstd("a layer")


class _Gzip:
    """zlib's own object under the names that all other decompressors use."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(GZIP_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _gzip() -> tuple[Callable[[], Decompressor], type[Exception]]:
    """ISA-L's inflate where it is installed, which takes 0.4 of the time that zlib takes."""
    try:
        from isal import igzip_lib
    except ImportError:
        return _Gzip, zlib.error
    error: type[Exception] = igzip_lib.error  # type: ignore[assignment, unused-ignore]  # so its stub says
    return partial(igzip_lib.IgzipDecompressor, flag=igzip_lib.DECOMP_GZIP), error


def _plain(fd: int, data: bytes) -> Iterator[bytes]:
    while data:
        yield data
        data = os.read(fd, CHUNK_SIZE)


def _members(fd: int, data: bytes, make: Callable[[], Decompressor], error: type[Exception]) -> Iterator[bytes]:
    """Yield what the members of a stream hold, one after another, up to zero padding or the end."""
    while data:
        member = make()
        try:
            yield from _member(fd, data, member)
        except error as problem:
            raise CorruptImageError(f"a layer cannot be decompressed: {problem}") from problem
        data = member.unused_data or os.read(fd, READ_SIZE)
        if data.startswith(b"\0"):
            _only_padding(fd, data)
            return


def _member(fd: int, data: bytes, member: Decompressor) -> Iterator[bytes]:
    while True:
        chunk = member.decompress(data, CHUNK_SIZE)
        if chunk:
            yield chunk
        if member.eof:
            return
        # One that gives nothing can only want more, whatever it says: there is no end without an end.
        is_hungry = member.needs_input or not chunk
        data = os.read(fd, READ_SIZE) if is_hungry else b""
        if is_hungry and not data:
            raise CorruptImageError("a layer's compressed bytes end too early")


def _only_padding(fd: int, data: bytes) -> None:
    while data:
        if data.strip(b"\0"):
            raise CorruptImageError("bytes that belong to nothing follow a layer's compressed bytes")
        data = os.read(fd, READ_SIZE)


def _bounded(chunks: Iterator[bytes], compressed: int, limits: Limits) -> Iterator[bytes]:
    most = min(limits.size, max(limits.ratio_from, compressed * limits.ratio))
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > most:
            raise UnsafeLayerError(f"a layer of {compressed} bytes grows beyond {most} bytes when it is decompressed")
        yield chunk
