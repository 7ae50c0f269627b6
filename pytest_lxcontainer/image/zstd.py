"""Where this Python has zstd from: its own library from 3.14 on, else the same one from PyPI."""

from __future__ import annotations

from typing import Any

from ..errors import UnsupportedImageError


def load_zstd(what: str) -> Any:
    """Return the module that reads zstd, or raise `UnsupportedImageError` naming *what* is compressed with it."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise UnsupportedImageError(
                f"{what} is compressed with zstd, which this Python cannot read",
                hint="pip install backports.zstd",
            ) from None
    return zstd
