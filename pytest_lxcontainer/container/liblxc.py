"""The one module that imports `lxc`: starting a container, and reading what LXC wrote about it.

`start_monitor` forks; the fork calls liblxc's start in the foreground and so *is* the container's monitor,
a child of the supervisor. That gives the container pipes of ours as stdout and stderr, the supervisor an exit to
wait for, and the kernel a parent whose death ends the whole container.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import lxc

from .lxc_config import WRITTEN_OUT

PR_SET_PDEATHSIG = 1

STARTED, REFUSED = 0, 1
"""Exit codes of a monitor: the container ran and ended, or liblxc would not start it."""

_KILLED = 128
_ENDED = re.compile(r"Child <\d+> ended on (error|signal)[^(\n]*\((\d+)\)")
_PROBLEM = re.compile(r"\b(ERROR|CRIT|ALERT|FATAL)\s+(\S+) - \S+:(\w+):\d+ - (.*)")
_libc = ctypes.CDLL(None)

version: str = lxc.version


def start_monitor(
    name: str, lxcpath: Path, command: Sequence[str], env: Mapping[str, str], stdio: Sequence[int]
) -> int:
    """Start the container whose configuration file is ``lxcpath/name/config``; returns its monitor's pid.

    *stdio* become the command's stdin, stdout and stderr. The command runs under LXC's own small init.
    """
    pid = os.fork()
    if pid == 0:
        _monitor(name, lxcpath, command, env, stdio)
    return pid


def _monitor(
    name: str, lxcpath: Path, command: Sequence[str], env: Mapping[str, str], stdio: Sequence[int]
) -> NoReturn:
    code = REFUSED
    try:
        parent = os.getppid()
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if parent == os.getppid():
            os.setsid()
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
            _default_signals()
            # LXC takes the values of lxc.environment items without one from here; WRITTEN_OUT keeps its own.
            os.environ.update({key: value for key, value in env.items() if key not in WRITTEN_OUT})
            # Where an ordinary user's lock files go: to be removed with the run.
            os.environ["XDG_RUNTIME_DIR"] = str(lxcpath)
            container = lxc.Container(name, str(lxcpath))
            started = container.start(useinit=True, daemonize=False, close_fds=True, cmd=tuple(command))
            code = STARTED if started else REFUSED
    finally:
        os._exit(code)


def _default_signals() -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def exit_code_in(log: str) -> int:
    """What init ended with, from LXC's log; LXC writes it down only when it is not 0.

    A command killed by a signal counts as 128 + signal, as LXC's init reports it, and so does init itself.
    """
    found = _ENDED.findall(log)
    if not found:
        return 0
    how, number = found[-1]
    return int(number) + (_KILLED if how == "signal" else 0)


def problems_in(log: str, limit: int = 6) -> list[str]:
    """The last error lines of LXC's log, without its time stamps and source positions."""
    found = [f"{match[3]}: {match[4]}" for match in _PROBLEM.finditer(log)]
    return found[-limit:]
