"""Running commands in a container, from the caller's side."""

from __future__ import annotations

import os
import selectors
import shlex
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from ..errors import ExecFailedError, ExecTimeoutError, SupervisorError
from .backend import Backend, ExecHandle, ExecSpec

Command = str | Sequence[str]
Output = TypeVar("Output", str, bytes)

_CHUNK = 1 << 16
_LARGEST_PIPE = 1 << 20
"""Bytes that a command may have left in a pipe: fs.pipe-max-size, see pipe(7)."""
_OPEN_TO_ALL = 0o666
"""A command may run as any user of the container and open its /dev/stdout anew."""


@dataclass(frozen=True, slots=True)
class ExecResult(Generic[Output]):
    """How a command ended: *exit_code* (negative: the signal that killed it), its output, *duration* in seconds."""

    args: tuple[str, ...]
    exit_code: int
    stdout: Output
    stderr: Output
    duration: float

    def check(self, *, container: str = "", again: str = "") -> ExecResult[Output]:
        """Return self if the exit code is 0, else raise `ExecFailedError` with both streams.

        *container* is where it ran, *again* a shell's line that runs it once more.
        """
        __tracebackhide__ = True
        if self.exit_code != 0:
            where = f" in container {container}" if container else ""
            raise ExecFailedError(
                f"command{where} {_how(self.exit_code)}: {shlex.join(self.args)}",
                details=f"stdout:\n{_text(self.stdout)}\nstderr:\n{_text(self.stderr)}",
                hint=f"while the container runs, run it again with: {again}" if again else "",
                result=self,
                container=container,
            )
        return self


def argv(command: Command, shell: Sequence[str] = ("/bin/sh", "-c")) -> tuple[str, ...]:
    """A list is argv as it is, a string goes through *shell*."""
    return (*shell, command) if isinstance(command, str) else tuple(str(word) for word in command)


def shell_line(spec: ExecSpec, pid: int, *, user_namespace: bool) -> str:
    """What a person types on the host, as the user the tests run as, to run *spec* in the container of init *pid*.

    With nsenter(1), which is on every host: without the container's limits and filters.
    """
    # An ordinary user may enter by init's child only: init itself is opaque (PR_SET_DUMPABLE of prctl(2)).
    children = Path(f"/proc/{pid}/task/{pid}/children")
    target = next(iter(children.read_text().split()), str(pid)) if children.exists() else str(pid)
    namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
    if user_namespace:
        namespaces.append("--user")
    variables = [f"{key}={value}" for key, value in spec.env]
    options = ["--target", target, *namespaces, f"--wdns={spec.cwd}", f"--setgid={spec.gid}", f"--setuid={spec.uid}"]
    return f'{shlex.join(["env", "-i", *variables])} "$(command -v nsenter)" {shlex.join([*options, "--", *spec.args])}'


def run(
    backend: Backend, name: str, spec: ExecSpec, *, data: bytes | None = None, timeout: float | None = None
) -> ExecResult[bytes]:
    """Run *spec* to its end with *data* on stdin, collecting both streams.

    Output that a background child writes after the command's end is not waited for. Raises `ExecTimeoutError` with
    what was written so far; the command and its children are killed then, and when the caller is interrupted.
    """
    begin = time.monotonic()
    with Pipes(stdin=data is not None) as pipes:
        handle = backend.exec(name, spec, pipes.theirs)
        pipes.close_theirs()
        exchange = _Exchange(handle, pipes, data or b"")
        try:
            code = exchange.run(None if timeout is None else begin + timeout)
        except BaseException:
            handle.abandon()
            raise
        if code is None:
            handle.kill()
            exchange.drain()
            raise ExecTimeoutError(
                f"command was killed after {timeout:g} s: {shlex.join(spec.args)}",
                timeout=timeout or 0,
                stdout=bytes(exchange.stdout),
                stderr=bytes(exchange.stderr),
                container=name,
                details=f"stdout:\n{_text(bytes(exchange.stdout))}\nstderr:\n{_text(bytes(exchange.stderr))}",
            )
    duration = time.monotonic() - begin
    return ExecResult(spec.args, code, bytes(exchange.stdout), bytes(exchange.stderr), duration)


class Pipes:
    """Both ends of a command's stdin, stdout and stderr."""

    def __init__(self, *, stdin: bool) -> None:
        self.theirs: list[int] = []
        self.ours: list[int] = []
        if stdin:
            reader, writer = os.pipe()
            self.theirs.append(reader)
            self.ours.append(writer)
        else:
            self.theirs.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            self.ours.append(-1)
        for _ in range(2):
            reader, writer = os.pipe()
            self.theirs.append(writer)
            self.ours.append(reader)
        for fd in self.theirs[0 if stdin else 1 :]:
            os.fchmod(fd, _OPEN_TO_ALL)

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close_theirs()
        for number in range(len(self.ours)):
            self.close_ours(number)

    def close_theirs(self) -> None:
        """Close the command's ends, once it has them."""
        while self.theirs:
            os.close(self.theirs.pop())

    def close_ours(self, number: int) -> None:
        """Close our end of stream *number*."""
        fd, self.ours[number] = self.ours[number], -1
        if fd >= 0:
            os.close(fd)

    def give_up(self, number: int) -> int:
        """Our end of stream *number*, now the caller's to close."""
        fd, self.ours[number] = self.ours[number], -1
        return fd


