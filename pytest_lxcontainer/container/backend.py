"""The seam between a `Container` and what runs it.

The local implementation is the supervisor's client. Another one (containers on other machines, a fake in
tests) implements this Protocol; fixtures, `Container`, waits and the report stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from .spec import ContainerSpec
from .stats import Stats


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


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """One command to run in a running container; *env* is complete, ids are the container's."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


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


class Backend(Protocol):
    """A dozen operations on containers, addressed by the name that `create` gave.

    Each raises an error of the `LxContainerError` tree; none returns a failure.
    """

    def create(self, spec: ContainerSpec) -> Status:
        """Reserve name, directory and address; nothing runs yet. The container exists for `status` from here on."""

    def start(self, name: str, timeout: float) -> Status:
        """Start it and return once its command has been executed, or has ended."""

    def status(self, name: str) -> Status:
        """Tell how it is now."""

    def signal(self, name: str, signal: int) -> None:
        """Send *signal* to its command."""

    def stop(self, name: str, timeout: float) -> Status:
        """Send its stop signal, and after *timeout* seconds SIGKILL; returns once it has ended."""

    def destroy(self, name: str) -> None:
        """Kill it and give everything back; the files may go after this returns. Unknown names are fine."""

    def freeze(self, name: str) -> None:
        """Halt all its processes."""

    def unfreeze(self, name: str) -> None:
        """Let them go on."""

    def exec(self, name: str, spec: ExecSpec, stdio: Sequence[int]) -> ExecHandle:
        """Run a command with the three given file descriptors, which stay the caller's."""

    def logs(self, name: str, since: float = 0.0) -> bytes:
        """What its command wrote to stdout and stderr, in order, from *since* (seconds since the epoch) on."""

    def stats(self, name: str) -> Stats:
        """Measure it."""

    def open_file(self, name: str, path: str, mode: str, permissions: int = 0o644) -> IO[bytes]:
        """Open a file in it, ``"rb"`` or ``"wb"``, as its root; links resolve inside the container only."""

    def list_files(self, name: str, path: str) -> list[str] | None:
        """Names in a directory, an empty list for anything else that exists, ``None`` for what does not."""

    def names(self) -> dict[str, Any]:
        """Every container of the run, by name, with its image, state and group."""
