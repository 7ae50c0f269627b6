"""What a container cannot do now or here, as the errors that say so."""

from __future__ import annotations

from collections.abc import Collection

from ..container.backend import Status
from ..container.limits import CONTROLLERS, Limits
from ..errors import (
    AlreadyFrozenError,
    AlreadyRunningError,
    DestroyedError,
    FrozenError,
    HostNotReadyError,
    NotDelegatedError,
    NotFrozenError,
    NotRunningError,
    StartFailedError,
    WaitTimeoutError,
)
from .host import Host


def destroyed(name: str) -> DestroyedError:
    """For whatever is asked of a container that is no more."""
    return DestroyedError(f"container {name} is no more: it was destroyed", state="DESTROYED", container=name)


def not_running(status: Status, why: str, log: str) -> NotRunningError:
    """For what needs a running container; *log* is the end of what its command wrote."""
    ended = "" if status.exit_code is None else f"; it ended with exit code {status.exit_code}"
    reason = f" ({status.reason})" if status.reason else ""
    message = f"container {status.name}: {why}{ended}{reason}"
    return NotRunningError(message, state=status.state, details=log, container=status.name)


def already_running(status: Status) -> AlreadyRunningError:
    """For a start of what has been started."""
    message = f"container {status.name} is already {status.state.lower()}"
    return AlreadyRunningError(message, state=status.state, container=status.name)


def frozen(status: Status) -> FrozenError:
    """For what would stand still with the rest."""
    message = f"container {status.name} is frozen"
    return FrozenError(message, state=status.state, container=status.name, hint="unfreeze() it first")


def already_frozen(status: Status) -> AlreadyFrozenError:
    """For freezing what stands still."""
    message = f"container {status.name} is already frozen"
    return AlreadyFrozenError(message, state=status.state, container=status.name)


def not_frozen(status: Status) -> NotFrozenError:
    """For unfreezing what does not stand still."""
    message = f"container {status.name} is not frozen"
    return NotFrozenError(message, state=status.state, container=status.name)


def start_took_too_long(name: str, timeout: float, problems: str) -> WaitTimeoutError:
    """For a start that is given up after *timeout* seconds; *problems* are LXC's."""
    return WaitTimeoutError(
        f"container {name} did not start within {timeout:g} s",
        awaited="its command to be executed",
        timeout=timeout,
        container=name,
        details=problems,
    )


def start_failed(name: str, monitor_code: int | None, problems: str, log: str) -> StartFailedError:
    """For a start that LXC would not make, or at which its monitor was killed; *log* is the command's."""
    how = f" (signal {-monitor_code})" if monitor_code and monitor_code < 0 else ""
    return StartFailedError(
        f"container {name} could not be started by LXC{how}",
        details=problems,
        log=log,
        container=name,
        hint="see what this host lacks with: lxcontainer doctor",
    )


def not_delegated(name: str, what: str, host: Host) -> NotDelegatedError:
    """For what needs cgroups where the user may make none."""
    return NotDelegatedError(
        f"{what}: needs cgroups of the container's own, and user {host.user} may not make any",
        container=name,
        hint=f"delegate cgroups to the user, as root: lxcontainer doctor --fix --user {host.user}",
    )


def check_limits(name: str, limits: Limits, asked: Collection[str], host: Host) -> None:
    """Raise what keeps *limits*, of which those named in *asked* are asked for, from being enforced on *host*."""
    if asked and not host.limits_apply:
        raise not_delegated(name, f"limits ({', '.join(asked)})", host)
    without = [
        each for each in asked if getattr(limits, each) is not None and CONTROLLERS[each] not in host.controllers
    ]
    if without:
        raise NotDelegatedError(
            f"limits ({', '.join(without)}): the cgroup controller {CONTROLLERS[without[0]]} is not user {host.user}'s",
            container=name,
            hint=f"delegate it to the user, as root: lxcontainer doctor --fix --user {host.user}",
        )
    if not host.disks and (limits.io_read is not None or limits.io_write is not None):
        raise HostNotReadyError(
            "limits (io_read, io_write): the store is on no disk of its own, so nothing would be limited",
            hint="put it on one with --lxc-store DIR or LXCONTAINER_STORE",
        )
