"""The supervisor's part in work on a container's files: it starts who does it, and hands the way to them over."""

from __future__ import annotations

import errno
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..container.channel import Channel, Frame
from ..container.inside import AtRest, begin
from ..container.mounting import begin_mount
from ..container.target import Target
from ..errors import ContainerFileError
from .loop import Loop, until_gone, wait

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

    async def ask(self, life: Life, task: Frame) -> tuple[Frame, int | None]:
        """Have *task*, which no tree goes with, done in a running container; returns the answer, and its descriptor."""
        life.running()
        sock, pid = begin(life.place(), task)
        with Channel(sock) as channel:
            await wait([sock.fileno()])
            try:
                answer = channel.receive()
            except ConnectionError:
                answer = {"errno": errno.ESRCH}, None
        await _end_of(pid)
        return answer

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


async def mount(life: Life, source: str, path: str, read_only: bool) -> None:
    """Mount *source* of the host at *path* in the running container; `ContainerFileError`."""
    try:
        await put(life, source, {"path": path, "is_dir": Path(source).is_dir(), "is_new": False}, read_only=read_only)
    except OSError as error:
        raise _refused(life, path, error.errno or errno.EIO, f"mounting {source} there failed") from None


async def put(life: Life, source: str, point: Frame, *, read_only: bool = False) -> None:
    """Mount *source* of the host on *point*, a task of `files`, in the running container; `OSError`."""
    answer, place = await life.works.ask(life, {"do": "mount_point", **point})
    if place is None:
        raise _as_error(answer)
    try:
        life.running()  # still
        target = life.place()
        assert isinstance(target, Target)  # since it runs
        code = await _end_of(begin_mount(target, source, place, read_only))
    finally:
        os.close(place)
    if code:
        raise OSError(code, os.strerror(code))


async def take_away(life: Life, path: str) -> None:
    """Unmount what `put` has mounted on a file at *path*, and remove that; `OSError`."""
    answer, _ = await life.works.ask(life, {"do": "unmount", "path": path, "remove": True})
    if "errno" in answer:
        raise _as_error(answer)


def _as_error(answer: Frame) -> OSError:
    return OSError(answer["errno"], os.strerror(answer["errno"]))


def _refused(life: Life, path: str, code: int, details: str) -> ContainerFileError:
    hint = "may this user read it, and mount? root may mount anything" if code == errno.EPERM else ""
    return ContainerFileError.of(path, code, life.name, details=details, hint=hint)


async def _end_of(pid: int) -> int:
    """Wait for a child's end and give its exit code."""
    await until_gone(pid)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
