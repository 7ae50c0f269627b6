"""What people write for durations, sizes and settings on the command line."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from typing import TypeVar

from ..errors import InvalidSettingsError

T = TypeVar("T")

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(rf"(?:[0-9]+(?:\.[0-9]+)?[{''.join(_UNITS)}])+")
_PART = re.compile(r"([0-9.]+)([a-z])")


def seconds(text: str) -> float:
    """Read ``7d``, ``12h`` or ``1h30m``; `InvalidSettingsError` for anything else."""
    if not _DURATION.fullmatch(text):
        raise InvalidSettingsError(f"{text!r} is no duration", hint="write numbers with s, m, h, d or w: 7d, 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def size(text: str) -> int:
    """Read ``512MiB``, ``5G``; `InvalidSettingsError` for anything else."""
    from ..container.units import ByteSize

    return ByteSize.parse(text)


def pair(text: str) -> tuple[str, str]:
    """Read ``KEY=VALUE``; `InvalidSettingsError` for anything else."""
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise InvalidSettingsError(f"{text!r} is no KEY=VALUE")
    return key, value


def variable(text: str) -> tuple[str, str] | None:
    """Read ``NAME=VALUE``, or ``NAME`` for our own value of it; ``None`` where that is not set."""
    if "=" in text:
        return pair(text)
    value = os.environ.get(text)
    return None if value is None else (text, value)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """*parse* as argparse wants it, which hides the message of any other error."""

    def checked(text: str) -> T:
        try:
            return parse(text)
        except InvalidSettingsError as error:
            raise argparse.ArgumentTypeError("; ".join(filter(None, (error.message, error.hint)))) from None

    return checked