class _Exchange:
    """Feeding a command and reading it until it ends."""

    def __init__(self, handle: ExecHandle, pipes: Pipes, data: bytes) -> None:
        self._handle = handle
        self._pipes = pipes
        self._input = memoryview(data)
        self.stdout = bytearray()
        self.stderr = bytearray()
        for fd in pipes.ours:
            if fd >= 0:
                os.set_blocking(fd, False)

    def run(self, deadline: float | None) -> int | None:
        """Until the command has ended; ``None`` when *deadline* (monotonic seconds) comes first."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._handle.fileno(), selectors.EVENT_READ, "end")
            selector.register(self._pipes.ours[1], selectors.EVENT_READ, self.stdout)
            selector.register(self._pipes.ours[2], selectors.EVENT_READ, self.stderr)
            if self._pipes.ours[0] >= 0:
                selector.register(self._pipes.ours[0], selectors.EVENT_WRITE, "input")
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                for key, _ in selector.select(left):
                    if key.data == "end":
                        self.drain()
                        return self._handle.wait()
                    self._serve(selector, key)

    def _serve(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        if key.data == "input":
            if self._feed(key.fd):
                selector.unregister(key.fd)
                self._pipes.close_ours(0)
        elif not _read(key.fd, key.data):
            selector.unregister(key.fd)

    def _feed(self, fd: int) -> bool:
        """Write what fits; true when all is written, or nobody reads any more."""
        try:
            written = os.write(fd, self._input[:_CHUNK])
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        self._input = self._input[written:]
        return not self._input

    def drain(self) -> None:
        """Read what the command has left in its pipes, which another may go on to write to."""
        for number, buffer in ((1, self.stdout), (2, self.stderr)):
            before, limit = -1, len(buffer) + _LARGEST_PIPE
            while before != len(buffer) < limit:
                before = len(buffer)
                _read(self._pipes.ours[number], buffer)


class Process:
    """A command that runs while the caller goes on; its streams are binary files.

    A context manager: leaving it kills the command if it still runs, and closes the streams. *told* is called with its
    exit code when its end is noticed.
    """

    def __init__(self, handle: ExecHandle, args: tuple[str, ...], pipes: Pipes, told: Callable[[int], None]) -> None:
        self.args = args
        self._told = told
        self.stdin: IO[bytes] = os.fdopen(pipes.give_up(0), "wb", buffering=0)
        self.stdout: IO[bytes] = os.fdopen(pipes.give_up(1), "rb")
        self.stderr: IO[bytes] = os.fdopen(pipes.give_up(2), "rb")
        self._handle = handle
        self.exit_code: int | None = None

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            with suppress(SupervisorError):  # every command has ended with the supervisor
                self.kill()
        finally:
            self._handle.abandon()
            for stream in (self.stdin, self.stdout, self.stderr):
                stream.close()

    def _note(self, exit_code: int | None) -> None:
        """Keep *exit_code*, if there is one now."""
        self.exit_code = exit_code
        if exit_code is not None:
            self._told(exit_code)

    def poll(self) -> int | None:
        """The exit code, or ``None`` while it runs."""
        if self.exit_code is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._handle.fileno(), selectors.EVENT_READ)
                if selector.select(0):
                    self._note(self._handle.wait())
        return self.exit_code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, at most *timeout* seconds (then `ExecTimeoutError`); returns the exit code.

        A negative one is the signal that killed it.
        """
        if self.exit_code is None:
            self._note(self._handle.wait(timeout))
        if self.exit_code is None:
            raise ExecTimeoutError(
                f"command still runs after {timeout:g} s: {shlex.join(self.args)}", timeout=timeout or 0
            )
        return self.exit_code

    def kill(self) -> None:
        """End it and everything it started."""
        if self.poll() is None:
            self._handle.kill()
            self._note(self._handle.wait())


def _read(fd: int, buffer: bytearray) -> bool:
    """Append what can be read now to *buffer*; false at the end of the stream."""
    try:
        data = os.read(fd, _CHUNK)
    except BlockingIOError:
        return True
    buffer += data
    return bool(data)


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name} (exit code {exit_code})"
    except ValueError:
        return f"was killed by signal {-exit_code} (exit code {exit_code})"


def _text(output: str | bytes) -> str:
    return output if isinstance(output, str) else output.decode("utf-8", "replace")
