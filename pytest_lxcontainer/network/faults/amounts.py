"""How much of a fault: durations, shares and rates, written as in tc(8)."""

from __future__ import annotations

import math
import re

from ...errors import InvalidSettingsError

_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z%]*)\s*", re.IGNORECASE)

_SECONDS = {
    **dict.fromkeys(("s", "sec", "secs"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs"), 1e-3),
    **dict.fromkeys(("us", "usec", "usecs"), 1e-6),
}
_PERCENT = {"": 0.01, "%": 0.01}
_POWERS = {"": 1, **{f"{letter}": 1000**power for power, letter in enumerate("kmgt", 1)}}
_BINARY_POWERS = {f"{letter}i": 1024**power for power, letter in enumerate("kmgt", 1)}
_PREFIXES = {**_POWERS, **_BINARY_POWERS}
_RATES = {
    "": 1.0,
    **{f"{prefix}bit": float(factor) for prefix, factor in _PREFIXES.items()},
    # In tc(8) "bps" are bytes.
    **{f"{prefix}bps": 8.0 * factor for prefix, factor in _PREFIXES.items()},
}
_LEAST_RATE = 8.0
_SECONDS_HINT = "write seconds as a number, or text such as '100ms', '1.5s' or '500us'"
_PERCENT_HINT = "write per cent, 0 to 100, as a number or as text such as '30%'"
_RATE_HINT = (
    "write bits per second as a number, or text such as '500kbit', '1mbit', '2.5gbit' (bits), '100kbps' (bytes); "
    "8 bits per second are the least"
)


def seconds(value: float | str) -> float:
    """A duration, of a number of seconds or text with a unit; raises `InvalidSettingsError`."""
    return _amount(value, _SECONDS, 1.0, "duration", _SECONDS_HINT)


def fraction(value: float | str) -> float:
    """A share between 0 and 1, of per cent as a number or as text; raises `InvalidSettingsError`."""
    share = _amount(value, _PERCENT, 0.01, "share", _PERCENT_HINT)
    if share > 1:
        raise InvalidSettingsError(f"{value!r} is more than everything", hint=_PERCENT_HINT)
    return share


def bits_per_second(value: float | str) -> float:
    """A rate, of bits per second or text with a unit of tc(8)'s; raises `InvalidSettingsError`."""
    rate = _amount(value, _RATES, 1.0, "rate", _RATE_HINT)
    if rate < _LEAST_RATE:
        raise InvalidSettingsError(f"{value!r} is too low a rate", hint=_RATE_HINT)
    return rate


def _amount(value: float | str, units: dict[str, float], of_number: float, noun: str, hint: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return value * of_number
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    factor = units.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise InvalidSettingsError(f"{value!r} is no {noun}", hint=hint)
    return float(match[1]) * factor
