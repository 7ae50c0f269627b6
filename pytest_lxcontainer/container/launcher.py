"""The process that starts a container's commands: inside its namespaces, outside its process ids.

A fork of the supervisor that joins the namespaces once; each command is then one fork of it. The container cannot
reach it: it has no process id there, is in none of its cgroups, and no copy of it can be traced or opened in /proc
(PR_SET_DUMPABLE of prctl(2)) before it has become the command. It imports nothing any more: what Python would find is
the image's.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import gc
import marshal
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from . import seccomp
from .attach import (
    ALL_BUT_USER,
    CLONE_NEWUSER,
    PR_CAPBSET_DROP,
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    Target,
    become,
    libc,
    setns,
)
from .backend import ExecSpec
from .capabilities import NUMBERS

NOT_EXECUTABLE = 126
NOT_FOUND = 127

CLONE_PARENT = 0x00008000
_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "s390x": 120, "ppc64le": 120, "armv7l": 120}
"""Number of the clone system call by machine; the flags come first but on s390x."""

_HEADER = struct.Struct("=I")
_ANSWER = struct.Struct("=ii")
"""A process id and an errno, one of them 0."""
_CHUNK = 1 << 20
_STDIO = 3


class Launcher:
    """Starts commands in the container *target*; its process is a child of the caller's, as every command is.

    Raises `OSError` where the container is gone; without *at_once* that is for `stand` to tell.
    """

    def __init__(self, target: Target, *, at_once: bool = True) -> None:
        self._door, inside = socket.socketpair()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _stand(target, inside, supervisor)
        inside.close()
        if at_once:
            self.stand()

    def fileno(self) -> int:
        """What turns readable when `stand` need not wait."""
        return self._door.fileno()

    def stand(self) -> None:
        """Wait until it is in the container; to be called once, by who did not have it *at_once*."""
        try:
            self._answer()
        except OSError:
            self.close()
            raise

    def spawn(self, spec: ExecSpec, stdio: Sequence[int]) -> int:
        """Run *spec* with three file descriptors; returns its pid, a child of the caller's to wait for.

        The command leads its own session. A command that cannot be executed ends with 127 (not found) or 126,
        after a line on its stderr, as a shell would have it. Raises `OSError` where the container is gone, of which
        `ConnectionError` says that this launcher is.
        """
        request = marshal.dumps((spec.args, spec.env, spec.cwd, spec.uid, spec.gid, spec.groups))
        data = _HEADER.pack(len(request)) + request
        sent = socket.send_fds(self._door, [data], list(stdio))
        if sent < len(data):
            self._door.sendall(memoryview(data)[sent:])
        return self._answer()

    def dismiss(self) -> None:
        """Have it end soon; commands that run are left alone."""
        os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Have it end, and wait for that: it has begun to by itself where the container has ended."""
        self.dismiss()
        os.waitpid(self.pid, 0)
        self._door.close()

    def _answer(self) -> int:
        data = self._door.recv(_ANSWER.size, socket.MSG_WAITALL)
        if len(data) < _ANSWER.size:
            raise ConnectionResetError(errno.ECONNRESET, "the launcher has ended")
        pid, code = _ANSWER.unpack(data)
        if code:
            raise OSError(code, os.strerror(code))
        return int(pid)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a copy of the launcher needs to become a command, prepared so that it has little left to do."""

    paths: tuple[str, ...]
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def _stand(target: Target, door: socket.socket, supervisor: int) -> NoReturn:
    """Be the launcher until the supervisor goes, without ever running anything of the caller's stack."""
    try:
        entries = _enter(target, door.fileno())
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == supervisor:
            door.sendall(_ANSWER.pack(0, 0))
            _serve(door, entries, target.pidfd)
    except OSError as error:
        with suppress(OSError):  # the supervisor has gone
            door.sendall(_ANSWER.pack(0, error.errno or errno.EIO))
    finally:
        os._exit(0)


