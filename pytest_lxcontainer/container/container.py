"""A container as a test holds it.

Functions that set ``__tracebackhide__`` are left out of pytest's tracebacks: a user reads the test and the error.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ..errors import ContainerError, InvalidSettingsError, StartFailedError
from ..image.config import Healthcheck
from ..image.image import Image
from . import wait
from .backend import Status
from .executable import problem
from .interactive import Interactive
from .low_level import LowLevel
from .signals import signal_number
from .snapshots import Snapshots
from .stats import Stats, Usage
from .traits import DEFAULT_TIMEOUT
from .wait import Condition

if TYPE_CHECKING:
    from .network import Network

CANNOT_EXECUTE = 255
"""What LXC's init ends with when it could not execute its command."""

STATES = ("STOPPED", "STARTING", "RUNNING", "STOPPING", "FROZEN")
"""LXC's words for the states that a container may be seen in."""

STOP_TIMEOUT = 1.0
"""Seconds to end in: a server under test needs some milliseconds, and what ignores the signal is not waited for."""


class Container(Snapshots, Interactive, LowLevel):
    """One container: a clone of an image that can be run, asked, reached, changed and thrown away.

    Made by a fixture, or by `Provisioner.run`; destroyed by its fixture, by leaving a ``with`` block, or by `destroy`.
    Its methods may be called from several threads.
    """

    def __repr__(self) -> str:
        return f"<Container {self.id} of {self.image.title}>"

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.destroy()

    # identity

    @property
    def state(self) -> str:
        """LXC's word for its state: ``STOPPED STARTING RUNNING STOPPING FROZEN``."""
        return self.status().state

    @property
    def running(self) -> bool:
        """Whether its command runs (also while frozen)."""
        return self.state in ("RUNNING", "FROZEN")

    @property
    def pid(self) -> int | None:
        """Process id of its init on the host, ``None`` unless it is running."""
        return self.status().pid

    @property
    def exit_code(self) -> int | None:
        """What its command ended with (128 + signal if one killed it), ``None`` before that."""
        return self.status().exit_code

    @property
    def labels(self) -> dict[str, str]:
        """The image's labels and those of the settings, which win."""
        return {**self.image.config.labels, **dict(self._spec.labels)}

    @property
    def env(self) -> dict[str, str]:
        """The environment its command got, and every `exec` gets."""
        return dict(self._spec.env)

    @property
    def command(self) -> tuple[str, ...]:
        """The argv it was started with: entrypoint and command."""
        return self._spec.command

    @property
    def healthcheck(self) -> Healthcheck | None:
        """The image's HEALTHCHECK, if it has one that runs something."""
        return self._traits.healthcheck

    # address

    @property
    def ip(self) -> str:
        """Its IPv4 address, reachable from the test; `ContainerError` with ``network="none"``."""
        if not self._ips:
            raise ContainerError(
                f"container {self.name} has no address", container=self.name, hint="leave out network='none'"
            )
        return self._ips[0]

    @property
    def ips(self) -> tuple[str, ...]:
        """All its addresses but the loopback's."""
        return self._ips

    @property
    def ports(self) -> tuple[int, ...]:
        """TCP ports that the image exposes, and those of the settings."""
        return self._traits.ports

    @property
    def hostname(self) -> str:
        """What ``hostname`` prints inside."""
        return self._spec.hostname

    def url(self, port: int, scheme: str = "http") -> str:
        """``scheme://ip:port`` of a port on it; nothing is forwarded, so the number stays what it is inside."""
        return f"{scheme}://{self.ip}:{port}"

    def interfaces(self) -> list[str]:
        """Names of its network interfaces, the loopback first; `NotRunningError` unless it is running."""
        return ["lo", *sorted(self.stats().networks)]

    @cached_property
    def network(self) -> Network:
        """What can be done to its network: delay, loss, partition ... and a look at its packets."""
        from .network import Network  # few tests need it

        return Network(self._backend, self.id, self._ips)

    # life

    def start(self) -> Container:
        """Start it and wait until it is ready; returns itself.

        Raises `StartFailedError` where it cannot be started or ends at once, `ContainerDiedError` or `WaitTimeoutError`
        where it does not become ready; each shows its last log lines. `AlreadyRunningError` where it runs,
        `NotDelegatedError` where it has limits and this user may make no cgroups.
        """
        __tracebackhide__ = True
        readiness = self._traits.readiness
        deadline = time.monotonic() + readiness.timeout
        self._begin()
        if self._last.state == "STOPPED" and not any(map(wait.expects_exit, readiness.conditions)):
            raise self._ended_at_once(self._last)
        self._timed("ready", partial(wait.until_all, self, readiness.conditions, deadline))
        return self

    def launch(self, size: tuple[int, int] | None = None) -> Status:
        """Start it, and leave it at that: it may have ended already, and need not be ready. Raises as `start` does.

        *size* (lines, columns) is that of the terminal it gets, with the setting ``tty``.
        """
        __tracebackhide__ = True
        self.started_at = time.time()
        timeout = self._traits.readiness.timeout
        self._last = self._timed("start", partial(self._backend.start, self.id, timeout, size))
        return self._last

    def _begin(self, size: tuple[int, int] | None = None) -> None:
        __tracebackhide__ = True
        if self.launch(size).state == "STOPPED" and (wrong := self.cannot_execute()):
            message = f"container {self.name} could not execute its command: {wrong}"
            raise self._start_failed(self._last, message, "pass another with command=… or entrypoint=…")

    def cannot_execute(self) -> str:
        """Why its command could not be executed, of one that has ended for that; empty of any other."""
        is_it = self.exit_code == CANNOT_EXECUTE and not self.log_bytes()
        return self._wrong_command() if is_it else ""

    def _ended_at_once(self, status: Status) -> StartFailedError:
        reason = f" ({status.reason})" if status.reason else ""
        message = f"container {self.name} ended as soon as it was started, with exit code {status.exit_code}{reason}"
        return self._start_failed(status, message, "if it is meant to end, wait for that with ready=wait.exit()")

    def _start_failed(self, status: Status, message: str, hint: str) -> StartFailedError:
        logs = self.log_tail()
        return StartFailedError(
            message,
            exit_code=status.exit_code,
            log=logs,
            container=self.name,
            details=f"command: {shlex.join(self.command)}\n"
            + (f"its last log lines:\n{logs}" if logs else "it wrote nothing"),
            hint=hint,
        )

    def _wrong_command(self) -> str:
        return problem(self.image.lower_dirs, self.command[0], self.env.get("PATH", ""), self._spec.cwd)

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Send the image's stop signal; SIGKILL after *timeout* seconds. Returns once it has ended; its files stay.

        What is frozen goes on to end; what is not running is left as it is.
        """
        self._last = self._timed("stop", lambda: self._backend.stop(self.id, timeout))

    def restart(self, timeout: float = STOP_TIMEOUT) -> Container:
        """Stop and start it again, with the same address, and wait until it is ready."""
        self.stop(timeout)
        return self.start()

    def restore(self, image: Image | str | None = None) -> Container:
        """Put its files back to those of *image*: its snapshot, or that one's name, or (default) the image it is of.

        A running one is killed, and started again with the same address and log; returns when it is ready. Raises
        `SnapshotNotFoundError` for an image that is none of its own.
        """
        __tracebackhide__ = True
        ran = self.running
        self._put_back(image)
        return self.start() if ran else self

    def renew(self) -> Container:
        """Have it as a new one would be, whether it runs or has ended: its image's files, its command started.

        It keeps address and log. Returns when it is ready.
        """
        __tracebackhide__ = True
        self._put_back(None)
        return self.start()

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send a signal, as number or name (``"SIGHUP"``, ``"HUP"``), to its command.

        While it is frozen, SIGKILL ends it at once, and others arrive when it goes on. `NotRunningError` unless it is
        running.
        """
        self._backend.signal(self.id, signal_number(signal))

    def freeze(self) -> None:
        """Halt all its processes where they are.

        `AlreadyFrozenError` where they stand still, `NotRunningError` unless it is running, and `NotDelegatedError`
        where this user may make no cgroups.
        """
        self._backend.freeze(self.id)

    def unfreeze(self) -> None:
        """Let its processes go on; `NotFrozenError` where they do, others as for `freeze`."""
        self._backend.unfreeze(self.id)

    def wait(self, state: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait for *state*, LXC's word; `WaitTimeoutError` after *timeout* seconds.

        Any other state than ``STOPPED`` is waited for while it runs: `ContainerDiedError` when it has ended.
        `InvalidSettingsError` for what is no state.
        """
        state = state.upper()
        if state not in STATES:
            raise InvalidSettingsError(f"there is no state {state!r}", hint=f"there are: {' '.join(STATES)}")

        def reached(container: Container) -> bool:
            return container.state == state

        reached.__qualname__ = f"state {state}"
        condition = wait.any_of(reached, wait.exit(None)) if state == "STOPPED" else reached
        self._timed("wait", partial(wait.until, self, condition, timeout))

    def wait_for(self, *conditions: Condition, timeout: float | None = None) -> None:
        """Wait until all *conditions* hold, one after the other; see `pytest_lxcontainer.wait`.

        They have *timeout* seconds together (default: its ``timeout`` setting, else ``--lxc-timeout``). Raises
        `WaitTimeoutError` then, and `ContainerDiedError` as soon as it has ended, unless its end is awaited.
        """
        __tracebackhide__ = True
        deadline = time.monotonic() + (self._traits.readiness.timeout if timeout is None else timeout)
        self._timed("wait", partial(wait.until_all, self, conditions, deadline))

    def destroy(self) -> None:
        """Kill it and remove everything of it; destroyed already is fine."""
        if not self._destroyed:
            self.remains = self._timed("destroy", lambda: self._backend.destroy(self.id))
            self._destroyed = True
            self._last = replace(self._last, state="STOPPED", pid=None)

    def release(self) -> None:
        """Have done with it: `destroy`, unless other processes of the run share it."""
        self.destroy()

    # stats

    def stats(self) -> Stats:
        """Memory, processor, I/O and traffic so far; `NotRunningError` unless it is running."""
        return self._backend.stats(self.id)

    def usage(self) -> Usage:
        """The most memory and the processor time that its last start used, also when it has ended or is destroyed."""
        if self.remains is not None:
            return self.remains.usage
        return Usage() if self._destroyed else self._backend.usage(self.id)


def reason_of(container: Container, status: Status, log: bytes) -> str:
    """Why *container* has ended as *status* says, with *log* written, as far as that is known."""
    if status.reason or status.exit_code != CANNOT_EXECUTE or log:
        return status.reason
    wrong = container._wrong_command()
    return f"could not execute its command: {wrong}" if wrong else ""
