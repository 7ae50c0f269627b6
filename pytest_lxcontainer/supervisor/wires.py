"""Setting up containers' networks from within their network namespaces."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ..container.attach import CLONE_NEWNET, setns
from ..container.wiring import WIRE
from ..container.zygote import Zygote
from ..network.netlink import exchange
from ..network.plug import INSIDE, Plug
from .loop import until_gone, wait


class Wires:
    """Sends messages of `netlink` into the network namespaces of containers of a run, as *is_root* or a user."""

    def __init__(self, zygote: Zygote, *, is_root: bool) -> None:
        self._zygote = zygote
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC) if is_root else None

    def plug(self, pid: int, plug: Plug, messages: Sequence[bytes]) -> None:
        """Plug the container of process *pid* into its bridge, and have the kernel do *messages* there; as root.

        Raises `OSError`.
        """
        with _namespace_of(pid) as theirs:
            exchange(plug.outside(theirs))
            with self._visiting(theirs):
                exchange((*plug.inside(socket.if_nametoindex(INSIDE)), *messages))

    async def send(self, pid: int, messages: Sequence[bytes]) -> None:
        """Have the kernel do *messages* where process *pid* is; raises `OSError` where it refuses or that is gone."""
        if messages and self._home is None:
            await self._send_as_user(pid, messages)
        elif messages:
            with _namespace_of(pid) as theirs, self._visiting(theirs):
                exchange(tuple(messages))

    @contextmanager
    def _visiting(self, namespace: int) -> Iterator[None]:
        """Be in another network namespace, which only a thread of root's may."""
        assert self._home is not None  # an ordinary user has others go there
        setns(namespace, CLONE_NEWNET)
        try:
            yield
        finally:
            setns(self._home, CLONE_NEWNET)

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


@contextmanager
def _namespace_of(pid: int) -> Iterator[int]:
    """A descriptor of the network namespace that process *pid* is in."""
    namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield namespace
    finally:
        os.close(namespace)
