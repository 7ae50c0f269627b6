"""Signals by name and number."""

from __future__ import annotations

import signal

from ..errors import InvalidSettingsError

_NUMBERS = {
    **{each.name: each.value for each in signal.Signals},
    **{f"SIGRTMIN+{step}": signal.SIGRTMIN + step for step in range(signal.SIGRTMAX - signal.SIGRTMIN)},
}


def signal_number(text: str | int) -> int:
    """A signal's number from ``SIGINT``, ``INT``, ``2``, or ``SIGRTMIN+3`` as systemd wants it.

    Raises `InvalidSettingsError` for what is none.
    """
    name = str(text).upper()
    number = int(name) if name.isdecimal() else _NUMBERS.get(name, _NUMBERS.get(f"SIG{name}", 0))
    if not 0 < number <= signal.SIGRTMAX:
        raise InvalidSettingsError(f"{text!r} is no signal", hint="write its name, such as SIGTERM, or its number")
    return number
