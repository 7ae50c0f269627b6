"""Telling somebody how long operations take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .container import Container

T = TypeVar("T")

Observer = Callable[["Container | str", str, float], None]
"""Called with the container, or the title of the image, that an operation was for, its name, and its seconds.

The name is a verb of the glossary; the call comes at the operation's end, failed or not, in the thread that did it.
"""


def timed(observer: Observer | None, subject: Container | str, operation: str, work: Callable[[], T]) -> T:
    """Do *work*, and tell *observer*, if there is one, how long it took."""
    __tracebackhide__ = True
    if observer is None:
        return work()
    begin = time.monotonic()
    try:
        return work()
    finally:
        observer(subject, operation, time.monotonic() - begin)
