"""A container as a test holds it.

Functions that set ``__tracebackhide__`` are left out of pytest's tracebacks: a user reads the test and the error.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar, overload

from ..errors import ContainerError, ExecTimeoutError, InvalidSettingsError, StartFailedError
from ..image.config import Healthcheck
from ..image.image import Image
from ..rootfs.users import User, resolve_user
from . import wait
from .backend import Backend, ExecSpec, Status
from .exec import Command, ExecResult, Pipes, Process, argv, run
from .executable import problem
from .signals import signal_number
from .spec import ContainerSpec
from .stats import Stats
from .wait import Condition

Observer = Callable[["Container", str, float], None]
T = TypeVar("T")

CANNOT_EXECUTE = 255
"""What LXC's init ends with when it could not execute its command."""

DEFAULT_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What to wait for after a start: *conditions* in order, all within *timeout* seconds."""

    conditions: tuple[Condition, ...] = ()
    timeout: float = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class Traits:
    """What a `Container` knows beside its spec: how to tell that it is ready, its ports, its health check and shell.

    *observer* is called with (container, operation, seconds) after each operation that takes time.
    """

    readiness: Readiness = Readiness()
    ports: tuple[int, ...] = ()
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    home: str = "/root"
    observer: Observer | None = field(default=None, compare=False)


class Container:
    """One container: a clone of an image that can be run, asked, reached, changed and thrown away.

    Made by a fixture, or by `Provisioner.run`; destroyed by its fixture, by leaving a ``with`` block, or by `destroy`.
    Its methods may be called from several threads.
    """

    def __init__(self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits = Traits()) -> None:
        self._backend = backend
        self._spec = spec
        self._traits = traits
        self.image = image
        reserved = backend.create(spec)
        self.id = reserved.name
        """Unique in the run."""
        self._ips = reserved.ips
        self._last: Status = reserved
        self._destroyed = False

    def __repr__(self) -> str:
        return f"<Container {self.id} of {self.image.reference.familiar}>"

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.destroy()

    # identity

    @property
    def name(self) -> str:
        """Its host name, under which its peers resolve it."""
        return self._spec.hostname

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

    def status(self) -> Status:
        """State, pid and exit code at one moment; what was last known once it is destroyed."""
        if not self._destroyed:
            self._last = self._backend.status(self.id)
        return self._last

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
        """Names of its network interfaces."""
        return ["lo", *sorted(self.stats().networks)]

    # run

    @overload
    def exec(
        self,
        command: Command,
        *,
        user: str | int | None = ...,
        cwd: str | None = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[True] = ...,
    ) -> ExecResult[str]: ...

    @overload
    def exec(
        self,
        command: Command,
        *,
        user: str | int | None = ...,
        cwd: str | None = ...,
        env: Mapping[str, str] | None = ...,
        input: str | bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        text: Literal[False],
    ) -> ExecResult[bytes]: ...

    def exec(  # noqa: PLR0913 - each is a choice of the user's, by keyword, as in subprocess.run
        self,
        command: Command,
        *,
        user: str | int | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        check: bool = False,
        text: bool = True,
    ) -> ExecResult[str] | ExecResult[bytes]:
        """Run *command* to its end: a list is argv, a string goes through ``/bin/sh -c``.

        It runs as *user* and in *cwd* (defaults: the image's), with the container's environment and *env* on top,
        and *input* on stdin. After *timeout* seconds it and its children are killed and `ExecTimeoutError` is
        raised. With *check*, an exit code other than 0 raises `ExecFailedError`. A command that is not found ends
        with 127, one that cannot be executed with 126; a negative code is the signal that killed it. Output is
        text (UTF-8, with U+FFFD for what is not), or bytes with ``text=False``.
        """
        __tracebackhide__ = True
        spec = self._exec_spec(command, user, cwd, env)
        data = input.encode() if isinstance(input, str) else input
        try:
            raw = self._timed("exec", partial(run, self._backend, self.id, spec, data=data, timeout=timeout))
        except ExecTimeoutError as error:
            if text:
                error.stdout, error.stderr = _decoded(error.stdout), _decoded(error.stderr)
            raise
        result: ExecResult[str] | ExecResult[bytes] = _as_text(raw) if text else raw
        if check:
            result.check()
        return result

    def check_output(self, command: Command, **options: Any) -> str:
        """Run *command* and return its stdout without the last line break; `ExecFailedError` unless it succeeds."""
        result: ExecResult[str] = self.exec(command, check=True, **options)
        return result.stdout.removesuffix("\n")

    def popen(
        self,
        command: Command,
        *,
        user: str | int | None = None,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start *command* and go on; the `Process` has live binary streams, and ends with the container."""
        spec = self._exec_spec(command, user, cwd, env)
        with Pipes(stdin=True) as pipes:
            handle = self._backend.exec(self.id, spec, pipes.theirs)
            return Process(handle, spec.args, pipes)

    def _exec_spec(
        self, command: Command, user: str | int | None, cwd: str | None, env: Mapping[str, str] | None
    ) -> ExecSpec:
        words = argv(command, self._traits.shell)
        if not words or any("\0" in word for word in words):
            raise InvalidSettingsError(f"{command!r} is no command", hint="pass a list of words, or a shell command")
        complete = dict(self._spec.env)
        who = self._default_user() if user is None else self._look_up(str(user))
        if user is not None:
            complete["HOME"] = who.home
        complete.update(env or {})
        return ExecSpec(words, tuple(complete.items()), cwd or self._spec.cwd, who.uid, who.gid, who.groups)

    def _default_user(self) -> User:
        return User(self._spec.uid, self._spec.gid, self._spec.groups, self._traits.home, "")

    def _look_up(self, user: str) -> User:
        return resolve_user(user, self._optional("/etc/passwd"), self._optional("/etc/group"))

    def _optional(self, path: str) -> bytes | None:
        try:
            return self.read_bytes(path)
        except OSError:
            return None

    # logs

    def logs(self, since: float | None = None) -> str:
        """What its command wrote to stdout and stderr, in the order written; *since* is in seconds since the epoch."""
        return self._backend.logs(self.id, since or 0.0).decode("utf-8", "replace")

    def log_tail(self, lines: int = 20) -> str:
        """The last *lines* of the log."""
        return "\n".join(self.logs().splitlines()[-lines:])

    # files

    def read_bytes(self, path: str) -> bytes:
        """Content of the regular file *path*; `ContainerFileError`, an `OSError`, where it cannot be read."""
        with self._backend.open_file(self.id, path, "rb") as file:
            return file.read()

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """Content of *path* as text."""
        return self.read_bytes(path).decode(encoding)

    def write_bytes(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write the file *path*; a new one is root's with permissions *mode*. Its directory must exist."""
        with self._backend.open_file(self.id, path, "wb", mode) as file:
            file.write(data)

    def write_text(self, path: str, text: str, *, encoding: str = "utf-8", mode: int = 0o644) -> None:
        """Write *text* to the file *path*."""
        self.write_bytes(path, text.encode(encoding), mode=mode)

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*."""
        return self._backend.list_files(self.id, path) is not None

    def listdir(self, path: str) -> list[str]:
        """Sorted names in the directory *path*; `FileNotFoundError` where there is nothing."""
        names = self._backend.list_files(self.id, path)
        if names is None:
            raise FileNotFoundError(f"{path} in container {self.name}")
        return names

    # life

    def start(self) -> Container:
        """Start it and wait until it is ready; returns itself.

        Raises `StartFailedError` where it cannot be started or ends at once, `ContainerDiedError` or `WaitTimeoutError`
        where it does not become ready; each shows its last log lines.
        """
        __tracebackhide__ = True
        readiness = self._traits.readiness
        deadline = time.monotonic() + readiness.timeout
        self._last = self._timed("start", partial(self._backend.start, self.id, readiness.timeout))
        if self._last.state == "STOPPED" and not any(map(wait.expects_exit, readiness.conditions)):
            raise self._ended_at_once(self._last)
        self._timed("ready", partial(wait.until_all, self, readiness.conditions, deadline))
        return self

    def _ended_at_once(self, status: Status) -> StartFailedError:
        logs = self.log_tail()
        reason = f" ({status.reason})" if status.reason else ""
        message = f"container {self.name} ended as soon as it was started, with exit code {status.exit_code}{reason}"
        hint = "if it is meant to end, wait for that with ready=wait.exit()"
        if status.exit_code == CANNOT_EXECUTE and not logs:
            wrong = problem(self.image.lower_dirs, self.command[0], self.env.get("PATH", ""), self._spec.cwd)
            if wrong:
                message = f"container {self.name} could not execute its command: {wrong}"
                hint = "pass another with command=… or entrypoint=…"
        return StartFailedError(
            message,
            exit_code=status.exit_code,
            log=logs,
            container=self.name,
            details=f"command: {shlex.join(self.command)}\n"
            + (f"its last log lines:\n{logs}" if logs else "it wrote nothing"),
            hint=hint,
        )

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Send the image's stop signal; SIGKILL after *timeout* seconds. Returns once it has ended; its files stay."""
        self._last = self._timed("stop", lambda: self._backend.stop(self.id, timeout))

    def restart(self, timeout: float = STOP_TIMEOUT) -> Container:
        """Stop and start it again, with the same address, and wait until it is ready."""
        self.stop(timeout)
        return self.start()

    def kill(self, signal: int | str = "SIGKILL") -> None:
        """Send a signal, as number or name (``"SIGHUP"``, ``"HUP"``), to its command."""
        self._backend.signal(self.id, signal_number(signal))

    def freeze(self) -> None:
        """Halt all its processes where they are."""
        self._backend.freeze(self.id)

    def unfreeze(self) -> None:
        """Let its processes go on."""
        self._backend.unfreeze(self.id)

    def wait(self, state: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Wait for *state*, LXC's word; `WaitTimeoutError` after *timeout* seconds."""

        def reached(container: Container) -> bool:
            return container.state == state

        reached.__qualname__ = f"state {state}"
        condition = wait.any_of(reached, wait.exit(None)) if state == "STOPPED" else reached
        wait.until(self, condition, timeout)

    def wait_for(self, *conditions: Condition, timeout: float | None = None) -> None:
        """Wait until all *conditions* hold, at most *timeout* seconds together; see `pytest_lxcontainer.wait`."""
        __tracebackhide__ = True
        deadline = time.monotonic() + (self._traits.readiness.timeout if timeout is None else timeout)
        wait.until_all(self, conditions, deadline)

    def destroy(self) -> None:
        """Kill it and remove everything of it; destroyed already is fine."""
        if not self._destroyed:
            self._timed("destroy", lambda: self._backend.destroy(self.id))
            self._destroyed = True
            self._last = replace(self._last, state="STOPPED", pid=None)

    # stats

    def stats(self) -> Stats:
        """Memory, processor, I/O and traffic so far; `NotRunningError` unless it is running."""
        return self._backend.stats(self.id)

    def _timed(self, operation: str, work: Callable[[], T]) -> T:
        __tracebackhide__ = True
        if self._traits.observer is None:
            return work()
        begin = time.monotonic()
        try:
            return work()
        finally:
            self._traits.observer(self, operation, time.monotonic() - begin)


def _as_text(raw: ExecResult[bytes]) -> ExecResult[str]:
    return ExecResult(raw.args, raw.exit_code, _decoded(raw.stdout), _decoded(raw.stderr), raw.duration)


def _decoded(output: bytes) -> str:
    return output.decode("utf-8", "replace")