def _enter(target: Target, door: int) -> list[int]:
    """Join the namespaces for good; returns descriptors of the cgroups' files, for each command to write to.

    Whether that is allowed, the kernel decides by who opened them: the supervisor's user, in its own namespaces.
    """
    gc.disable()
    # Before it is in the container: what can be looked into can be made to hand over what it holds.
    _hide()
    entries = [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in target.cgroups]
    _close_all_but(door, target.pidfd, *entries)
    _take_defaults()
    sys.meta_path.clear()
    setns(target.pidfd, ALL_BUT_USER | (CLONE_NEWUSER if target.user_namespace else 0))
    _hide()
    for capability in target.dropped:
        libc.prctl(PR_CAPBSET_DROP, NUMBERS[capability], 0, 0, 0)
    if target.filters:
        # Last, for it forbids the calls above; not once for each command, since the kernel takes 0.3 ms to compile it.
        seccomp.load(target.filters)
    return entries


def _close_all_but(*kept: int) -> None:
    """The supervisor's sockets, pipes and locks end when it closes them, not when its launchers do."""
    for fd in {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2, *kept}:
        with suppress(OSError):  # the listing's own
            os.close(fd)


def _hide() -> None:
    """Close this process to others of its user; the kernel undoes it with a change of user or namespace."""
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _take_defaults() -> None:
    """As a command is to find them, whatever pytest was started with: nohup(1) and shells have signals ignored."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)


def _serve(door: socket.socket, entries: Sequence[int], pidfd: int) -> None:
    """Start commands until the container ends: what a launcher holds (mounts, interfaces) is to go with it."""
    clone = _CloneSibling()
    events = select.poll()
    events.register(door, select.POLLIN)
    events.register(pidfd, select.POLLIN)
    while all(fd != pidfd for fd, _ in events.poll()):
        request, stdio = _receive(door)
        pid = clone()
        if pid == 0:
            _execute(request, stdio, entries)
        door.sendall(_ANSWER.pack(pid, 0) if pid > 0 else _ANSWER.pack(0, ctypes.get_errno()))
        for fd in stdio:
            os.close(fd)


def _receive(door: socket.socket) -> tuple[_Request, list[int]]:
    header, ancillary, _, _ = door.recvmsg(
        _HEADER.size, socket.CMSG_SPACE(_STDIO * struct.calcsize("i")), socket.MSG_CMSG_CLOEXEC
    )
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    if len(header) < _HEADER.size:
        raise ConnectionResetError(errno.ECONNRESET, "the supervisor has gone")
    (left,) = _HEADER.unpack(header)
    data = b""
    while len(data) < left:
        part = door.recv(min(left - len(data), _CHUNK))
        if not part:
            raise ConnectionResetError(errno.ECONNRESET, "the supervisor has gone")
        data += part
    args, env, cwd, uid, gid, groups = marshal.loads(data)
    variables = dict(env)
    return _Request(_paths(args[0], variables.get("PATH", os.defpath)), args, variables, cwd, uid, gid, groups), [*fds]


def _paths(word: str, path: str) -> tuple[str, ...]:
    """Where execvp(3) looks for *word*."""
    return (word,) if "/" in word else tuple(f"{directory or '.'}/{word}" for directory in path.split(":"))


def _execute(request: _Request, stdio: Sequence[int], entries: Sequence[int]) -> NoReturn:
    """Become the command; never returns into the caller's copy."""
    code = NOT_EXECUTABLE
    try:
        os.setsid()
        for number, fd in enumerate([fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _STDIO) for fd in stdio]):
            os.dup2(fd, number)
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


class _CloneSibling:
    """fork(2), but the child's parent is the caller's own parent, which so learns its exit status itself."""

    def __init__(self) -> None:
        machine = os.uname().machine
        flags, nothing = ctypes.c_ulong(CLONE_PARENT | signal.SIGCHLD), ctypes.c_ulong(0)
        leading = (nothing, flags) if machine == "s390x" else (flags, nothing)
        self._arguments = (ctypes.c_long(_CLONE[machine]), *leading, nothing, nothing, nothing)

    def __call__(self) -> int:
        """The child's pid, 0 in the child, -1 with ctypes' errno set."""
        pid: int = libc.syscall(*self._arguments)
        return pid
