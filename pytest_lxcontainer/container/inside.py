"""Processes that work on a container's files (`files.perform`), whether it runs or not.

The worker of a running container is in all its namespaces; that of another one mounts the container's overlay in a
mount namespace of its own, with the container's ids. Either way it is a fork of the supervisor that answers its client
over a socket, so that nobody waits for it who need not. It holds that socket and nothing else of the host's, cannot be
looked into from the container (PR_SET_DUMPABLE), and imports nothing: what Python would find is the image's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from ..rootfs.idmap import IdMap
from ..rootfs.overlay import Overlay, forget_volatile
from ..rootfs.userns import CLONE_NEWNS, CLONE_NEWUSER, become_root, unshare, write_maps
from .attach import ALL_BUT_USER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, checked, keep_only, libc, setns
from .channel import Channel, Frame
from .files import Root, perform
from .target import Target

MS_REC, MS_PRIVATE = 0x4000, 0x40000
_GONE = 3  # ESRCH


@dataclass(frozen=True, slots=True)
class AtRest:
    """A container that does not run: its files are *overlay*, with the owners that *idmap* tells."""

    overlay: Overlay
    idmap: IdMap


def begin(place: Target | AtRest, task: Frame) -> tuple[socket.socket, int]:
    """Have *task* done; returns the client's end of the socket, and the process, a child of the caller's."""
    ours, theirs = socket.socketpair()
    with theirs:
        pid = os.fork()
        if pid == 0:
            ours.close()
            _guarded(lambda: _work(place, task, theirs), theirs)
    return ours, pid


def _guarded(work: Callable[[], None], channel: socket.socket) -> NoReturn:
    """Run *work* and leave the fork without running anything of the caller's; a failure is the client's to know."""
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        work()
    except OSError as error:
        _tell(channel, error.errno or _GONE)
    except BaseException:  # nothing may unwind into the copy of the caller's stack
        _tell(channel, _GONE)
    os._exit(0)


def _tell(channel: socket.socket, code: int) -> None:
    with suppress(OSError):
        Channel(channel).send({"errno": code})


def _work(place: Target | AtRest, task: Frame, channel: socket.socket) -> None:
    # Before it is in the container: what can be looked into can be made to hand over what it holds.
    checked(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if isinstance(place, Target):
        _work_running(place, task, channel)
    else:
        _work_at_rest(place, task, channel)


def _work_running(target: Target, task: Frame, channel: socket.socket) -> None:
    setns(target.pidfd, ALL_BUT_USER | (CLONE_NEWUSER if target.user_namespace else 0))
    # Only a child is in the joined pid namespace, without which /proc/self leads nowhere.
    _wait_for(_fork(lambda: _perform("/", task, channel), channel), channel)


def _work_at_rest(place: AtRest, task: Frame, channel: socket.socket) -> None:
    unshared, mapped = os.pipe(), os.pipe()

    def work() -> None:
        in_namespace = not place.idmap.is_identity
        # The kernel gives the map's file of a process that cannot be looked into to root.
        checked(libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
        unshare(CLONE_NEWNS | (CLONE_NEWUSER if in_namespace else 0))
        os.write(unshared[1], b".")
        if os.read(mapped[0], 1):
            become_root()
            _mount(place.overlay)
            _perform(str(place.overlay.upper_dir), task, channel)

    pid = _fork(work, channel)
    os.close(unshared[1])
    if os.read(unshared[0], 1):
        if not place.idmap.is_identity:
            write_maps(pid, place.idmap)
        os.write(mapped[1], b".")
    _wait_for(pid, channel)


def _fork(work: Callable[[], None], channel: socket.socket) -> int:
    pid = os.fork()
    if pid == 0:
        _guarded(work, channel)
    return pid


def _wait_for(pid: int, channel: socket.socket) -> None:
    # The client sees the socket's end when the worker has ended, and not later.
    channel.close()
    os.waitpid(pid, 0)


def _perform(root: str, task: Frame, channel: socket.socket) -> None:
    become_root()
    # Again, since becoming another user clears it.
    checked(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    checked(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
    os.umask(0)
    sys.meta_path.clear()
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    keep_only([channel.fileno(), here], begin=0)
    perform(Root(here), task, Channel(channel))


def _mount(overlay: Overlay) -> None:
    """Mount the container's files over their own upper dir, which nobody else will see."""
    checked(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
    forget_volatile(overlay.work_dir)
    options = overlay.mount_options().encode()
    os.chdir(overlay.home or "/")
    checked(libc.mount(b"overlay", os.fsencode(overlay.upper_dir), b"overlay", ctypes.c_ulong(0), options))
    os.chdir("/")
