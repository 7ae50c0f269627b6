"""The seam between a `Container` and what runs it.

The local implementation is the supervisor's client. Another one (containers on other machines, a fake in
tests) implements this Protocol; fixtures, `Container`, waits and the report stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..errors import LxContainerError
from .control import Control
from .network_control import NetworkControl
from .spec import ContainerSpec
from .stats import Samples, Stats, Usage

if TYPE_CHECKING:
    from .demand import Demand
    from .toolbox import Tools


@dataclass(frozen=True, slots=True)
class Status:
    """A container at one moment.

    *state* is LXC's word (``STOPPED STARTING RUNNING STOPPING FROZEN``), *pid* its init's on the host (``None`` unless
    running), *exit_code* that of its command once it ended (128 + signal if one killed it), *reason* what
    the backend knows beside that.
    """

    name: str
    state: str
    ips: tuple[str, ...] = ()
    pid: int | None = None
    exit_code: int | None = None
    reason: str = ""


LOG_KEPT = 1 << 20
"""Bytes of a log's end that outlive its container."""


@dataclass(frozen=True, slots=True)
class Remains:
    """How a container was the moment before it went, and what it had written: of *log* the last `LOG_KEPT` bytes."""

    status: Status
    log: bytes
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """One command to run in a running container; *env* is complete, ids are the container's.

    With *tty*, its three descriptors are those of a terminal (`Backend.open_terminal`), which is to control it.
    """

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    tty: bool = False


class ExecHandle(Protocol):
    """A running command."""

    def fileno(self) -> int:
        """A descriptor that turns readable when it has ended, until `wait` has told so."""

    def abandon(self) -> None:
        """Have it killed without waiting for that."""

    def wait(self, timeout: float | None = None) -> int | None:
        """Give its exit code (negative: the signal that killed it), or ``None`` once *timeout* seconds passed."""

    def kill(self) -> None:
        """End it and every process it started, now."""


class LogHandle(Protocol):
    """A log that is read while it is written."""

    def fileno(self) -> int:
        """A descriptor that is readable while `wait` need not wait."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there may be more to `read`, at most *timeout* seconds; false once the container has ended."""

    def read(self) -> bytes:
        """What has not been read yet, or the first part of it; empty once all has been."""

    def close(self) -> None:
        """Have done with it."""


