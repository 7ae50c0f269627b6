"""The supervisor's part in work on a container's files: it starts who does it, and hands the way to them over."""

from __future__ import annotations

import errno
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..container.attach import Target
from ..container.channel import Channel, Frame
from ..container.inside import AtRest, begin
from ..container.mounting import begin_mount
from ..errors import ContainerFileError
from .loop import Loop, wait

if TYPE_CHECKING:
    from .life import Life

_PAUSE = 0.001


class Works:
    """The processes that work on one container's files; *at_rest* are those who have mounted them."""

    def __init__(self) -> None:
        self.at_rest: set[int] = set()

    async def begin(self, loop: Loop, life: Life, task: Frame) -> socket.socket:
        """Have *task* done, as soon as the container's files are where they are; returns the way to who does it."""
        while life.state == "STARTING":
            await wait([], _PAUSE)
        if life.boot is None:
            await self.until_done()
        place = life.place()
        sock, pid = begin(place, task)
        if isinstance(place, AtRest):
            self.at_rest.add(pid)
        loop.spawn(self._reap(pid))
        return sock

    async def _reap(self, pid: int) -> None:
        await _end_of(pid)
        self.at_rest.discard(pid)

    async def until_done(self) -> None:
        """Wait until nobody has the files mounted: no upper dir may be in two overlays at once."""
        while self.at_rest:
            await wait([], _PAUSE)

    def kill(self) -> None:
        """End who has the files mounted."""
        for pid in self.at_rest:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def mount(life: Life, loop: Loop, source: str, path: str, read_only: bool) -> None:
    """Mount *source* of the host at *path* in the running container; `ContainerFileError`."""
    life.running()
    task = {"do": "mount_point", "path": path, "is_dir": Path(source).is_dir()}
    sock = await life.works.begin(loop, life, task)
    await wait([sock.fileno()])
    with Channel(sock) as channel:
        answer, point = channel.receive()
    if point is None:
        raise _refused(life, path, answer["errno"], "")
    try:
        life.running()  # still
        target = life.place()
        assert isinstance(target, Target)  # since it runs
        code = await _end_of(begin_mount(target, source, point, read_only))
    finally:
        os.close(point)
    if code:
        hint = "may this user read it, and mount? root may mount anything" if code == errno.EPERM else ""
        raise _refused(life, path, code, hint, f"mounting {source} there failed")


def _refused(life: Life, path: str, code: int, hint: str, details: str = "") -> ContainerFileError:
    return ContainerFileError(
        f"{path} in container {life.name}: {os.strerror(code)}",
        path=path,
        errno=code,
        container=life.name,
        details=details,
        hint=hint,
    )


async def _end_of(pid: int) -> int:
    """Wait for a child's end and give its exit code."""
    pidfd = os.pidfd_open(pid)
    try:
        await wait([pidfd])
    finally:
        os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
