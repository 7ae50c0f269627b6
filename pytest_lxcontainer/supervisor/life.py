"""One container of the run, from its reservation to its removal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..container.backend import ExecSpec, Status
from ..container.capabilities import dropped_capabilities, kept_capabilities
from ..container.cgroups import cgroups_of, entry_files, freezer_in
from ..container.inside import AtRest
from ..container.liblxc import Plan
from ..container.monitor import REFUSED
from ..container.mount_entries import entries
from ..container.process_tree import kill_tree
from ..container.pty import USUAL_SIZE
from ..container.seccomp import program
from ..container.spec import ContainerSpec
from ..container.stats import Processes, Usage, read_stats, usage_in, usage_of
from ..container.target import Target
from ..rootfs.mount_points import MountPoint, Wanted
from ..rootfs.overlay import Overlay, forget_volatile, paths_of
from . import refusals
from .boot import PROBE_INTERVAL, Boot, Greeting
from .captures import Captures
from .console import Console
from .faults import Faults, FaultsRefusedError
from .freezing import Freezing
from .leftovers import Leftovers
from .loop import Loop, until_gone, wait
from .lxc_log import LxcLog
from .means import Means
from .oom import MemoryGuard, spare
from .own_cgroups import OwnCgroups
from .owner import Owner
from .preparing import prepare
from .record import Record
from .reserved import Reserved
from .wiring import Wiring
from .work import Works

ENTERED = ".lxc"
"""LXC's own name for a cgroup of what enters a container."""

KILL_GRACE = 5.0
"""Seconds a monitor has to clean up after its container's death before it is killed too."""


