"""The one module that imports LXC's binding; and a container's monitor, which is a process that calls its start.

It does so in the foreground, as a child of the supervisor. That gives the container pipes of ours as stdout and
stderr, the supervisor an exit to wait for, and the kernel a parent whose death ends the whole container.
"""

from __future__ import annotations

import ctypes
import os

# Not `lxc`, whose Python adds nothing that is used here, but brings half the standard library.
import _lxc

from .attach import (
    CLONE_NEWCGROUP,
    CLONE_NEWNS,
    PR_SET_DUMPABLE,
    PR_SET_PDEATHSIG,
    checked,
    confine,
    libc,
    setns,
)
from .parcel import Record, receive_fds, send_fds
from .pty import PTMX, prepare, take_control

TYPE_CHECKING = False  # not typing's: see `zygote`
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Mapping, Sequence
    from typing import Any, NoReturn
else:
    import _signal as signal
    import _socket as socket

MONITOR = "monitor"
"""The role of a zygote that `monitor` is."""

CANNOT_BECOME, CANNOT_EXECUTE = 254, 255
STARTED, REFUSED = 0, 1
"""Exit codes of a monitor: the container ran and ended, or liblxc would not start it."""

HERALD = 3
"""The descriptor at which init speaks to the supervisor; LXC 5.0 and later leave it open for LISTEN_FDS."""

MOST_CGROUPS = 16
"""Cgroups that init may be shown the way into."""

_register_atfork = libc.__register_atfork  # what pthread_atfork(3) comes to


class Order(Record):
    """What a monitor needs to know: of a `ContainerSpec`, in what marshal takes."""

    name: str
    lxcpath: str
    env: tuple[tuple[str, str], ...]
    """Values of the lxc.environment items that have none in the configuration file."""
    command: tuple[str, ...]
    init: bool
    begins_with_init: bool
    tty: bool
    """Whether the command gets a terminal of the container's, of which the supervisor has the other end."""
    size: tuple[int, int]
    """That terminal's lines and columns."""
    uid: int
    gid: int
    groups: tuple[int, ...]
    filters: bytes
    """What `seccomp.program` gave; empty where LXC is told of a profile."""
    rejoins: bool
    """Whether the monitor joins the supervisor's mounts, where the zygote's hide the cgroups."""
    waits: bool
    """Whether init waits to be told that it may go on, and where to: see `boot.Greeting`."""


def monitor(supervisor: int, fds: Sequence[int], *order: Any) -> int:
    """Run the container whose configuration file is ``lxcpath/name/config``; returns how that went.

    The first three of *fds* become the command's stdin, stdout and stderr; at the fourth its init tells of the start.
    """
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:
        return REFUSED
    what = Order(*order)
    if what.rejoins:
        _join_mounts_of(supervisor)
    os.setsid()
    for number, fd in enumerate(fds):
        if fd != number:
            os.dup2(fd, number)
            os.close(fd)
    _default_signals()
    return STARTED if _run(what) else REFUSED


def _join_mounts_of(pid: int) -> None:
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    setns(namespace, CLONE_NEWNS)
    os.close(namespace)


def _run(order: Order) -> bool:
    # The ways to the layers are from there: `Overlay.home`.
    os.chdir(order.lxcpath)
    container = load(order.name, order.lxcpath, dict(order.env))
    if order.begins_with_init:
        # Whatever the name says, and sd_listen_fds(3), LXC takes it for the number of the last one to be left open.
        os.environ["LISTEN_FDS"] = str(HERALD)
        _Init(order).expect()
    started: bool = container.start(useinit=order.begins_with_init, daemonize=False, close_fds=True, cmd=order.command)
    return started


def load(name: str, lxcpath: str, env: Mapping[str, str]) -> Any:
    """The container of the configuration file, whose lxc.environment items without a value get that in *env*.

    LXC takes them from its own environment while it reads the file. They must be gone from there when it runs programs
    of the host, such as a shell for an ordinary user's newuidmap: LD_PRELOAD is the image's to choose.
    """
    # Where an ordinary user's lock files go: to be removed with the run.
    os.environ["XDG_RUNTIME_DIR"] = lxcpath
    own = dict(os.environ)
    os.environ.update(env)
    container = _lxc.Container(name, lxcpath)
    os.environ.clear()
    os.environ.update(own)
    return container


