"""The one module that imports `lxc`: starting a container, and reading what LXC wrote about it.

`start_monitor` forks; the fork calls liblxc's start in the foreground and so *is* the container's monitor,
a child of the supervisor. That gives the container pipes of ours as stdout and stderr, the supervisor an exit to
wait for, and the kernel a parent whose death ends the whole container.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import lxc

from ..errors import ContainerError
from .attach import PR_SET_DUMPABLE, PR_SET_PDEATHSIG
from .lxc_config import WRITTEN_OUT
from .spec import ContainerSpec

CANNOT_BECOME, CANNOT_EXECUTE = 254, 255
STARTED, REFUSED = 0, 1
"""Exit codes of a monitor: the container ran and ended, or liblxc would not start it."""

_KILLED = 128
_SHUT_DOWN: dict[int, str] = {signal.SIGHUP: "it rebooted itself, which ends it", signal.SIGINT: "it halted itself"}
"""What has ended a process 1 that the kernel says was killed by a signal which cannot kill one: reboot(2)."""
_ENDED = re.compile(r"Child <\d+> ended on (error|signal)[^(\n]*\((\d+)\)")
_PROBLEM = re.compile(r"\b(ERROR|CRIT|ALERT|FATAL)\s+(\S+) - \S+:(\w+):\d+ - (.*)")
_libc = ctypes.CDLL(None)
_register_atfork = _libc.__register_atfork  # what pthread_atfork(3) comes to

version: str = lxc.version


def start_monitor(name: str, lxcpath: Path, spec: ContainerSpec, stdio: Sequence[int]) -> int:
    """Start the container whose configuration file is ``lxcpath/name/config``; returns its monitor's pid.

    *stdio* become the command's stdin, stdout and stderr.
    """
    pid = os.fork()
    if pid == 0:
        _monitor(name, lxcpath, spec, stdio)
    return pid


def _monitor(name: str, lxcpath: Path, spec: ContainerSpec, stdio: Sequence[int]) -> NoReturn:
    code = REFUSED
    try:
        parent = os.getppid()
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if parent == os.getppid():
            os.setsid()
            for number, fd in enumerate(stdio):
                os.dup2(fd, number)
            # Those of every other container: LXC would close them one by one, and look for them anew after each.
            os.closerange(len(stdio), os.sysconf("SC_OPEN_MAX"))
            _default_signals()
            container = _load(name, lxcpath, dict(spec.env))
            if spec.begins_with_init:
                _Init(spec).expect()
            started = container.start(useinit=spec.begins_with_init, daemonize=False, close_fds=True, cmd=spec.command)
            code = STARTED if started else REFUSED
    finally:
        os._exit(code)


def _load(name: str, lxcpath: Path, env: Mapping[str, str]) -> Any:
    """The container of the configuration file, whose lxc.environment items without a value get that in *env*.

    LXC takes them from its own environment while it reads the file. They must be gone from there when it runs programs
    of the host, such as a shell for an ordinary user's newuidmap: LD_PRELOAD is the image's to choose.
    """
    # Where an ordinary user's lock files go: to be removed with the run.
    os.environ["XDG_RUNTIME_DIR"] = str(lxcpath)
    own = dict(os.environ)
    os.environ.update({key: value for key, value in env.items() if key not in WRITTEN_OUT})
    container = lxc.Container(name, str(lxcpath))
    os.environ.clear()
    os.environ.update(own)
    return container


class _Init:
    """What LXC's init, a copy of this process, does besides: around the fork in which it makes the command."""

    def __init__(self, spec: ContainerSpec) -> None:
        self._spec = spec
        self._is_init = False
        self._handlers = tuple(ctypes.CFUNCTYPE(None)(handler) for handler in (self._hide, self._become_user))

    def expect(self) -> None:
        """Have the C library's fork(2) call this, in this process and its copies."""
        before, in_child = self._handlers
        _register_atfork(before, None, in_child, None)

    def _hide(self) -> None:
        """Close init to the container's other processes: memory, open files, executable.

        Not dumpable, it is open only to those with CAP_SYS_PTRACE on the host (ptrace(2), "access mode checking"). The
        execve of the command ends that for the command.
        """
        self._is_init = os.getpid() == 1
        if self._is_init:
            _libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
            if not self._spec.init:
                self._become_command()

    def _become_command(self) -> NoReturn:
        """Become the command instead of making it: as process 1, and with its groups."""
        self._become_user()
        _default_signals()
        words = [os.fsencode(word) for word in self._spec.command]
        # Not Python's, whose environment is the monitor's.
        _libc.execvp(words[0], (ctypes.c_char_p * (len(words) + 1))(*words, None))
        os._exit(CANNOT_EXECUTE)

    def _become_user(self) -> None:
        """Here, since LXC 5.0 has ``lxc.init.groups`` and goes by it too late or never."""
        if not self._is_init:
            return
        try:
            os.setgroups(list(self._spec.groups))
            os.setresgid(self._spec.gid, self._spec.gid, self._spec.gid)
            os.setresuid(self._spec.uid, self._spec.uid, self._spec.uid)
        except BaseException:  # nothing may go on as root; what is raised in a callback is only printed
            os._exit(CANNOT_BECOME)


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that asks LXC something about a container; the answer is JSON in a pipe."""

    pid: int
    output: int

    def kill(self) -> None:
        """End it: LXC does not answer."""
        os.kill(self.pid, signal.SIGKILL)

    def result(self) -> Any:
        """The answer, once it has ended; raises `ContainerError` where there is none."""
        with os.fdopen(self.output, "rb") as output:
            text = output.read()
        os.waitpid(self.pid, 0)
        if not text:
            raise ContainerError("LXC did not answer", hint="see: lxcontainer doctor")
        return json.loads(text)


def start_reader(name: str, lxcpath: Path, key: str | None, env: Mapping[str, str]) -> Reader:
    """Ask for the values of *key*, a line for each (``null`` for an unknown key), or for all keys.

    A running container's monitor is asked, else its configuration file, which LXC reads only where its *env* is.
    """
    return _start(name, lxcpath, env, lambda container: _configuration(container, key))


def start_allowing(name: str, lxcpath: Path, device: str, env: Mapping[str, str]) -> Reader:
    """Have a running container's v2 cgroup let it use *device*, as ``c 1:5 rwm``; the answer is whether it does."""
    return _start(name, lxcpath, env, lambda container: container.set_cgroup_item("devices.allow", device))


def _start(name: str, lxcpath: Path, env: Mapping[str, str], question: Callable[[Any], Any]) -> Reader:
    output, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = question(_load(name, lxcpath, env))
            with os.fdopen(theirs, "w") as file:
                json.dump(answer, file)
        finally:
            os._exit(0)
    os.close(theirs)
    return Reader(pid, output)


def _configuration(container: Any, key: str | None) -> Any:
    if key is None:
        return list(container.get_keys())
    try:
        value = container.get_config_item(key)
        if container.running:
            value = container.get_running_config_item(key) or value
    except KeyError:
        return None
    return (value if isinstance(value, str) else "\n".join(value or ())).rstrip("\n")


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


def shut_down_in(log: str) -> str:
    """What a process in the container asked the kernel for, if that has ended it; empty if not."""
    found = _ENDED.findall(log)
    how, number = found[-1] if found else ("", "0")
    return _SHUT_DOWN.get(int(number), "") if how == "signal" else ""


def problems_in(log: str, limit: int = 6) -> list[str]:
    """The last error lines of LXC's log, without its time stamps and source positions."""
    found = [f"{match[3]}: {match[4]}" for match in _PROBLEM.finditer(log)]
    return found[-limit:]