class Life:
    """A container's state and everything on the host that is its own."""

    def __init__(self, name: str, spec: ContainerSpec, reserved: Reserved, means: Means) -> None:
        self.name, self.spec = name, spec
        self.host = host = means.host
        self.directory, self.files = reserved.directory, reserved.files
        self.idmap = reserved.idmap
        self.address, self.creator = reserved.address, reserved.creator
        self.exit_code: int | None = None
        self.reason = ""
        self.record = Record(time.time())
        self.console = Console(self.directory / "console.log")
        self.works = Works()
        self._loop: Loop | None = None
        self.freezing = Freezing()
        self.boot: Boot | None = None
        self.terminal_size = USUAL_SIZE
        """Lines and columns that its terminal has at its next start, if it has one."""
        self.mounted: set[str] = set()
        """Paths, relative to its root, that something was mounted on."""
        self._reserved = reserved
        self._base = reserved.overlay
        self._layer: Path | None = None
        """What is on top of its layers for its mounts."""
        self._means = means
        self._phase = "STOPPED"
        self._killed = self._is_beginning = False
        self._used = Usage()
        """What its last start that has ended used."""
        self._log = LxcLog(self.files / "lxc.log")
        bases, unified = host.cgroup_base, host.cgroup_base.get("")
        self._memory = MemoryGuard(unified / reserved.cgroup if unified is not None else None)
        self._own_cgroups = OwnCgroups(bases, reserved.cgroup) if host.makes_cgroups and spec.leaves_cgroups else None
        self.faults, self.captures = Faults(is_root=host.is_root), Captures(is_root=host.is_root)
        plug = reserved.plug(spec) if host.is_root and spec.begins_with_init else None
        bridge = self.address.bridge if self.address is not None else None
        self._wiring = Wiring(means.wires, plug, bridge, self.faults, lambda: means.neighbours.of(self))
        self._leftovers = Leftovers([base / reserved.cgroup for base in bases.values()], reserved.pair, self.works)

    @property
    def state(self) -> str:
        """LXC's word for its state."""
        return "FROZEN" if self._phase == "RUNNING" and self.freezing.frozen else self._phase

    @property
    def stage(self) -> Path | None:
        """A directory in which device nodes can be made, where this is root's run."""
        return self._reserved.stage

    @property
    def lxcpath(self) -> Path:
        """Where LXC finds its directory, by a path that its root may pass."""
        return self.files.parent

    def status(self) -> Status:
        """The container now."""
        ips = (str(self.address.address),) if self.address else ()
        pid = self.boot.init if self.boot and self.boot.executed else None
        return Status(self.name, self.state, ips, pid, self.exit_code, self.reason)

    def overlay(self) -> Overlay:
        """Its stack by the paths that this process knows."""
        return Overlay(paths_of(self.spec.lower_dirs), self.directory / "upper")

    def rebase(self, lower_dirs: Sequence[str], overlay: Overlay) -> None:
        """Have it start from other layers than it was made of."""
        self.spec = replace(self.spec, lower_dirs=tuple(lower_dirs))
        self._base, self._layer = overlay, None
        self._reserved = replace(self._reserved, overlay=overlay)

    def write_config(self) -> None:
        """Write LXC's configuration file; raises `NotDelegatedError` for limits that cannot be enforced."""
        refusals.check_limits(self.name, self.spec.limits, self.spec.limits.explicit, self.host)
        if self.spec.systemd and not self.host.cgroup_base:
            raise refusals.not_delegated(self.name, "systemd", self.host)
        forget_volatile(self._reserved.overlay.work_dir)
        points = self._mount_points([entry.wanted for entry in entries(self.spec, self.files)])
        self.mounted.update(point.path for point in points)
        self._reserved.write_config(
            self.name,
            self.spec,
            self.host,
            points,
            by_lxc=self._own_cgroups is None,
            plugged=self._wiring.comes_first,
        )

    def _make_cgroups(self) -> None:
        if self._own_cgroups is not None:
            try:
                self._own_cgroups.make(self.spec.limits, self.host.disks)
            except OSError as error:
                raise refusals.start_failed(self.name, None, f"{error.filename}: {error.strerror}", "") from None

    def _mount_points(self, wanted: Sequence[Wanted]) -> tuple[MountPoint, ...]:
        """Where its mounts go: in a layer for all that are alike, but in its own files where it has some already."""
        overlay = self.overlay()
        if not self.spec.mounts and not os.listdir(overlay.upper_dir):
            layer, points = self._means.mount_layers.find(self.name, overlay.lower_dirs, self.idmap, wanted)
            shown = self._base.with_layer(None if layer is None else self._means.mount_layers.seen(layer))
            if not shown.too_long:
                self._layer, self._reserved = layer, replace(self._reserved, overlay=shown)
                return points
        return prepare(self.name, overlay.with_layer(self._layer), self.idmap, wanted)

    # its start

    async def start(self, begun: Callable[[], None], timeout: float, pause: float = PROBE_INTERVAL) -> None:
        """Start it; returns once its command runs, or has run and ended, which is looked at each *pause* seconds.

        *begun* is called when there is a `boot`. Raises `StartFailedError` where LXC refused, `WaitTimeoutError` when
        *timeout* seconds have passed.
        """
        if self.boot is not None or self._is_beginning:
            raise refusals.already_running(self.status())
        deadline = time.monotonic() + timeout
        self.write_config()
        self._make_cgroups()
        self._log.mark()
        self.console.mark()
        self._phase, self.exit_code, self.reason, self._killed = "STARTING", None, "", False
        self._wiring.begin()
        boot = await self._begin()
        begun()
        greeting = Greeting(self._own_cgroups, self._wiring.plug if self._wiring.comes_first else None)
        if not await boot.until_executed(self.host.hierarchies, greeting, deadline, pause):
            boot.kill_init()
            await self.until_ended(KILL_GRACE)
            raise refusals.start_took_too_long(self.name, timeout, self._log.problems)
        # It may have been settled, and `self.boot` be gone, by `notice_end` or whoever else has noticed its end first.
        if self.boot is boot:
            self._attend_terminal(boot.terminal)
            self.freezing.begin(freezer_in(self._own(boot)))
            self.guard_memory()
        await self._wire(boot)
        await boot.first_moment(KILL_GRACE, pause)
        if boot.ended():
            self._check_start(boot)
            self.settle()
        else:
            self._note_init(boot)
            self._phase = "RUNNING"
            self.record.begin()

    async def _begin(self) -> Boot:
        self._is_beginning = True
        try:
            own = self._own_cgroups is not None
            waits = own or self._wiring.comes_first
            rejoins = self.host.makes_cgroups and not own
            plan = Plan(self.files, self.spec, rejoins=rejoins, waits=waits, size=self.terminal_size)
            boot = self.boot = await Boot.begin(self._means.zygote, plan, self.console)
        except OSError:  # the kernel makes no more processes, or descriptors
            self._phase = "STOPPED"
            raise
        finally:
            self._is_beginning = False
        if self._killed:  # meanwhile
            boot.kill_init()
        return boot

    async def _wire(self, boot: Boot) -> None:
        """Have it reach whom it should, and meet its faults, where LXC has plugged it in."""
        if boot.entry is None or self.address is None:
            return
        try:
            await self._wiring.finish(boot.entry)
        except (OSError, FaultsRefusedError) as error:
            if not boot.is_over:
                boot.kill_init()
                await self.until_ended(KILL_GRACE)
                problem = f"its network could not be set up: {getattr(error, 'strerror', None) or error}"
                raise refusals.start_failed(self.name, None, problem, "") from None
        boot.wired = True

    async def rewire(self, messages: Sequence[bytes]) -> None:
        """Change whom it reaches, if it runs; what fails, fails since it is ending."""
        boot = self.boot
        if boot is not None and boot.wired and boot.entry is not None and not boot.ended():
            with suppress(OSError):
                await self._means.wires.send(boot.entry, messages)

    def _check_start(self, boot: Boot) -> None:
        """Raise `StartFailedError` unless the command was executed before the monitor ended."""
        if boot.problem:
            self.settle()
            self.reason = boot.problem
            raise refusals.start_failed(self.name, None, boot.problem, "")
        if boot.monitor_code != REFUSED and boot.monitor_code is not None and boot.monitor_code >= 0:
            return
        problems = self._log.problems
        self.settle()
        self.reason = "LXC refused to start it"
        raise refusals.start_failed(self.name, boot.monitor_code, problems, self.console.tail())

    def _note_init(self, boot: Boot) -> None:
        """Write down who its init is, for a sweep after this process's own death that has no cgroups to find it by."""
        assert boot.init is not None  # its command has been executed
        if self.host.cgroup_base:
            return
        with suppress(ProcessLookupError):  # it may have ended just now, as `notice_end` will find
            (self.directory / "init").write_text(str(Owner.of(boot.init)))

    # its end

    def attend(self, loop: Loop) -> None:
        """Have its console log kept, and its end noticed, by *loop*; it has just begun to start."""
        boot = self.boot
        assert boot is not None  # it has begun
        self._loop = loop
        loop.attend(boot.output, lambda: self._keep_log(boot.output))
        loop.attend(boot.monitor_pidfd, self.notice_end)

    def _attend_terminal(self, terminal: int | None) -> None:
        if self._loop is not None and terminal is not None:
            self._loop.attend(terminal, lambda: self._keep_log(terminal))

    def _keep_log(self, fd: int) -> None:
        if not self.console.take(fd):
            self._ignore(fd)

    def _ignore(self, *fds: int | None) -> None:
        if self._loop is not None:
            for fd in fds:
                if fd is not None:
                    self._loop.ignore(fd)

    def notice_end(self) -> None:
        """Settle if it has ended meanwhile."""
        if self.boot is not None and self.boot.ended():
            self.settle()

    def _leave_network(self) -> None:
        self.faults.end()
        self.captures.end()

    def settle(self) -> None:
        """Note how the container ended and give its processes' leftovers back; does nothing when that is done."""
        boot = self.boot
        if boot is None or not boot.ended():
            return
        self.boot = None
        self.console.drain(boot.output, boot.terminal)
        self._phase = "STOPPED"
        self.record.end()
        self.freezing.end()
        self._note_end(boot)
        self._note_usage(boot)
        self._ignore(boot.output, boot.terminal, boot.monitor_pidfd)
        boot.close()
        self._leave_network()
        self._leftovers.remove_cgroups()
        self.console.hang_up()

    def _note_usage(self, boot: Boot) -> None:
        own = self._own(boot)
        if "" in own and self._memory.above is not None:
            # On v2 what those that LXC makes, and has removed, count is counted above them too.
            own[""] = self._memory.above
        used = usage_in(own)
        # LXC has removed what is not on v2, nor made by us.
        self._used = used if used.cpu_time is not None else Usage(None, boot.spent.user + boot.spent.system)

    def _note_end(self, boot: Boot) -> None:
        self.exit_code = self._log.exit_code
        if boot.monitor_code is not None and boot.monitor_code < 0:
            self.exit_code, self.reason = 128 + signal.SIGKILL, "its LXC monitor was killed"
        elif 128 < self.exit_code <= 128 + signal.SIGRTMAX:
            self.reason = self._log.shut_down or f"killed by {_signal_name(self.exit_code - 128)}"
        killed = self.exit_code == 128 + signal.SIGKILL and not self._killed
        if self._memory.end(killed):
            limit = f", its limit is {self.spec.limits.memory}" if self.spec.limits.memory is not None else ""
            whom = self.reason if killed else "processes of it were killed"
            self.reason = f"{whom}: out of memory{limit}"

    async def until_ended(self, timeout: float) -> bool:
        """Wait for the end, at most *timeout* seconds; tells whether it came."""
        deadline = time.monotonic() + timeout
        while self._is_beginning:
            await wait([], PROBE_INTERVAL)
        while self.boot is not None and not self.boot.ended():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await wait([self.boot.monitor_pidfd], left)
        self.settle()
        return True

    async def until_dead(self) -> None:
        """Wait for the end after `kill`; a monitor that does not see to it in time is killed too."""
        if not await self.until_ended(KILL_GRACE) and self.boot is not None:
            self.boot.kill_monitor()
            await self.until_ended(KILL_GRACE)

    async def until_clean(self) -> None:
        """Wait until nothing is left of the last start."""
        await self._leftovers.until_gone(KILL_GRACE)

    async def remove(self) -> None:
        """See to its end after `kill`, and give back what it had but for its directory.

        What LXC's monitor would do then, and an ordinary user's by half a dozen more processes, the kernel and this one
        do at once. It is left alone while LXC still makes things, which only it knows of.
        """
        boot = self.boot
        if boot is not None and boot.executed:
            await boot.until_init_is_gone(KILL_GRACE)
            boot.kill_monitor()
        await self.until_dead()
        await self.until_clean()
        if self.address is not None:
            self.address.release()
        self.console.close()

    async def stop(self, timeout: float) -> None:
        """Send the image's stop signal, and SIGKILL after *timeout* seconds; stopped already is fine."""
        if self.boot is None:
            return
        self.boot.signal_command(self.spec.stop_signal)
        self.freezing.thaw()
        self._phase = "STOPPING"
        if not await self.until_ended(timeout):
            self.kill()
            await self.until_dead()

    def kill(self) -> None:
        """SIGKILL everything in it, frozen or not."""
        self.works.kill()
        if self._is_beginning:
            self._killed = True
        if self.boot is not None:
            self.boot.kill_init()
            if self.boot.launcher is not None:
                self.boot.launcher.dismiss()
            self._leave_network()
            self.freezing.thaw()
            self._phase, self._killed = "STOPPING", True

    def signal(self, number: int) -> None:
        """Send a signal to its command; one that is frozen gets it when it goes on, but for SIGKILL."""
        boot = self.running()
        self._killed = self._killed or number == signal.SIGKILL
        boot.signal_command(number)
        if number == signal.SIGKILL:
            self.freezing.thaw()

    # while it runs

    def running(self) -> Boot:
        """The running boot, or `NotRunningError` that says how it ended."""
        self.notice_end()
        if self.boot is None or not self.boot.executed:
            raise refusals.not_running(self.status(), "it is not running", self.console.tail(2000))
        return self.boot

    def thawed(self) -> Boot:
        """The running boot, or `FrozenError` where what gets in would stand still."""
        boot = self.running()
        if self.freezing.frozen:
            raise refusals.frozen(self.status())
        return boot

    def freeze(self, frozen: bool) -> None:
        """Halt its processes, or let them go on; `AlreadyFrozenError` or `NotFrozenError` where they do already."""
        self.running()
        if not self.freezing.is_possible:
            raise refusals.not_delegated(self.name, "freezing", self.host)
        if frozen == self.freezing.frozen:
            raise (refusals.already_frozen if frozen else refusals.not_frozen)(self.status())
        self.freezing.set(frozen)

    def hold(self, *, still: bool = True) -> None:
        """Keep everybody else from it until `freezing.let_go`; with *still*, its processes halt if it runs."""
        self.freezing.hold(still=still and self._phase == "RUNNING")

    async def exec(self, spec: ExecSpec, stdio: list[int]) -> int:
        """Start a command in it; returns its pid, for the caller to wait for."""
        try:
            boot = self.thawed()
            return await boot.launch(self._means.zygote, self._target_of(boot), spec, stdio)
        except OSError as error:
            why = f"cannot run {spec.args[0]}: {error.strerror}"
            raise refusals.not_running(self.status(), why, self.console.tail(2000)) from None

    async def kill_exec(self, pid: int) -> None:
        """End a command and all it started; the container stands still meanwhile, so that nothing forks its way out."""
        if self._phase != "RUNNING":
            killed = kill_tree(pid)
        else:
            with self.freezing.standing_still():
                killed = kill_tree(pid)
            self.freezing.let_die(killed)
        for each in killed:
            await until_gone(each, KILL_GRACE)

    def stats(self) -> dict[str, Any]:
        """Measure it."""
        boot = self.running()
        assert boot.init is not None and boot.entry is not None  # running implies it
        return read_stats(Processes(boot.init, boot.entry, boot.spent), boot.cgroups, self.host.limits_apply)

    def usage(self) -> Usage:
        """What it has used in its last start."""
        boot = self.boot
        if boot is None or boot.init is None or boot.entry is None:
            return self._used
        used = usage_in(self._own(boot))
        return used if used.cpu_time is not None else usage_of(Processes(boot.init, boot.entry, boot.spent))

    def own_cgroups(self) -> dict[str, Path]:
        """Its cgroups that hold nothing else, by v1 controller (``""``: unified); it must be running."""
        return self._own(self.running())

    def _own(self, boot: Boot) -> dict[str, Path]:
        return {name: path for name, path in boot.cgroups.items() if name in self.host.cgroup_base}

    def guard_memory(self) -> None:
        """Have it noticed when its memory is used up, if there is a limit to it, and its init outlive that."""
        boot = self.boot
        if boot is None or boot.init is None or self.spec.limits.memory is None:
            return
        self._memory.begin(self._own(boot))
        if self.spec.init:
            with suppress(OSError):  # it has ended
                spare(boot.init, self._own(boot), cgroups_of(boot.monitor, self.host.hierarchies))

    async def watch_memory(self) -> None:
        """Note each time its memory is used up, while it runs."""
        if self.boot is not None:
            await self._memory.watch(self.boot.monitor_pidfd)

    # its files

    def place(self) -> Target | AtRest:
        """Where its files are: in it, frozen or not, or at rest; `NotRunningError` while it starts."""
        self.notice_end()
        if self.boot is None:
            return AtRest(self._reserved.overlay, self.idmap)
        return self.target()

    def target(self) -> Target:
        """How to get into it; it must be running."""
        return self._target_of(self.running())

    def _target_of(self, boot: Boot) -> Target:
        assert boot.entry_pidfd is not None  # only running containers are entered
        in_namespace = not self.idmap.is_identity
        return Target(
            pidfd=boot.entry_pidfd,
            cgroups=self._entries(boot),
            user_namespace=in_namespace,
            takes_entering=self.host.is_root and in_namespace,
            dropped=dropped_capabilities(self.spec),
            filters=program(kept_capabilities(self.spec)),
        )

    def _entries(self, boot: Boot) -> tuple[Path, ...]:
        """The files to join its cgroups by, as a process of the zygote's finds them."""
        if not self.host.cgroup_base:
            return ()
        files = entry_files(self._entered(boot))
        if not self.host.makes_cgroups:
            return files
        return tuple(Path(f"/proc/{os.getpid()}/root{file}") for file in files)

    def _entered(self, boot: Boot) -> dict[str, Path]:
        """The cgroups that commands join: one of their own where systemd divides the container's.

        On v2 a cgroup whose controllers are switched on for those below it holds no process itself.
        """
        if not self.spec.systemd or self.host.hierarchies.limits_on_v1 or "" not in boot.cgroups:
            return boot.cgroups
        own = boot.cgroups[""] / ENTERED
        own.mkdir(exist_ok=True)
        return {"": own}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
