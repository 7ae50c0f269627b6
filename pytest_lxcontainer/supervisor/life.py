"""One container of the run, from its reservation to its removal."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..container import files
from ..container.attach import Spawned, Target, spawn
from ..container.backend import ExecSpec, Status
from ..container.cgroups import Freezer, freezer_in, processes_below, remove_tree
from ..container.liblxc import REFUSED, exit_code_in, problems_in
from ..container.lxc_config import Interface, Place, dropped_capabilities, lxc_items, render
from ..container.process_tree import kill_tree
from ..container.spec import ContainerSpec
from ..container.stats import read_stats
from ..errors import NotDelegatedError, NotRunningError, StartFailedError, WaitTimeoutError
from ..network.addresses import HeldAddress
from ..rootfs.idmap import IdMap
from ..rootfs.overlay import Overlay
from .boot import Boot
from .console import Console
from .host import Host
from .loop import wait
from .owner import Owner

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
    chooses), *creator* the process that asked for it.
    """

    directory: Path
    shown: Path
    idmap: IdMap
    overlay: Overlay
    address: HeldAddress | None
    pair: str | None
    cgroup: str
    creator: int


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
        self.boot: Boot | None = None
        self._log_start = 0

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
            raise self._not_delegated(f"limits ({names})")
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
            seccomp_profile=self.host.seccomp_profile,
            disks=self.host.disks,
        )
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
            raise NotRunningError(f"container {self.name} is already {self.state.lower()}", state=self.state)
        deadline = time.monotonic() + timeout
        self.write_config()
        self._log_start = self.lxc_log.stat().st_size if self.lxc_log.exists() else 0
        self.state, self.exit_code, self.reason = "STARTING", None, ""
        env = dict(self.spec.env)
        boot = self.boot = Boot.begin(self.name, self._reserved.shown.parent, self.spec.command, env, self.console)
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
            await wait([boot.monitor_pidfd], PROBE_INTERVAL)
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
            await wait([boot.monitor_pidfd], PROBE_INTERVAL)

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
        boot.close()
        self.remove_cgroups()

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
        self.state = "STOPPING"
        self.boot.signal_command(self.spec.stop_signal)
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
        if self.boot is not None:
            self.boot.kill_init()
            if self.state == "FROZEN" and (freezer := self._freezer(self.boot)):
                freezer.set(False)
            self.state = "STOPPING"

    def signal(self, number: int) -> None:
        """Send a signal to its command."""
        self.running().signal_command(number)

    def freeze(self, frozen: bool) -> None:
        """Halt its processes, or let them go on."""
        freezer = self._freezer(self.running())
        if freezer is None:
            raise self._not_delegated("freezing")
        freezer.set(frozen)
        self.state = "FROZEN" if frozen else "RUNNING"

    def _freezer(self, boot: Boot) -> Freezer | None:
        """What halts its processes, where it has cgroups of its own."""
        return freezer_in({name: path for name, path in boot.cgroups.items() if name in self.host.cgroup_base})

    def kill_exec(self, pid: int) -> None:
        """End a command and all it started; the container stands still meanwhile, so that nothing forks its way out."""
        freezer = self._freezer(self.boot) if self.boot is not None and self.state == "RUNNING" else None
        if freezer is None:
            kill_tree(pid)
            return
        freezer.set(True)
        try:
            kill_tree(pid)
        finally:
            freezer.set(False)

    def exec(self, spec: ExecSpec, stdio: list[int]) -> Spawned:
        """Start a command in it."""
        try:
            return spawn(self._target(), spec, stdio)
        except OSError as error:
            raise self._not_running(f"cannot run {spec.args[0]}: {error.strerror}") from None

    def open_file(self, path: str, mode: str, permissions: int) -> int:
        """Open a file in it; `OSError` as for the container's root."""
        return files.open_inside(self._target(), path, mode, permissions)

    def list_files(self, path: str) -> list[str] | None:
        """Names in a directory of it."""
        return files.list_inside(self._target(), path)

    def stats(self) -> dict[str, Any]:
        """Measure it."""
        boot = self.running()
        assert boot.entry is not None  # running implies it
        return read_stats(boot.entry, boot.cgroups, self.host.limits_apply)

    def running(self) -> Boot:
        """The running boot, or `NotRunningError` that says how it ended."""
        if self.boot is not None and self.boot.ended():
            self.settle()
        if self.boot is None or not self.boot.executed:
            raise self._not_running("it is not running")
        return self.boot

    def _target(self) -> Target:
        boot = self.running()
        if self.state == "FROZEN":
            raise NotRunningError(
                f"container {self.name} is frozen",
                state=self.state,
                container=self.name,
                hint="unfreeze() it first",
            )
        dropped = dropped_capabilities(self.spec)
        return boot.target(bool(self.host.cgroup_base), not self.idmap.is_identity, dropped)

    def _not_running(self, why: str) -> NotRunningError:
        ended = "" if self.exit_code is None else f"; it ended with exit code {self.exit_code}"
        reason = f" ({self.reason})" if self.reason else ""
        return NotRunningError(
            f"container {self.name}: {why}{ended}{reason}",
            state=self.state,
            details=self.console.tail(2000),
            container=self.name,
        )

    def _not_delegated(self, what: str) -> NotDelegatedError:
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
        return self.remove_cgroups() and (pair is None or not Path("/sys/class/net", pair).exists())

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