class _Init:
    """What LXC's init, a copy of this process, does besides: around the fork in which it makes the command."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._is_init = False
        self._herald = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=HERALD)
        self._is = _identity(HERALD)
        self._told: tuple[int, ...] = ()
        self._terminal: int | None = None
        handlers = (self._begin, self._end, self._become_user)
        self._handlers = tuple(ctypes.CFUNCTYPE(None)(handler) for handler in handlers)

    def expect(self) -> None:
        """Have the C library's fork(2) call this, in this process and its copies."""
        before, in_parent, in_child = self._handlers
        _register_atfork(before, in_parent, in_child, None)

    def _begin(self) -> None:
        """Be closed to the container's other processes: memory, open files, executable.

        Not dumpable, it is open only to those with CAP_SYS_PTRACE on the host (ptrace(2), "access mode checking"). The
        execve of the command ends that for the command.
        """
        self._is_init = os.getpid() == 1
        if self._is_init:
            libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
            if self._order.tty:
                self._tell_with_terminal()
            else:
                self._tell()
            if self._order.waits:
                self._wait()
            self._confine()
            if not self._order.init:
                self._become_command()

    def _tell(self, *more: int) -> None:
        """Let the supervisor know who init is, and when the command has been executed: a descriptor closes then."""
        if _identity(HERALD) == self._is:  # else an LXC before 5.0 has closed it, and it may be something else now
            self._told = os.pipe()
            self._say(b"i", (self._told[0], *more))

    def _tell_with_terminal(self) -> None:
        """As `_tell`, and hand a terminal over that the command will have the other end of."""
        try:
            master = os.open(PTMX, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            self._terminal = prepare(master, self._order.uid, self._order.size)
            self._tell(master)
            os.close(master)
            if not self._told:
                os.write(2, b"a terminal for its command needs LXC 5.0 or later\n")
                os._exit(CANNOT_BECOME)
        except BaseException:  # what is raised in a callback is only printed
            os._exit(CANNOT_BECOME)

    def _say(self, what: bytes, fds: Sequence[int] = ()) -> None:
        try:
            send_fds(self._herald, what, fds)
        except OSError:  # the supervisor has gone
            return

    def _wait(self) -> None:
        """Wait for its network, and for the way into its cgroups: the root of all that will be seen of them here.

        It enters them by itself, and with a single thread: so the kernel need not lock everybody else out, which takes
        its time.
        """
        try:
            said, entries = receive_fds(self._herald, 1, MOST_CGROUPS)
            if not said:
                os._exit(CANNOT_BECOME)
            for entry in entries:
                os.write(entry, b"0")
                os.close(entry)
            if entries:
                checked(libc.unshare(CLONE_NEWCGROUP))
        except BaseException:  # what is raised in a callback is only printed
            os._exit(CANNOT_BECOME)

    def _end(self) -> None:
        """Let go, in init, of what the command will close."""
        if self._is_init and self._told:
            self._herald.close()
            for fd in self._told:
                os.close(fd)
            if self._terminal is not None:
                os.close(self._terminal)

    def _confine(self) -> None:
        """Put the filter of system calls on: LXC would make it anew for each container, by way of 300 lines of log."""
        try:
            if self._order.filters:
                confine(self._order.filters)
        except BaseException:  # nothing may go on without; what is raised in a callback is only printed
            os._exit(CANNOT_BECOME)

    def _become_command(self) -> NoReturn:
        """Become the command instead of making it: as process 1, and with its groups."""
        self._become_user()
        _default_signals()
        words = [os.fsencode(word) for word in self._order.command]
        # Not Python's, whose environment is the monitor's.
        libc.execvp(words[0], (ctypes.c_char_p * (len(words) + 1))(*words, None))
        os._exit(CANNOT_EXECUTE)

    def _become_user(self) -> None:
        """Here, since LXC 5.0 has ``lxc.init.groups`` and goes by it too late or never."""
        if not self._is_init:
            return
        try:
            if self._told:
                self._say(b"c")
                os.set_inheritable(HERALD, False)
            if self._terminal is not None:
                self._take_terminal(self._terminal)
            os.setgroups(list(self._order.groups))
            os.setresgid(self._order.gid, self._order.gid, self._order.gid)
            os.setresuid(self._order.uid, self._order.uid, self._order.uid)
        except BaseException:  # nothing may go on as root; what is raised in a callback is only printed
            os._exit(CANNOT_BECOME)

    def _take_terminal(self, fd: int) -> None:
        if os.getsid(0) != os.getpid():
            os.setsid()
        for number in range(3):
            os.dup2(fd, number)
        take_control(fd)


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _default_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
