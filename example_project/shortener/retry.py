"""Trying again, less and less often."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0

Result = TypeVar("Result")


def patiently(work: Callable[[], Result], on: type[Exception], patience: float) -> Result:
    """Give what *work* gives; when it raises *on*, try again for *patience* seconds, then let that pass.

    Pauses double, and differ by chance, so that many clients do not come back in the same moment.
    """
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        try:
            return work()
        except on:
            if time.monotonic() + pause > deadline:
                raise
        time.sleep(random.uniform(pause / 2, pause))
        pause = min(2 * pause, LONGEST_PAUSE)
