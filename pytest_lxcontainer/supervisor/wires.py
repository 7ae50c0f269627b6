"""The rules in containers' network namespaces by which they reach whom they should."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from ..container.wiring import WIRE, wire_as_root
from ..container.zygote import Zygote
from .loop import until_gone, wait


class Wires:
    """Sends messages of `netlink` into the network namespaces of containers of a run, as *is_root* or a user."""

    def __init__(self, zygote: Zygote, *, is_root: bool) -> None:
        self._zygote = zygote
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC) if is_root else None

    def send_now(self, pid: int, messages: Sequence[bytes]) -> bool:
        """As `send`, at once; tells whether that could be."""
        if self._home is None:
            return False
        wire_as_root(pid, self._home, messages)
        return True

    async def send(self, pid: int, messages: Sequence[bytes]) -> None:
        """Have the kernel do *messages* where process *pid* is; raises `OSError` where it refuses or that is gone."""
        if messages and not self.send_now(pid, messages):
            await self._send_as_user(pid, messages)

    async def _send_as_user(self, pid: int, messages: Sequence[bytes]) -> None:
        """An ordinary user's supervisor may not go there itself, for it would have to join the user namespace."""
        pidfd = os.pidfd_open(pid)
        try:
            birth = self._zygote.begin(WIRE, (tuple(messages),), [pidfd])
            await wait([birth.fileno()])
            sender = birth.pid()
        finally:
            os.close(pidfd)
        await until_gone(sender)
        code = os.waitstatus_to_exitcode(os.waitpid(sender, 0)[1])
        if code:
            code = code if code > 0 else errno.EIO
            raise OSError(code, os.strerror(code))
