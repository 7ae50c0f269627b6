"""A small process that forks in the supervisor's place.

A fork copies page tables, and from then on either side pays for each page that it writes to: in the supervisor, whose
only thread has to answer everybody, and for everything that its modules have put into memory. So the supervisor asks
its zygote, which it has forked before it imported the most of its own modules, and which does nothing else. What the
zygote makes is the supervisor's child all the same (CLONE_PARENT). It has no descriptors but its stdio and those that
were sent for it.

A fork costs by the memory that there is, and by the mappings: so this module, and all that it and the roles import, do
with C modules where the library has Python around them, and without typing, which is larger than all of them.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import os

from . import parcel
from .attach import CLONE_NEWNS, CLONE_NEWPID, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, checked, keep_only, libc, setns
from .sibling import CloneSibling

TYPE_CHECKING = False  # not typing's, for the same reason
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from typing import NoReturn

    Role = Callable[..., int]
    """What a new process does, called with its parent's pid, its descriptors and plain values; gives its exit code."""
else:
    import _signal as signal
    import _socket as socket

_Request = tuple[str, tuple[object, ...], bool]
"""Role, arguments, and whether it is to be born in another pid namespace."""

_FOLLOW = "follow"
MS_RDONLY, MS_REC, MS_SLAVE = 0x1, 0x4000, 0x80000


class Zygote:
    """Makes processes that play one of *roles*. It ends with the calling thread; if it is killed another takes over."""

    def __init__(self, roles: Mapping[str, Role]) -> None:
        self._roles = roles
        self._hidden: str | None = None
        self._begin()

    def begin(self, role: str, arguments: tuple[object, ...], fds: Sequence[int], *, inside: bool = False) -> Birth:
        """Have a new process play *role*, which will be a child of the caller's to wait for.

        *arguments* are what marshal takes; *fds*, at most five, arrive as copies under other numbers, close-on-exec.
        With *inside*, the last of them is a pidfd, and the new process is born in that process's pid namespace; it is
        closed to the others there (PR_SET_DUMPABLE of prctl(2)).
        """
        return Birth(self, (role, arguments, inside), fds)

    def fork(self, role: str, arguments: tuple[object, ...], fds: Sequence[int]) -> int:
        """As `begin`, and wait for it; returns its pid. Raises `OSError` where the kernel makes no more processes."""
        return self.begin(role, arguments, fds).pid()

    def follow(self, hidden: str | None = None) -> None:
        """Have it see the mounts of the caller, which has come to a mount namespace of its own; nothing in *hidden*."""
        self._hidden = hidden
        namespace = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.fork(_FOLLOW, (hidden,), [namespace])
        finally:
            os.close(namespace)

    def close(self) -> None:
        """End it; what it has made goes on."""
        self._door.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _begin(self) -> None:
        self._door, inside = socket.socketpair()
        supervisor = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _live(inside, self._roles, supervisor)
        inside.close()

    def ask(self, request: _Request, fds: Sequence[int]) -> socket.socket:
        """Have it begin; the answer comes at the socket, whose end means that it was killed and nothing was made."""
        answer, theirs = socket.socketpair()
        try:
            parcel.send(self._door, request, [theirs.fileno(), *fds])
        except ConnectionError:
            pass  # it is not there, as the answer will tell
        finally:
            theirs.close()
        return answer

    def renew(self, pid: int) -> None:
        """Let another take its place, if it is *pid* still, which was killed: its sockets close before it has ended."""
        if self.pid == pid:
            self.close()
            self._begin()
            if self._hidden is not None:
                self.follow(self._hidden)


class Birth:
    """A process that a zygote is making. *fds* may be closed once `pid` has been told."""

    def __init__(self, zygote: Zygote, request: _Request, fds: Sequence[int]) -> None:
        self._zygote, self._request, self._fds = zygote, request, fds
        self._asked = zygote.pid
        self._answer = zygote.ask(request, fds)

    def fileno(self) -> int:
        """What turns readable when `pid` need not wait."""
        return self._answer.fileno()

    def pid(self) -> int:
        """Its process id, to be asked for once. Raises `OSError` where the kernel makes none."""
        try:
            return _answered(self._answer)
        except ConnectionError:  # somebody has killed the zygote, and nothing was made
            self._zygote.renew(self._asked)
            return _answered(self._zygote.ask(self._request, self._fds))


def _answered(answer: socket.socket) -> int:
    try:
        return parcel.answered(answer)
    finally:
        answer.close()


def _live(door: socket.socket, roles: Mapping[str, Role], supervisor: int) -> NoReturn:
    """Be the zygote until the supervisor goes, without ever running anything of the caller's stack."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == supervisor:
            _let_go_of_stdout()
            keep_only([door.fileno()])
            gc.disable()
            _serve(door, roles, supervisor)
    except ConnectionError:
        pass  # the supervisor has gone
    finally:
        os._exit(0)


def _let_go_of_stdout() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)


def _serve(door: socket.socket, roles: Mapping[str, Role], supervisor: int) -> NoReturn:
    clone = CloneSibling()
    home = os.pidfd_open(os.getpid())
    while True:
        (role, arguments, inside), (said, *fds) = parcel.receive(door)
        answer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=said)
        try:
            if role == _FOLLOW:
                _follow(fds[0], *arguments)
                _say(answer, os.getpid())
            else:
                pid = _cloned_into(fds[-1], home, clone) if inside else checked(clone())
                if pid == 0:
                    door.close()
                    os.close(home)
                    _play(answer, roles[role], supervisor, fds, arguments)
                _say(answer, pid)
        except OSError as error:
            _say(answer, 0, error.errno or errno.EIO)
        answer.close()
        for fd in fds:
            os.close(fd)


def _say(answer: socket.socket, pid: int, code: int = 0) -> None:
    """Tell who asked, unless somebody else has."""
    try:  # noqa: SIM105 - contextlib is one of those that bring much along
        parcel.answer(answer, pid, code)
    except ConnectionError:
        pass


def _follow(namespace: int, hidden: str | None) -> None:
    setns(namespace, CLONE_NEWNS)
    if hidden is not None:
        checked(libc.unshare(CLONE_NEWNS))
        checked(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None))
        checked(libc.mount(b"none", hidden.encode(), b"tmpfs", ctypes.c_ulong(MS_RDONLY), b"size=4k,mode=755"))


def _cloned_into(inside: int, home: int, clone: CloneSibling) -> int:
    """As *clone*, but the copy is in the pid namespace of pidfd *inside*; this process's own is that of *home*."""
    setns(inside, CLONE_NEWPID)
    # For the copy, which inherits it: nobody in there is to look into what is still this process's.
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    pid = clone()
    if pid:
        code = ctypes.get_errno()
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        setns(home, CLONE_NEWPID)
        ctypes.set_errno(code)
    return checked(pid)


def _play(
    answer: socket.socket, role: Role, supervisor: int, fds: Sequence[int], arguments: tuple[object, ...]
) -> NoReturn:
    """Be a new process. It answers as its zygote does, either of which may be killed before it comes to that."""
    code = 1
    try:
        # Its number where the supervisor is, whatever that is in a namespace it was born in.
        _say(answer, int(os.readlink("/proc/self")))  # noqa: PTH115 - without what pathlib brings along
        answer.close()
        code = role(supervisor, fds, *arguments)
    finally:
        os._exit(code)
