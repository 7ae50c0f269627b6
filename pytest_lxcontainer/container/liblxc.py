"""What the supervisor has LXC do and tell, and reading what LXC wrote about it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ContainerError
from .capabilities import kept_capabilities
from .lxc_config import WRITTEN_OUT
from .monitor import MONITOR, Order, load
from .pty import USUAL_SIZE
from .seccomp import program
from .spec import ContainerSpec
from .zygote import Birth, Zygote

_KILLED = 128
_SHUT_DOWN: dict[int, str] = {signal.SIGHUP: "it rebooted itself, which ends it", signal.SIGINT: "it halted itself"}
"""What has ended a process 1 that the kernel says was killed by a signal which cannot kill one: reboot(2)."""
_ENDED = re.compile(r"Child <\d+> ended on (error|signal)[^(\n]*\((\d+)\)")
_PROBLEM = re.compile(r"\b(ERROR|CRIT|ALERT|FATAL)\s+(\S+) - \S+:(\w+):\d+ - (.*)")


@dataclass(frozen=True, slots=True)
class Plan:
    """A start of the container whose configuration file is *directory*``/config``; the rest is as in `Order`."""

    directory: Path
    spec: ContainerSpec
    rejoins: bool = False
    waits: bool = False
    size: tuple[int, int] = USUAL_SIZE


def start_monitor(zygote: Zygote, plan: Plan, fds: Sequence[int]) -> Birth:
    """Start a container; returns its monitor, as it is born. *fds* are as in `monitor.monitor`."""
    spec = plan.spec
    order = Order.packed(
        name=plan.directory.name,
        lxcpath=str(plan.directory.parent),
        env=_missing(spec.env),
        command=spec.command,
        init=spec.init,
        begins_with_init=spec.begins_with_init,
        tty=spec.tty,
        size=plan.size,
        uid=spec.uid,
        gid=spec.gid,
        groups=spec.groups,
        filters=program(kept_capabilities(spec)) if spec.begins_with_init else b"",
        rejoins=plan.rejoins,
        waits=plan.waits,
    )
    return zygote.begin(MONITOR, order, fds)


def _missing(env: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What LXC does not find in the configuration file."""
    return tuple((key, value) for key, value in env if key not in WRITTEN_OUT)


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
            answer = question(load(name, str(lxcpath), dict(_missing(env.items()))))
            with os.fdopen(theirs, "w") as file:
                json.dump(answer, file)
        finally:
            os._exit(0)
    os.close(theirs)
    return Reader(pid, output)


def _configuration(container: Any, key: str | None) -> Any:
    if key is None:
        return container.get_keys().split()
    try:
        value = container.get_config_item(key)
        if container.running:
            value = container.get_running_config_item(key) or value
    except KeyError:
        return None
    return value.rstrip("\n")


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
