"""One container of the run, from its reservation to its removal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..container.attach import Target
from ..container.backend import ExecSpec, Status
from ..container.capabilities import dropped_capabilities, kept_capabilities
from ..container.cgroups import Freezer, freezer_in, processes_below, remove_tree
from ..container.inside import AtRest
from ..container.liblxc import REFUSED, exit_code_in, problems_in
from ..container.limits import Limits
from ..container.lxc_config import Interface, Place, lxc_items, render
from ..container.process_tree import kill_tree
from ..container.seccomp import profile, program
from ..container.spec import ContainerSpec
from ..container.stats import read_stats
from ..errors import (
    AlreadyFrozenError,
    AlreadyRunningError,
    FrozenError,
    HostNotReadyError,
    NotDelegatedError,
    NotFrozenError,
    NotRunningError,
    StartFailedError,
    WaitTimeoutError,
)
from ..network.addresses import HeldAddress
from ..rootfs.idmap import IdMap
from ..rootfs.overlay import Overlay
from .boot import Boot
from .console import Console
from .host import Host
from .loop import wait
from .oom import OomWatch, oom_kills_below
from .owner import Owner
from .work import Works

PROBE_INTERVAL = 0.0005
FIRST_MOMENT = 0.02
"""Seconds a command may run without a pause before it counts as started."""

KILL_GRACE = 5.0
"""Seconds a monitor has to clean up after its container's death before it is killed too."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What is a container's own on the host before it runs.

    *shown* is *directory* by a path that the container's root may pass.
    *cgroup* is its directory below the base of every hierarchy, *pair* its veth's name on the host (``None``: LXC
    chooses), *creator* the process that asked for it, *stage* a directory in which device nodes work (``None`` but for
    root).
    """

    directory: Path
    shown: Path
    idmap: IdMap
    overlay: Overlay
    address: HeldAddress | None
    pair: str | None
    cgroup: str
    creator: int
    stage: Path | None = None


class Life:
    """A container's state and everything on the host that is its own."""

    def __init__(self, name: str, spec: ContainerSpec, host: Host, reserved: Reserved) -> None:
        self.name = name
        self.spec = spec
        self.host = host
        self.directory = reserved.directory
        self.idmap = reserved.idmap
        self.address = reserved.address
        self.creator = reserved.creator
        self._reserved = reserved
        self.state = "STOPPED"
        self.exit_code: int | None = None
        self.reason = ""
        self.console = Console(self.directory / "console.log")
        self.works = Works()
        self.boot: Boot | None = None
        self.held = False
        self.pause = PROBE_INTERVAL
        """Seconds between looks at how far a start has come."""
        self._log_start = 0
        self._killed = False
        self._oom: OomWatch | None = None

    @property
    def stage(self) -> Path | None:
        """A directory in which device nodes can be made, where this is root's run."""
        return self._reserved.stage

    @property
    def lxcpath(self) -> Path:
        """Where LXC finds its directory, by a path that its root may pass."""
        return self._reserved.shown.parent

    @property
    def lxc_log(self) -> Path:
        """LXC's own log."""
        return self.directory / "lxc.log"

    def status(self) -> Status:
        """The container now."""
        ips = (str(self.address.address),) if self.address else ()
        pid = self.boot.init if self.boot and self.boot.executed else None
        return Status(self.name, self.state, ips, pid, self.exit_code, self.reason)

    def write_config(self) -> None:
        """Write LXC's configuration file; raises `NotDelegatedError` for limits that cannot be enforced."""
        if self.spec.limits.explicit and not self.host.limits_apply:
            names = ", ".join(self.spec.limits.explicit)
            raise self.not_delegated(f"limits ({names})")
        self.check_disks(self.spec.limits)
        place = Place(
            name=self.name,
            directory=self.directory,
            shown=self._reserved.shown,
            idmap=self.idmap,
            overlay=self._reserved.overlay,
            interface=self._interface(),
            cgroup=self._reserved.cgroup if self.host.cgroup_base else None,
            cgroups_on_v1=self.host.hierarchies.limits_on_v1,
            limits_apply=self.host.limits_apply,
            seccomp_profile=self.directory / "seccomp",
            disks=self.host.disks,
        )
        place.seccomp_profile.write_text(profile(kept_capabilities(self.spec)))
        (self.directory / "config").write_text(render(lxc_items(self.spec, place)))

    def _interface(self) -> Interface | None:
        if self.address is None:
            return None
        held = self.address
        gateway = str(held.bridge.gateway) if held.bridge.leads_out else None
        return Interface(held.bridge.name, self._reserved.pair, held.with_prefix, gateway, held.mac)

    async def start(self, timeout: float) -> None:
        """Start it; returns once its command runs, or has run and ended.

        Raises `StartFailedError` where LXC refused, `WaitTimeoutError` when *timeout* seconds have passed.
        """
        if self.boot is not None:
            raise AlreadyRunningError(
                f"container {self.name} is already {self.state.lower()}", state=self.state, container=self.name
            )
        deadline = time.monotonic() + timeout
        self.write_config()
        self._log_start = self.lxc_log.stat().st_size if self.lxc_log.exists() else 0
        self.state, self.exit_code, self.reason, self._killed = "STARTING", None, "", False
        boot = self.boot = Boot.begin(self.name, self._reserved.shown.parent, self.spec, self.console)
        # It may be settled, and `self.boot` be gone, by `pump` or whoever else notices its end first.
        while not boot.ended() and not boot.probe(self.host.hierarchies):
            if time.monotonic() > deadline:
                boot.kill_init()
                await self.until_ended(KILL_GRACE)
                raise WaitTimeoutError(
                    f"container {self.name} did not start within {timeout:g} s",
                    awaited="its command to be executed",
                    timeout=timeout,
                    container=self.name,
                    details="\n".join(problems_in(self._log())),
                )
            await wait([boot.monitor_pidfd], self.pause)
        self.guard_memory()
        await self._first_moment(boot)
        if boot.ended():
            self._check_start(boot)
            self.settle()
        else:
            assert boot.init is not None  # its command has been executed
            # For a sweep after this process's own death.
            with suppress(ProcessLookupError):  # it may have ended just now, as `pump` will find
                (self.directory / "init").write_text(str(Owner.of(boot.init)))
            self.state = "RUNNING"

    async def _first_moment(self, boot: Boot) -> None:
        """Let a command that ends at once do so: wait until it waits for something, or has run on for a while.

        One that has ended already is waited for, since LXC needs a moment to notice and to clean up.
        """
        begin = time.monotonic()
        while not boot.ended() and time.monotonic() - begin < KILL_GRACE:
            state = boot.command_state()
            if state == "S" or (state and time.monotonic() - begin > FIRST_MOMENT):
                return
            await wait([boot.monitor_pidfd], self.pause)

    def _check_start(self, boot: Boot) -> None:
        """Raise `StartFailedError` unless the command was executed before the monitor ended."""
        if boot.monitor_code != REFUSED and boot.monitor_code is not None and boot.monitor_code >= 0:
            return
        code, log = boot.monitor_code, "\n".join(problems_in(self._log()))
        self.settle()
        self.reason = "LXC refused to start it"
        raise StartFailedError(
            f"container {self.name} could not be started by LXC" + (f" (signal {-code})" if code and code < 0 else ""),
            details=log,
            log=self.console.tail(),
            container=self.name,
            hint="see what this host lacks with: lxcontainer doctor",
        )

    async def pump(self) -> None:
        """Keep the console log until this start's monitor has ended, and then settle."""
        boot = self.boot
        assert boot is not None  # spawned right after `start`
        fds = {boot.monitor_pidfd, boot.output}
        while boot is self.boot and boot.monitor_code is None:
            ready = await wait(fds)
            if boot is not self.boot:
                return
            if boot.output in ready and not self.console.take(boot.output):
                fds.discard(boot.output)
            if boot.monitor_pidfd in ready and boot.ended():
                self.settle()

    def settle(self) -> None:
        """Note how the container ended and give its processes' leftovers back; does nothing when that is done."""
        boot = self.boot
        if boot is None or not boot.ended():
            return
        self.boot = None
        self.console.drain(boot.output)
        self.state = "STOPPED"
        self.exit_code = exit_code_in(self._log())
        if boot.monitor_code is not None and boot.monitor_code < 0:
            self.exit_code, self.reason = 128 + signal.SIGKILL, "its LXC monitor was killed"
        elif 128 < self.exit_code <= 128 + signal.SIGRTMAX:
            self.reason = f"killed by {_signal_name(self.exit_code - 128)}"
        self._note_memory()
        boot.close()
        self.remove_cgroups()
        self.console.hang_up()

    async def until_ended(self, timeout: float) -> bool:
        """Wait for the end, at most *timeout* seconds; tells whether it came."""
        deadline = time.monotonic() + timeout
        while self.boot is not None and not self.boot.ended():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await wait([self.boot.monitor_pidfd], left)
        self.settle()
        return True

    async def stop(self, timeout: float) -> None:
        """Send the image's stop signal, and SIGKILL after *timeout* seconds; stopped already is fine."""
        if self.boot is None:
            return
        self.boot.signal_command(self.spec.stop_signal)
        self._thaw(self.boot)
        self.state = "STOPPING"
        if not await self.until_ended(timeout):
            self.kill()
            await self.until_dead()

    async def until_dead(self) -> None:
        """Wait for the end after `kill`; a monitor that does not see to it in time is killed too."""
        if not await self.until_ended(KILL_GRACE) and self.boot is not None:
            self.boot.kill_monitor()
            await self.until_ended(KILL_GRACE)

    def kill(self) -> None:
        """SIGKILL everything in it, frozen or not."""
        self.works.kill()
        if self.boot is not None:
            self.boot.kill_init()
            if self.boot.launcher is not None:
                self.boot.launcher.dismiss()
            # Not by its state: `stop` has set another, and `hold` leaves it as it is.
            if freezer := self._freezer(self.boot):
                with suppress(OSError):  # it has ended
                    freezer.set(False)
            self.state, self._killed = "STOPPING", True

    def signal(self, number: int) -> None:
        """Send a signal to its command; one that is frozen gets it when it goes on, but for SIGKILL."""
        boot = self.running()
        self._killed = self._killed or number == signal.SIGKILL
        boot.signal_command(number)
        if number == signal.SIGKILL:
            self._thaw(boot)

    def _thaw(self, boot: Boot) -> None:
        """Let frozen processes go on, in order to end; on cgroup v1 not even SIGKILL reaches them before."""
        if self.state == "FROZEN" and (freezer := self._freezer(boot)):
            freezer.set(False)
            self.state = "RUNNING"

    def freeze(self, frozen: bool) -> None:
        """Halt its processes, or let them go on; `AlreadyFrozenError` or `NotFrozenError` where they do already."""
        freezer = self._freezer(self.running())
        if freezer is None:
            raise self.not_delegated("freezing")
        if frozen == (self.state == "FROZEN"):
            error = AlreadyFrozenError if frozen else NotFrozenError
            raise error(
                f"container {self.name} is {'already' if frozen else 'not'} frozen",
                state=self.state,
                container=self.name,
            )
        freezer.set(frozen)
        self.state = "FROZEN" if frozen else "RUNNING"

    def hold(self, *, still: bool = True) -> None:
        """Keep everybody else from it until `let_go`; with *still*, its processes halt where they can be halted."""
        self.held = True
        if still and self.state == "RUNNING" and self.boot is not None and (freezer := self._freezer(self.boot)):
            freezer.set(True)

    def let_go(self) -> None:
        """Undo `hold`; what was frozen before it stays so."""
        self.held = False
        if self.state == "RUNNING" and self.boot is not None and (freezer := self._freezer(self.boot)):
            # It may have ended just now.
            with suppress(OSError):
                freezer.set(False)

    async def until_let_go(self) -> None:
        """Wait until nobody holds it."""
        while self.held:
            await wait([], PROBE_INTERVAL)

    def rebase(self, lower_dirs: Sequence[str], overlay: Overlay) -> None:
        """Have it start from other layers than it was made of."""
        self.spec = replace(self.spec, lower_dirs=tuple(lower_dirs))
        self._reserved = replace(self._reserved, overlay=overlay)

    def _freezer(self, boot: Boot) -> Freezer | None:
        """What halts its processes, where it has cgroups of its own."""
        return freezer_in(self._own(boot))

    def _own(self, boot: Boot) -> dict[str, Path]:
        return {name: path for name, path in boot.cgroups.items() if name in self.host.cgroup_base}

    def own_cgroups(self) -> dict[str, Path]:
        """Its cgroups that hold nothing else, by v1 controller (``""``: unified); it must be running."""
        return self._own(self.running())

    def check_disks(self, limits: Limits) -> None:
        """Raise `HostNotReadyError` for limits on disks where the store is on none that the kernel can limit."""
        if not self.host.disks and (limits.io_read is not None or limits.io_write is not None):
            raise HostNotReadyError(
                "limits (io_read, io_write): the store is on no disk of its own, so nothing would be limited",
                hint="put it on one with --lxc-store DIR or LXCONTAINER_STORE",
            )

    def guard_memory(self) -> None:
        """Have it noticed when its memory is used up, if there is a limit to it."""
        memory = self._own(self.boot).get("memory") if self.boot is not None else None
        if memory is not None and self._oom is None and self.spec.limits.memory is not None:
            with suppress(OSError):  # it has ended already
                self._oom = OomWatch(memory)

    async def watch_memory(self) -> None:
        """Note each time its memory is used up, while it runs."""
        watch = self._oom
        while watch is not None and watch is self._oom and not watch.removed and self.boot is not None:
            await wait([watch.fd, self.boot.monitor_pidfd])
            if watch is self._oom:
                watch.take()

    def _note_memory(self) -> None:
        """Tell in *reason* if its memory was used up; its cgroups on v2 must still be there."""
        killed = self.exit_code == 128 + signal.SIGKILL and not self._killed
        watch, self._oom = self._oom, None
        out = False
        if watch is not None:
            out = watch.tells(killed)
            watch.close()
        elif (unified := self.host.cgroup_base.get("")) is not None:
            out = oom_kills_below(unified / self._reserved.cgroup) > 0
        if out:
            limit = f", its limit is {self.spec.limits.memory}" if self.spec.limits.memory is not None else ""
            whom = self.reason if killed else "processes of it were killed"
            self.reason = f"{whom}: out of memory{limit}"

    def kill_exec(self, pid: int) -> None:
        """End a command and all it started; the container stands still meanwhile, so that nothing forks its way out."""
        may_thaw = self.state == "RUNNING" and not self.held
        freezer = self._freezer(self.boot) if self.boot is not None and may_thaw else None
        if freezer is None:
            kill_tree(pid)
            return
        freezer.set(True)
        try:
            kill_tree(pid)
        finally:
            freezer.set(False)

    def exec(self, spec: ExecSpec, stdio: list[int]) -> int:
        """Start a command in it; returns its pid, for the caller to wait for."""
        try:
            return self.running().launch(self.target(), spec, stdio)
        except OSError as error:
            raise self._not_running(f"cannot run {spec.args[0]}: {error.strerror}") from None

    def stats(self) -> dict[str, Any]:
        """Measure it."""
        boot = self.running()
        assert boot.entry is not None  # running implies it
        return read_stats(boot.entry, boot.cgroups, self.host.limits_apply)

    def notice_end(self) -> None:
        """Settle if it has ended meanwhile."""
        if self.boot is not None and self.boot.ended():
            self.settle()

    def running(self) -> Boot:
        """The running boot, or `NotRunningError` that says how it ended."""
        self.notice_end()
        if self.boot is None or not self.boot.executed:
            raise self._not_running("it is not running")
        return self.boot

    def target(self) -> Target:
        """How to get into it; `FrozenError` where what gets in would stand still."""
        boot = self.running()
        if self.state == "FROZEN":
            raise FrozenError(
                f"container {self.name} is frozen",
                state=self.state,
                container=self.name,
                hint="unfreeze() it first",
            )
        return self._target_of(boot)

    def place(self) -> Target | AtRest:
        """Where its files are: in it, frozen or not, or at rest; `NotRunningError` while it starts."""
        self.notice_end()
        if self.boot is None:
            return AtRest(self._reserved.overlay, self.idmap)
        return self._target_of(self.running())

    def _target_of(self, boot: Boot) -> Target:
        dropped, filters = dropped_capabilities(self.spec), program(kept_capabilities(self.spec))
        return boot.target(bool(self.host.cgroup_base), not self.idmap.is_identity, dropped, filters)

    def _not_running(self, why: str) -> NotRunningError:
        ended = "" if self.exit_code is None else f"; it ended with exit code {self.exit_code}"
        reason = f" ({self.reason})" if self.reason else ""
        return NotRunningError(
            f"container {self.name}: {why}{ended}{reason}",
            state=self.state,
            details=self.console.tail(2000),
            container=self.name,
        )

    def not_delegated(self, what: str) -> NotDelegatedError:
        """The error for what needs cgroups where this user may make none."""
        return NotDelegatedError(
            f"{what}: needs cgroups of the container's own, and user {self.host.user} may not make any",
            container=self.name,
            hint=f"delegate cgroups to the user, as root: lxcontainer doctor --fix --user {self.host.user}",
        )

    def _log(self) -> str:
        try:
            with self.lxc_log.open("rb") as file:
                file.seek(self._log_start)
                return file.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def remove_cgroups(self) -> bool:
        """Remove what LXC leaves: on cgroup v1 it cannot remove the directory its monitor is in.

        Tells whether all are gone; processes that are in them are killed, which takes the kernel a moment.
        """
        gone = True
        for base in set(self.host.cgroup_base.values()):
            directory = base / self._reserved.cgroup
            if not remove_tree(directory):
                for pid in processes_below(directory):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                gone = remove_tree(directory) and gone
        return gone

    async def until_clean(self) -> None:
        """Wait until nothing is left of the last start.

        A killed monitor leaves dying processes in the cgroups, and a veth that the kernel removes in its own time.
        """
        deadline = time.monotonic() + KILL_GRACE
        while not self._is_clean() and time.monotonic() < deadline:
            await wait([], PROBE_INTERVAL)

    def _is_clean(self) -> bool:
        pair = self._reserved.pair
        if self.works.at_rest or not self.remove_cgroups():
            return False
        return pair is None or not Path("/sys/class/net", pair).exists()

    def close(self) -> None:
        """Give address and files of a container that has ended back."""
        if self.address is not None:
            self.address.release()
        self.console.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
