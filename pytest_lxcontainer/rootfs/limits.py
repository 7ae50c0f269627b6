"""How large a layer may become before it is taken for an attack."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """What one layer may hold: *entries*, unpacked *size* in bytes, and *ratio* to its compressed size.

    The ratio counts from *ratio_from* bytes on, since a small layer of zeros compresses a thousandfold.
    """

    entries: int = 1_000_000
    size: int = 64 * GIB
    ratio: int = 500
    ratio_from: int = 4 * GIB
