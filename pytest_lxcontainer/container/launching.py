"""The processes that start a container's commands: inside its namespaces.

The first few commands each come as a process of the zygote's that joins the namespaces and becomes the command
(`run_command`), which is less work than making somebody who stays. With the next one comes a launcher (`launch`). It
joins the namespaces once; each command is then one fork of it. The container cannot reach it: it has no process id
there, is in none of its cgroups, and no copy of it can be traced or opened in /proc (PR_SET_DUMPABLE of prctl(2))
before it has become the command. Both import nothing any more: what Python would find is the image's.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

from . import parcel
from .attach import (
    ALL_BUT_USER,
    CLONE_NEWUSER,
    PR_CAPBSET_DROP,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    become,
    checked,
    confine,
    libc,
    setns,
)
from .pty import take_control
from .sibling import CloneSibling

TYPE_CHECKING = False  # not typing's: see `zygote`
if TYPE_CHECKING:
    import select
    import signal
    import socket
    from collections.abc import Sequence
    from typing import Any, NoReturn
else:
    import _signal as signal
    import _socket as socket

LAUNCHER, COMMAND = "launcher", "command"
"""The roles of a zygote that `launch` and `run_command` are."""

NOT_EXECUTABLE = 126
NOT_FOUND = 127


class _Request(parcel.Record):
    """What a copy of the launcher needs to become a command, prepared so that it has little left to do."""

    paths: tuple[str, ...]
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    tty: bool


class Entrance(parcel.Record):
    """How to get into a container: `Target` in what marshal takes, with capabilities by their numbers."""

    cgroups: tuple[str, ...]
    user_namespace: bool
    dropped: tuple[int, ...]
    filters: bytes


def launch(supervisor: int, fds: Sequence[int], *entrance: Any) -> int:
    """Be the launcher until the container ends, or the supervisor; *fds* are its door, and its container's pidfd."""
    import select  # before all that could be imported is the image's

    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=fds[0])
    events = select.poll()
    events.register(door.fileno(), select.POLLIN)
    events.register(fds[1], select.POLLIN)
    try:
        entries = _entered(door, fds[1], entrance)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == supervisor:
            parcel.answer(door, os.getpid())
            _serve(door, entries, events, fds[1])
    except ConnectionError:
        pass  # the supervisor has gone
    return 0


def run_command(supervisor: int, fds: Sequence[int], entrance: Sequence[Any], *words: Any) -> NoReturn:
    """Be one command, born in the container's pid namespace, which the kernel ends it with.

    *fds* are its stdin, stdout and stderr, a door to say at that it is in, and its container's pidfd.
    """
    *stdio, said, pidfd = fds
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=said)
    entries = _entered(door, pidfd, entrance)
    parcel.answer(door, os.getpid())
    door.close()
    _execute(_request(*words), stdio, entries)


def _entered(door: socket.socket, pidfd: int, entrance: Sequence[Any]) -> list[int]:
    """As `_enter`; where that fails *door* is told, and this process ends."""
    try:
        return _enter(pidfd, Entrance(*entrance))
    except OSError as error:
        parcel.answer(door, 0, error.errno or errno.EIO)
        os._exit(NOT_EXECUTABLE)


def _enter(pidfd: int, entrance: Entrance) -> list[int]:
    """Join the namespaces for good; returns descriptors of the cgroups' files, for each command to write to.

    Whether that is allowed, the kernel decides by who opened them: the supervisor's user, in its own namespaces.
    """
    # Before it is in the container: what can be looked into can be made to hand over what it holds.
    _hide()
    entries = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in entrance.cgroups]
    _take_defaults()
    sys.meta_path.clear()
    setns(pidfd, ALL_BUT_USER | (CLONE_NEWUSER if entrance.user_namespace else 0))
    _hide()
    for capability in entrance.dropped:
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if entrance.filters:
        # Last, for it forbids the calls above; not once for each command, since the kernel takes 0.3 ms to compile it.
        confine(entrance.filters)
    return entries


def _hide() -> None:
    """Close this process to others of its user; the kernel undoes it with a change of user or namespace."""
    checked(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def _take_defaults() -> None:
    """As a command is to find them, whatever pytest was started with: nohup(1) and shells have signals ignored."""
    for number in range(1, signal.NSIG):
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)


def _serve(door: socket.socket, entries: Sequence[int], events: select.poll, pidfd: int) -> None:
    """Start commands until the container ends: what a launcher holds (mounts, interfaces) is to go with it."""
    clone = CloneSibling()
    while all(fd != pidfd for fd, _ in events.poll()):
        words, stdio = parcel.receive(door)
        request = _request(*words)
        pid = clone()
        if pid == 0:
            _execute(request, stdio, entries)
        parcel.answer(door, max(pid, 0), 0 if pid > 0 else ctypes.get_errno())
        for fd in stdio:
            os.close(fd)


def _request(args: tuple[str, ...], env: Sequence[tuple[str, str]], *rest: Any) -> _Request:
    """What `Launcher.spawn` has sent."""
    variables = dict(env)
    return _Request(_paths(args[0], variables.get("PATH", os.defpath)), args, variables, *rest)


def _paths(word: str, path: str) -> tuple[str, ...]:
    """Where execvp(3) looks for *word*."""
    return (word,) if "/" in word else tuple(f"{directory or '.'}/{word}" for directory in path.split(":"))


def _execute(request: _Request, stdio: Sequence[int], entries: Sequence[int]) -> NoReturn:
    """Become the command; never returns into the caller's copy."""
    code = NOT_EXECUTABLE
    try:
        os.setsid()
        for number, fd in enumerate(stdio):
            os.dup2(fd, number)
        if request.tty:
            take_control(0)
        for entry in entries:
            os.write(entry, b"0")
        # What leaves its parent and session comes back to the command, so that it can be ended with it.
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        become(request.uid, request.gid, request.groups)
        _hide()
        os.chdir(request.cwd)
        _execute_first(request)
    except FileNotFoundError as error:
        code = NOT_FOUND
        _complain(request, error)
    except OSError as error:
        _complain(request, error)
    finally:
        os._exit(code)


def _execute_first(request: _Request) -> None:
    """Execute the first of the paths that can be; raises the first error that says more than that nothing is there."""
    failure: OSError = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in request.paths:
        try:
            os.execve(path, request.args, request.env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if isinstance(failure, FileNotFoundError):
                failure = error
    raise failure


def _complain(request: _Request, error: OSError) -> None:
    try:
        os.stat(request.cwd)
        subject = request.args[0]
    except OSError:
        subject = request.cwd
    os.write(2, f"exec: {subject}: {os.strerror(error.errno or 0)}\n".encode("utf-8", "surrogateescape"))
