"""One start of a container, from the fork of its monitor until the monitor has ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from ..container import liblxc
from ..container.backend import ExecSpec
from ..container.cgroups import Hierarchies, cgroups_of
from ..container.launcher import Entering, Launcher
from ..container.liblxc import Plan
from ..container.pty import other_end
from ..container.stats import Spent
from ..container.target import Target
from ..container.zygote import Zygote
from .console import Console
from .herald import Herald
from .loop import wait
from .own_cgroups import OwnCgroups

PROBE_INTERVAL = 0.0005
ENTERING = 2
"""Commands that each find their own way in; with the next comes a launcher: three cost as much either way."""
FIRST_MOMENT = 0.02
"""Seconds a command may run without a pause before it counts as started."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What is done when init tells that it is there: it is shown the way into its *own* cgroups.

    *wire* is given its pid, and tells what kept it from its part, or nothing.
    """

    own: OwnCgroups | None = None
    wire: Callable[[int], Awaitable[str]] | None = None

    @property
    def waits(self) -> bool:
        """Whether init goes on only when it is told to."""
        return self.own is not None or self.wire is not None


class Boot:
    """The processes and descriptors of a running container.

    The command's stdin is a pipe that stays open and silent: an image whose command is a shell waits there
    for input, as under ``docker run --interactive``, and the container lives until it is stopped. Or it has a
    *terminal*, whose other end this is, once init has told of it.
    """

    def __init__(self, monitor: int, console: Console, output: int, stdin: int, herald: Herald, has_init: bool) -> None:
        self.monitor = monitor
        self.monitor_pidfd = os.pidfd_open(monitor)
        self.console = console
        self.output = output
        self.terminal: int | None = None
        self.init: int | None = None
        self.init_pidfd: int | None = None
        self.entry: int | None = None
        self.entry_pidfd: int | None = None
        self.command: int | None = None
        self.executed = False
        self.monitor_code: int | None = None
        self.cgroups: dict[str, Path] = {}
        self._herald = herald
        self._greeting = Greeting()
        self._is_new = False
        self.problem = ""
        """Why it was killed before its command was there."""
        self.wired = False
        """Whether it reaches whom it should, and nobody else."""
        self.devices: set[str] = set()
        """Paths inside of devices that were added since."""
        self.interfaces: dict[str, str] = {}
        """Names inside, and on the host, of interfaces that were attached since."""
        self.launcher: Launcher | None = None
        self._entered = 0
        self.spent = Spent()
        self._stdin: int | None = stdin
        self._slave: int | None = None
        self._has_init = has_init

    @classmethod
    async def begin(cls, zygote: Zygote, plan: Plan, console: Console) -> Boot:
        """Have *zygote* make the monitor."""
        output, output_theirs = os.pipe()
        stdin_theirs, stdin = os.pipe()
        herald = Herald()
        try:
            # An image may open /dev/stdout as another user than the one these pipes are made by.
            os.fchmod(output_theirs, 0o622)
            os.fchmod(stdin_theirs, 0o644)
            fds = (stdin_theirs, output_theirs, output_theirs, herald.theirs.fileno())
            birth = liblxc.start_monitor(zygote, plan, fds)
            await wait([birth.fileno()])
            monitor = birth.pid()
        except OSError:
            os.close(output)
            os.close(stdin)
            herald.close()
            raise
        finally:
            herald.theirs.close()
            os.close(output_theirs)
            os.close(stdin_theirs)
        os.set_blocking(output, False)
        return cls(monitor, console, output, stdin, herald, plan.spec.init)

    async def until_executed(self, hierarchies: Hierarchies, greeting: Greeting, deadline: float, pause: float) -> bool:
        """Wait until the command has been executed, or the monitor has ended; false when *deadline* comes first.

        It is looked at each *pause* seconds, where nothing tells.
        """
        self._greeting = greeting
        try:
            while not self.ended() and not self._probe(hierarchies):
                if self._is_new:
                    self._is_new = False
                    await self._admit()
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                # An ordinary user may look at what is executed a moment later only.
                tells = self._herald.speaks and not self._herald.executed
                await wait([self.monitor_pidfd, *self._herald.fds], left if tells else pause)
        finally:
            self._herald.close()
        return True

    def _probe(self, hierarchies: Hierarchies) -> bool:
        """Whether the command has been executed: init's child, or process 1 itself, is no longer a copy of us."""
        if self.executed:
            return True
        self._herald.listen()
        if self.terminal is None and self._herald.terminal is not None:
            self.terminal = self._herald.terminal
            # Without any, the end of what the command writes would seem to have come: it may open it anew, as /dev/tty.
            self._slave = other_end(self.terminal)
        if self._herald.speaks:
            if self.init is None and self._herald.init is not None:
                self.init = self._herald.init
                self._is_new = True
            if self._herald.executed and self._herald.command and _is_foreign(self._herald.command):
                self._adopt(self._herald.command, hierarchies)
            return self.executed
        if self.init is None:
            children = _children(self.monitor)
            # LXC's monitor has other short-lived children; init is the one in a pid namespace of its own.
            self.init = next((pid for pid in children if _is_init(pid)), None)
        command = self.init
        if self.init and self._has_init:
            command = next(iter(_children(self.init)), None)
        if command is None or not _is_foreign(command):
            return False
        self._adopt(command, hierarchies)
        return self.executed

    async def _admit(self) -> None:
        assert self.init is not None  # it has just been heard of
        if self._greeting.wire is not None:
            self.problem = await self._greeting.wire(self.init)
        if self.problem:
            self.kill_init()
        elif self._greeting.waits:
            with self._greeting.own.entries() if self._greeting.own is not None else nullcontext(()) as entries:
                self._herald.show_in(entries)

    def _adopt(self, command: int, hierarchies: Hierarchies) -> None:
        assert self.init is not None  # a command is init's child
        try:
            self.init_pidfd = os.pidfd_open(self.init)
            # Not LXC's init, which is opaque (PR_SET_DUMPABLE of prctl(2)): the command lives as long, in the same
            # namespaces.
            self.entry = command
            self.entry_pidfd = os.pidfd_open(self.entry)
            self.cgroups = (
                cgroups_of(self.init, hierarchies) if self._greeting.own is None else self._greeting.own.directories
            )
        except OSError:
            return
        self.command = command
        self.executed = True

    async def first_moment(self, timeout: float, pause: float) -> None:
        """Let a command that ends at once do so: wait until it waits for something, or has run on for a while.

        It is looked at each *pause* seconds. One that has ended already is waited for (*timeout* seconds): LXC needs a
        moment to notice and to clean up.
        """
        begin = time.monotonic()
        while not self.ended() and time.monotonic() - begin < timeout:
            state = self._command_state()
            if state == "S" or (state and time.monotonic() - begin > FIRST_MOMENT):
                return
            await wait([self.monitor_pidfd], pause)

    @property
    def is_over(self) -> bool:
        """Whether its command has ended, which LXC needs a moment to notice."""
        return self.ended() or not self._command_state()

    def _command_state(self) -> str:
        """The command's state as in proc_pid_stat(5), ``S`` while it waits for something; empty once it has ended."""
        try:
            state = _text(f"/proc/{self.command}/stat").rpartition(")")[2].split()[0]
        except OSError:
            return ""
        return "" if state in "ZX" else state

    def ended(self) -> bool:
        """Whether the monitor has ended; reaps it."""
        if self.monitor_code is None:
            pid, status, usage = os.wait4(self.monitor, os.WNOHANG)
            if pid:
                self.spent.add(usage)  # init's too, and its children's: the monitor has waited for it
                self.monitor_code = os.waitstatus_to_exitcode(status)
        return self.monitor_code is not None

    async def launch(self, zygote: Zygote, target: Target, spec: ExecSpec, stdio: Sequence[int]) -> int:
        """Start a command in it, as `Launcher.spawn`: the first few, if *target* takes such, without a launcher."""
        if target.takes_entering and self._entered < ENTERING:
            self._entered += 1
            entering = Entering(zygote, target, spec, stdio)
            for _ in ("born", "in"):
                await wait([entering.fileno()])
                entering.go_on()
            return entering.pid
        return self._launch(zygote, target, spec, stdio)

    def _launch(self, zygote: Zygote, target: Target, spec: ExecSpec, stdio: Sequence[int]) -> int:
        if self.launcher is not None:
            try:
                return self.launcher.spawn(spec, stdio)
            except BrokenPipeError:  # somebody has killed it
                self.launcher.close()
                self.launcher = None
        launcher = Launcher(zygote, target)
        launcher.stand()
        self.launcher = launcher
        return self.launcher.spawn(spec, stdio)

    @property
    def input(self) -> int | None:
        """Where what its command is to read is written; ``None`` after `close_input`."""
        return self._stdin if self.terminal is None else self.terminal

    def close_input(self) -> None:
        """Let its command's stdin end, once all who have a copy of it have closed that; a terminal stays."""
        fd, self._stdin = self._stdin, None
        if fd is not None:
            os.close(fd)

    def signal_command(self, number: int) -> None:
        """Send a signal to the command itself, past LXC's init, which would add a deadline of its own."""
        if self.command is not None and not self._send(self.command, number):
            self.command = None
        if self.command is None:
            self.kill_init(number)

    def kill_init(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to init; SIGKILL ends every process of the container."""
        try:
            if self.init_pidfd is not None:
                signal.pidfd_send_signal(self.init_pidfd, number)
            elif self.init is not None:
                os.kill(self.init, number)
            elif number == signal.SIGKILL:
                os.kill(self.monitor, number)
        except ProcessLookupError:
            pass

    async def until_init_is_gone(self, timeout: float) -> None:
        """Wait until init, which is being killed, has ended and its monitor knows; at most *timeout* seconds."""
        deadline = time.monotonic() + timeout
        while not self.ended() and self._has_init_process() and time.monotonic() < deadline:
            await wait([self.monitor_pidfd], PROBE_INTERVAL)

    def _has_init_process(self) -> bool:
        """Whether init is there, if only as a zombie."""
        assert self.init_pidfd is not None  # its command has been executed
        try:
            signal.pidfd_send_signal(self.init_pidfd, 0)
        except ProcessLookupError:
            return False
        return True

    def kill_monitor(self) -> None:
        """SIGKILL the monitor; the kernel then kills init."""
        if not self.ended():
            os.kill(self.monitor, signal.SIGKILL)

    def close(self) -> None:
        """Close what is open, and end the launcher, which holds mounts and interfaces."""
        if self.launcher is not None:
            self.launcher.close()
        pidfds = (self.monitor_pidfd, self.init_pidfd, self.entry_pidfd)
        for fd in (*pidfds, self.output, self._stdin, self.terminal, self._slave):
            if fd is not None:
                os.close(fd)

    @staticmethod
    def _send(pid: int, number: int) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def _text(path: str) -> str:
    """A file of ``/proc``, at a fraction of what `Path.read_text` costs: a start reads dozens."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in _text(f"/proc/{pid}/task/{pid}/children").split()]
    except OSError:
        return []


def _is_init(pid: int) -> bool:
    """Whether *pid* is the first process of a pid namespace below ours (NSpid of proc_pid_status(5))."""
    try:
        status = _text(f"/proc/{pid}/status")
    except OSError:
        return False
    line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return len(line.split()) > 2 and line.split()[-1] == "1"


def _is_foreign(pid: int) -> bool:
    """Whether *pid* executes another file than this process: it has called execve.

    Before it has, an ordinary user may not even look (EACCES). The same path in an image is another file.
    """
    try:
        theirs, ours = os.stat(f"/proc/{pid}/exe"), os.stat("/proc/self/exe")
    except OSError:
        return False
    return (theirs.st_dev, theirs.st_ino) != (ours.st_dev, ours.st_ino)
