"""Doing the same to several things that are named, as Docker's commands do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from ..errors import LxContainerError


def for_each(names: Iterable[str], work: Callable[[str], None]) -> int:
    """Do *work* with each name and print those it was done with; what cannot be done keeps no other from it.

    Returns 1 where any failed, each with its error on stderr, else 0.
    """
    code = 0
    for name in names:
        try:
            work(name)
            print(name, flush=True)
        except LxContainerError as error:
            print(f"lxcontainer: {error}", file=sys.stderr)
            code = 1
    return code