class Backend(Control, NetworkControl, Protocol):
    """The operations on containers, addressed by the name that `create` gave.

    Each raises an error of the `LxContainerError` tree; none returns a failure.
    """

    def create(self, spec: ContainerSpec) -> Status:
        """Reserve name, directory and address; nothing runs yet. The container exists for `status` from here on."""

    def take(self, spec: ContainerSpec, demand: Demand) -> tuple[Status, bool]:
        """`create`, or give one that was started ahead, and begin to start others for the requests that are coming.

        It is ``STOPPED``, or has been started; true if it is ready, too.
        """

    def share(self, spec: ContainerSpec, timeout: float) -> tuple[Status, bool]:
        """`create`, or join: one container for all processes that ask with the same `ContainerSpec.shared`.

        True for the first, who is to `start` it and then `settle` it; the others wait for that, at most *timeout*
        seconds. Raises what it was settled with, or `InvalidSettingsError` where the rest of *spec* differs.
        """

    def settle(self, name: str, error: LxContainerError | None = None) -> None:
        """Let the others have a shared container that is ready, or the error that kept it from that."""

    def release(self, name: str) -> Remains | None:
        """Have done with a shared container, as the end of the process does too.

        It is destroyed when `ContainerSpec.sharers` processes have. Unknown names are fine.
        """

    def start(self, name: str, timeout: float, size: tuple[int, int] | None = None) -> Status:
        """Start it and return once its command has been executed, or has ended.

        *size* is that of its terminal at first, from now on, in lines and columns.
        """

    def status(self, name: str) -> Status:
        """Tell how it is now."""

    def signal(self, name: str, signal: int) -> None:
        """Send *signal* to its command."""

    def stop(self, name: str, timeout: float) -> Status:
        """Send its stop signal, and after *timeout* seconds SIGKILL; returns once it has ended."""

    def destroy(self, name: str) -> Remains | None:
        """Kill it and give everything back, the files perhaps after this returns; ``None`` for an unknown name."""

    def freeze(self, name: str) -> None:
        """Halt all its processes; `AlreadyFrozenError` where they are."""

    def unfreeze(self, name: str) -> None:
        """Let them go on; `NotFrozenError` where they do."""

    def exec(self, name: str, spec: ExecSpec, stdio: Sequence[int]) -> ExecHandle:
        """Run a command with the three given file descriptors, which stay the caller's."""

    def attach(self, name: str) -> int | None:
        """Where to write what its command is to read: the master of its terminal, or a pipe; it is the caller's.

        ``None`` where it does not run, or `close_stdin` was called.
        """

    def close_stdin(self, name: str) -> None:
        """Have nothing more come from its command's stdin, once who is attached has closed it; a terminal stays."""

    def open_terminal(self, name: str, uid: int) -> int:
        """Make a terminal in a running container, for its user *uid*; returns the master, non-blocking."""

    def logs(self, name: str, since: float = 0.0, last: int | None = None) -> bytes:
        """What its command wrote to stdout and stderr, in order, from *since* (seconds since the epoch) on.

        With *last* at most so many bytes, those at the end.
        """

    def stats(self, name: str) -> Stats:
        """Measure it."""

    def usage(self, name: str) -> Usage:
        """Tell what it has used in its last start, whether it runs or has ended."""

    def begin_sampling(self) -> None:
        """Measure all containers of the run again and again from now on, for `samples`."""

    def samples(self) -> dict[str, Samples]:
        """What has been measured since `begin_sampling`, by container, also of those that are gone."""

    def follow(self, name: str, since: float = 0.0, *, this_start: bool = False) -> LogHandle:
        """Read the log from *since* on as it is written, with *this_start* no more than that of its last start."""

    def open_file(self, name: str, path: str, mode: str, permissions: int = 0o644) -> IO[bytes]:
        """Open a file in it, ``"rb"`` or ``"wb"``, as its root; links resolve inside the container only."""

    def list_files(self, name: str, path: str) -> list[str]:
        """Names in a directory, sorted; `ContainerFileError` for what is none."""

    def has_file(self, name: str, path: str) -> bool:
        """Whether there is anything, if only a link that leads nowhere."""

    def snapshot(self, name: str, directory: str | None = None) -> tuple[str, ...]:
        """Seal what it has written as one more layer, running or not; returns all its layers then, base first.

        The layer is *directory*, an empty one that stays the caller's, or goes with the run.
        """

    def restore(self, name: str, lower_dirs: Sequence[str]) -> Status:
        """Give it the files of *lower_dirs* (base first) and no others; it is killed first where it runs."""

    def diff(self, name: str, since: Sequence[str]) -> list[tuple[str, str, int]]:
        """Tell what of its files differs from *since* (layers, base first): how, path, bytes; by path."""

    def changes(self, name: str, since: Sequence[str], bounds: Mapping[str, Any]) -> dict[str, Any]:
        """As `diff`, of bounded length and effort, with the texts of small files: see `rootfs.changes`."""

    def copy_in(self, name: str, host_path: str, path: str, owner: str | None) -> str:
        """Copy a file or tree into it, for *owner* (``None``: the host's ids); returns the path of what was made."""

    def copy_out(self, name: str, path: str, host_path: str) -> Path:
        """Copy a file or tree out of it; returns the path of what was made."""

    def mount(self, name: str, source: str, path: str, read_only: bool) -> None:
        """Mount a file or directory of the host in it while it runs."""

    def unmount(self, name: str, path: str, *, remove: bool = False) -> None:
        """Undo a mount while it runs; with *remove*, what it was on goes too: a file or an empty directory."""

    def tools(self) -> Tools:
        """Programs of the host's to be mounted in a container that has no shell, at `toolbox.PLACE`."""

    def names(self) -> dict[str, Any]:
        """Every container of the run, by name, with its image, state and group."""
