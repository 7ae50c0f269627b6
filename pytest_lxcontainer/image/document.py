"""Documents: JSON written by strangers, read within bounds and shown without harm."""

from __future__ import annotations

import json
from typing import Any

from ..errors import CorruptImageError

MAX_INTEGER = 2**63 - 1
"""The largest number the specifications know: Go's int64."""

_SHOWN = 100


def read_object(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """Read a JSON object of at most *limit* bytes, or raise `CorruptImageError`; *what* names it there."""
    if len(data) > limit:
        raise CorruptImageError(f"{what} has {len(data)} bytes, more than the {limit} allowed")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptImageError(f"{what} is not JSON", details=printable(str(error))) from None
    if not isinstance(document, dict):
        raise CorruptImageError(f"{what} is not a JSON object")
    return document


def shown(value: object) -> str:
    """Return *value* as an error shows it: short, and without descending into what may be nested without end."""
    if isinstance(value, str):
        return repr(printable(value))
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return "a number without measure"
    if value is None or isinstance(value, int | float):
        return repr(value)
    return "a list" if isinstance(value, list) else "an object"


def printable(text: str, limit: int = _SHOWN) -> str:
    """Return *text* cut to *limit* characters, with ``?`` for what could command a terminal or not be encoded."""
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    return "".join(char if char.isprintable() else "?" for char in cut)
