"""Telling the kernel how a container's network is to be, from within its network namespace."""

from __future__ import annotations

import errno

from ..network.netlink import exchange
from .attach import CLONE_NEWNET, CLONE_NEWUSER, setns

TYPE_CHECKING = False  # not typing's: see `zygote`
if TYPE_CHECKING:
    from collections.abc import Sequence

WIRE = "wire"
"""The role of a zygote that `wire_as_user` is."""


def wire_as_user(supervisor: int, fds: Sequence[int], messages: Sequence[bytes]) -> int:
    """Send *messages* as the root of the container of pidfd *fds*; the exit code is an errno, 0 for none."""
    try:
        setns(fds[0], CLONE_NEWUSER | CLONE_NEWNET)
        exchange(tuple(messages))
    except OSError as error:
        return error.errno or errno.EIO
    return 0
