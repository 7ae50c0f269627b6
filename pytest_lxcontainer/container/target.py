"""A running container, to whoever is to get into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """The running container to get into, by its init's pidfd; *cgroups* are the files to join them by.

    *dropped* are capabilities (LXC's names) that its processes may never have, *filters* what `seccomp.program` gave.
    """

    pidfd: int
    cgroups: tuple[Path, ...]
    user_namespace: bool
    dropped: tuple[str, ...] = ()
    filters: bytes = b""
