"""A running container, to whoever is to get into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """The running container to get into, by its init's pidfd; *cgroups* are the files to join them by.

    *takes_entering* is whether commands may be born in it (`launcher.Entering`): root may do that, and it is safe where
    the container's processes have no rights over what is still root's.
    *dropped* are capabilities (LXC's names) that its processes may never have, *filters* what `seccomp.program` gave.
    """

    pidfd: int
    cgroups: tuple[Path, ...]
    user_namespace: bool
    takes_entering: bool
    dropped: tuple[str, ...] = ()
    filters: bytes = b""
