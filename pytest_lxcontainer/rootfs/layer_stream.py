"""Exact reads from a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import CorruptImageError


class LayerStream:
    """Reads the *chunks* of an uncompressed layer."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._position = 0

    def read(self, size: int) -> bytes:
        """Return exactly *size* bytes, or none at the end; raises `CorruptImageError` in between."""
        end = self._position + size
        if end <= len(self._chunk):
            data = self._chunk[self._position : end]
            self._position = end
            return data
        return self._join(size)

    def _join(self, size: int) -> bytes:
        parts: list[bytes | memoryview] = []
        missing = size
        while missing and (self._position < len(self._chunk) or self._next()):
            piece = memoryview(self._chunk)[self._position : self._position + missing]
            self._position += len(piece)
            missing -= len(piece)
            parts.append(piece)
        if missing and missing < size:
            raise CorruptImageError("a layer's tar stream ends in the middle of an entry")
        return b"".join(parts)

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next *size* bytes without copying them; raises `CorruptImageError` if there are fewer."""
        while size:
            if self._position == len(self._chunk) and not self._next():
                raise CorruptImageError("a layer's tar stream ends in the middle of a file")
            piece = memoryview(self._chunk)[self._position : self._position + size]
            self._position += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Pass over *size* bytes."""
        end = self._position + size
        if end <= len(self._chunk):
            self._position = end
            return
        for _ in self.pieces(size):
            pass

    def drain(self) -> None:
        """Read what is left, so that whoever hashes the chunks sees the whole stream."""
        while self._next():
            pass

    def _next(self) -> bool:
        self._chunk, self._position = next(self._chunks, b""), 0
        return bool(self._chunk)
