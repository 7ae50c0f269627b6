"""Sizes in bytes that read like sizes: ``64 * MiB``, ``"256MiB"``, and a `ByteSize` that prints ``1.5 MiB``."""

from __future__ import annotations

import re

from ..errors import InvalidSettingsError

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

_SUFFIXES = {"": 1, "k": KiB, "m": MiB, "g": GiB, "t": 1024 * GiB}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*", re.IGNORECASE)


class ByteSize(int):
    """A number of bytes; `str` gives it in the largest binary unit that fits (``1.5 MiB``)."""

    def __str__(self) -> str:
        size = float(self)
        for unit in ("B", "KiB", "MiB", "GiB"):
            if abs(size) < 1024:
                return f"{int(size)} B" if unit == "B" else f"{size:.1f} {unit}"
            size /= 1024
        return f"{size:.1f} TiB"

    def __repr__(self) -> str:
        return f"ByteSize({int(self)})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec) if spec in ("", "s") else format(int(self), spec)

    @classmethod
    def parse(cls, value: int | str) -> ByteSize:
        """Read ``268435456``, ``"256MiB"``, ``"256M"`` or ``"1.5g"``; units are binary, as Docker's are.

        Raises `InvalidSettingsError` for anything else.
        """
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        match = _TEXT.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise InvalidSettingsError(
                f"{value!r} is no size", hint="write a number of bytes, or text such as '256MiB' or '1.5GiB'"
            )
        return cls(float(match[1]) * _SUFFIXES[match[2].lower()])
