"""The maps of sparse files: which parts of a file a tar stream holds.

https://www.gnu.org/software/tar/manual/html_node/Sparse-Formats.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from ..errors import CorruptImageError
from .layer_stream import LayerStream

Segments: TypeAlias = tuple[tuple[int, int], ...]
"""(offset, length) in the file, in the order of the stored data."""

_BLOCK = 512
_MAX_SEGMENTS = 100_000


def pairs(numbers: Sequence[int]) -> Segments:
    """Return offset, length, offset, length ... as pairs; raises `ValueError` for an odd count."""
    if len(numbers) % 2 or len(numbers) > 2 * _MAX_SEGMENTS:
        raise ValueError(f"a sparse map of {len(numbers)} numbers")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def gnu_segments(stream: LayerStream, header: bytes) -> Segments:
    """Read the map that GNU's old format keeps in the header and in the blocks after it."""
    numbers = _octals(header[386:482])
    extended = header[482]
    while extended:
        if len(numbers) > 2 * _MAX_SEGMENTS:
            raise CorruptImageError("a sparse file's map in a layer has no end")
        block = stream.read(_BLOCK)
        if len(block) != _BLOCK:
            raise CorruptImageError("a layer's tar stream ends in a sparse file's map")
        more = _octals(block[:504])
        if not more:
            raise CorruptImageError("a sparse file's map in a layer goes on without saying anything")
        numbers += more
        extended = block[504]
    try:
        return pairs(numbers)
    except ValueError as error:
        raise CorruptImageError(str(error)) from error


def _octals(data: bytes) -> list[int]:
    fields = (data[start : start + 12].strip(b"\0 ") for start in range(0, len(data), 12))
    try:
        return [int(field, 8) for field in fields if field]
    except ValueError as error:
        raise CorruptImageError(f"a sparse file's map in a layer holds nonsense: {error}") from error


def read_pax_map(stream: LayerStream, stored: int) -> tuple[Segments, int]:
    """Read the map that leads the data in version 1.0; return it and how much of *stored* is left."""
    lines: list[bytes] = []
    rest = b""
    wanted = 1
    while len(lines) < wanted:
        if stored < _BLOCK or wanted > 2 * _MAX_SEGMENTS + 1:
            raise CorruptImageError("a sparse file's map in a layer has no end")
        *complete, rest = (rest + stream.read(_BLOCK)).split(b"\n")
        stored -= _BLOCK
        lines += complete
        wanted = 2 * _decimal(lines[0]) + 1 if lines else 1
    return pairs([_decimal(line) for line in lines[1:wanted]]), stored


def _decimal(line: bytes) -> int:
    if not line.isdigit():
        raise CorruptImageError(f"a sparse file's map in a layer holds {line[:20]!r}")
    return int(line)
