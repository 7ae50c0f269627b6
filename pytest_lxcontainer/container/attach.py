"""Getting a process into a running container: join its namespaces, become its user, execute.

Done with setns(2) on a pidfd, not with the binding's attach: that one holds the interpreter's lock, cannot
tell exit code 255 from a failure, and aborts the interpreter from Python 3.13 on. Everything here runs in
short-lived forks of the small, single-threaded supervisor.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .backend import ExecSpec

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_PARENT = 0x00008000
PR_CAPBSET_DROP = 24
ALL_BUT_USER = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

NOT_EXECUTABLE = 126
NOT_FOUND = 127

_CLONE = {"x86_64": 56, "aarch64": 220, "riscv64": 220, "s390x": 120, "ppc64le": 120, "armv7l": 120}
"""Number of the clone system call by machine; the flags come first but on s390x."""

_CAPABILITIES = {"sys_module": 16, "sys_rawio": 17, "sys_time": 25, "mac_override": 32, "mac_admin": 33}
_CAPABILITIES |= {"syslog": 34, "wake_alarm": 35}

_REPORT = 64

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Target:
    """The running container to get into, by its init's pidfd; *cgroups* are the files to join them by.

    *dropped* are capabilities (LXC's names) that its processes may never have.
    """

    pidfd: int
    cgroups: tuple[Path, ...]
    user_namespace: bool
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spawned:
    """A command in a container: *pid* is a child of the caller, as is the *helper* that made it and ends by itself."""

    pid: int
    helper: int


def spawn(target: Target, spec: ExecSpec, stdio: Sequence[int]) -> Spawned:
    """Run *spec* in the container with three file descriptors; both processes are the caller's to wait for.

    The command leads its own session. A command that cannot be executed ends with 127 (not found) or 126,
    after a line on its stderr, as a shell would have it. Raises `OSError` where the container is gone.
    """
    report, theirs = os.pipe()
    helper = os.fork()
    if helper == 0:
        _in_helper(lambda: _enter_and_clone(target, spec, stdio, theirs), theirs)
    os.close(theirs)
    # One read, not one to the end: the helper's memory takes longer to free than the command to begin.
    word, _, value = os.read(report, _REPORT).partition(b" ")
    os.close(report)
    if word != b"pid":
        os.waitpid(helper, 0)
        code = int(value or errno.ESRCH)
        raise OSError(code, os.strerror(code))
    return Spawned(int(value), helper)


def run_inside(target: Target, work: Callable[[], bytes]) -> bytes:
    """Run *work* in a fork as the container's root among its files, and return what it returns.

    An `OSError` raised inside is raised here.
    """
    report, theirs = os.pipe()
    helper = os.fork()
    if helper == 0:
        _in_helper(lambda: _work_and_report(target, work, theirs), theirs)
    os.close(theirs)
    with os.fdopen(report, "rb") as answer:
        word, _, value = answer.read().partition(b" ")
    os.waitpid(helper, 0)
    if word != b"ok":
        code = int(value or errno.ESRCH)
        raise OSError(code, os.strerror(code))
    return value


def _in_helper(work: Callable[[], None], report: int) -> NoReturn:
    """Run *work* and leave the fork without running anything of the caller's."""
    try:
        work()
    except OSError as error:
        os.write(report, b"errno %d" % (error.errno or errno.EIO))
    except BaseException:  # nothing may unwind into the copy of the caller's stack
        os.write(report, b"errno %d" % errno.EIO)
    os._exit(0)


def _work_and_report(target: Target, work: Callable[[], bytes], report: int) -> None:
    _setns(target.pidfd, CLONE_NEWNS | (CLONE_NEWUSER if target.user_namespace else 0))
    _become(0, 0, ())
    os.umask(0)
    value = work()
    with os.fdopen(os.dup(report), "wb") as answer:
        answer.write(b"ok " + value)


def _enter_and_clone(target: Target, spec: ExecSpec, stdio: Sequence[int], report: int) -> None:
    for entry in target.cgroups:
        entry.write_text("0")
    _setns(target.pidfd, ALL_BUT_USER | (CLONE_NEWUSER if target.user_namespace else 0))
    # Only a child is in the joined pid namespace; CLONE_PARENT makes it a child of the supervisor, which so
    # learns its exit status without a process of ours staying between them.
    pid = _clone_sibling()
    if pid == 0:
        os.close(report)
        _execute(target, spec, stdio)
    os.write(report, b"pid %d" % pid)


def _execute(target: Target, spec: ExecSpec, stdio: Sequence[int]) -> NoReturn:
    """Become the command; never returns into the caller's copy."""
    code = NOT_EXECUTABLE
    try:
        os.setsid()
        for number, fd in enumerate(_above(stdio)):
            os.dup2(fd, number)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for capability in target.dropped:
            _libc.prctl(PR_CAPBSET_DROP, _CAPABILITIES[capability], 0, 0, 0)
        os.umask(0o022)
        _become(spec.uid, spec.gid, spec.groups)
        os.chdir(spec.cwd)
        os.execvpe(spec.args[0], spec.args, dict(spec.env))
    except FileNotFoundError as error:
        code = NOT_FOUND
        _complain(spec, error)
    except OSError as error:
        _complain(spec, error)
    finally:
        os._exit(code)


def _above(stdio: Sequence[int]) -> list[int]:
    """Copies beyond 0 to 2, so that putting one in its place cannot overwrite another."""
    import fcntl

    return [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3) for fd in stdio]


def _complain(spec: ExecSpec, error: OSError) -> None:
    try:
        os.stat(spec.cwd)
        subject = spec.args[0]
    except OSError:
        subject = spec.cwd
    os.write(2, f"exec: {subject}: {os.strerror(error.errno or 0)}\n".encode("utf-8", "surrogateescape"))


def _become(uid: int, gid: int, groups: Sequence[int]) -> None:
    os.setgroups(list(groups))
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _setns(fd: int, flags: int) -> None:
    # os.setns exists from Python 3.12 on only.
    if _libc.setns(fd, flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _clone_sibling() -> int:
    """fork(2), but the child's parent is the caller's own parent."""
    machine = os.uname().machine
    flags = ctypes.c_ulong(CLONE_PARENT | signal.SIGCHLD)
    arguments = (0, flags) if machine == "s390x" else (flags, 0)
    pid: int = _libc.syscall(_CLONE[machine], *arguments, 0, 0, 0)
    if pid < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return pid
