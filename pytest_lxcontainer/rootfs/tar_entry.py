"""One entry of a layer's tar stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an entry makes; the values are tar's type flags."""

    FILE = "0"
    HARD_LINK = "1"
    SYMLINK = "2"
    CHARACTER_DEVICE = "3"
    BLOCK_DEVICE = "4"
    DIRECTORY = "5"
    FIFO = "6"


@dataclass(frozen=True, slots=True)
class Entry:
    """A tar header with its extensions applied; sizes in bytes, times in nanoseconds since 1970.

    *stored* bytes of data follow in the stream. They are the file's *size* bytes, except in a sparse file:
    there *segments* (offset, length) say where they go, ``None`` meaning that the data starts with the map.
    """

    name: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    stored: int = 0
    sparse: bool = False
    segments: tuple[tuple[int, int], ...] | None = None
