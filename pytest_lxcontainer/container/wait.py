"""Conditions a container can be waited for.

Each is called with the container and is true once it holds; any other callable that takes the container
serves as well, and may raise while it does not hold yet.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import (
    ContainerDiedError,
    ContainerFileError,
    ExecFailedError,
    ExecTimeoutError,
    LxContainerError,
    NotRunningError,
    WaitTimeoutError,
)
from .watch import Watch

if TYPE_CHECKING:
    from .container import Container

Condition = Callable[["Container"], Any]

_CONNECT_TIMEOUT = 0.5
_ANSWER_TIMEOUT = 5.0
"""Seconds for an HTTP answer: the first one of a server that has just come up may be slow."""


@dataclass(frozen=True, slots=True)
class _Port:
    number: int

    def __call__(self, container: Container) -> bool:
        with socket.create_connection((container.ip, self.number), timeout=_CONNECT_TIMEOUT):
            return True

    def __str__(self) -> str:
        return f"port {self.number} to accept connections"


@dataclass(frozen=True, slots=True)
class _Log:
    pattern: re.Pattern[str]
    times: int

    def __call__(self, container: Container) -> bool:
        with Watch(container) as watch:
            return self.within(watch)

    def within(self, watch: Watch) -> bool:
        if (found := watch.count(self.pattern, self.times)) < self.times:
            raise _NotYetError(f"found {found} of {self.times} times" if found else "not found")
        return True

    def __str__(self) -> str:
        return f"{self.pattern.pattern!r} in the log" + (f", {self.times} times" if self.times > 1 else "")


@dataclass(frozen=True, slots=True)
class _Http:
    path: str
    port: int
    status: int

    def __call__(self, container: Container) -> bool:
        # Only who waits for HTTP pays for importing it.
        from http.client import HTTPConnection

        connection = HTTPConnection(container.ip, self.port, timeout=_CONNECT_TIMEOUT)
        try:
            connection.connect()
            connection.sock.settimeout(_ANSWER_TIMEOUT)
            connection.request("GET", self.path)
            answered = connection.getresponse().status
        finally:
            connection.close()
        if answered != self.status:
            raise _NotYetError(f"status {answered}")
        return True

    def __str__(self) -> str:
        return f"HTTP status {self.status} for {self.path} on port {self.port}"


@dataclass(frozen=True, slots=True)
class _Exec:
    command: str | tuple[str, ...]

    def __call__(self, container: Container) -> bool:
        return self.within(Watch(container))

    def within(self, watch: Watch) -> bool:
        result = watch.container.exec(self.command, timeout=watch.for_command)
        if result.exit_code != 0:
            raise _NotYetError(f"exit code {result.exit_code}: {(result.stderr or result.stdout).strip()[-200:]}")
        return True

    def __str__(self) -> str:
        return f"command {self.command!r} to succeed"


@dataclass(frozen=True, slots=True)
class _Healthy:
    """See `healthy`."""

    def __call__(self, container: Container) -> bool:
        return self.within(Watch(container))

    def within(self, watch: Watch) -> bool:
        container = watch.container
        check = container.healthcheck
        if check is None:
            raise LxContainerError(
                f"image {container.image.reference.familiar} has no HEALTHCHECK",
                hint="wait for something else: wait.port(n), wait.log(regex), wait.exec(command)",
            )
        kind, *words = check.test
        command = words[0] if kind == "CMD-SHELL" else words
        limits = [limit for limit in (check.timeout, watch.for_command) if limit is not None]
        result = container.exec(command, timeout=min(limits, default=None))
        if result.exit_code != 0:
            raise _NotYetError(f"exit code {result.exit_code}: {(result.stdout + result.stderr).strip()[-200:]}")
        return True

    def __str__(self) -> str:
        return "the image's HEALTHCHECK to succeed"


@dataclass(frozen=True, slots=True)
class _File:
    path: str

    def __call__(self, container: Container) -> bool:
        return container.exists(self.path)

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True, slots=True)
class Exit:
    """The command's end with a certain exit code; see `exit`."""

    code: int | None

    def __call__(self, container: Container) -> bool:
        """Whether it has ended; `ContainerDiedError` for an end with another code."""
        status = container.status()
        if status.state != "STOPPED":
            return False
        if self.code is not None and status.exit_code != self.code:
            raise ContainerDiedError(
                f"container {container.name} ended with exit code {status.exit_code}, not {self.code}",
                exit_code=status.exit_code,
                log=container.log_tail(),
                details=container.log_tail(),
                container=container.name,
            )
        return True

    def __str__(self) -> str:
        return "its end" if self.code is None else f"its end with exit code {self.code}"


@dataclass(frozen=True, slots=True)
class _AllOf:
    conditions: tuple[Condition, ...]

    def __call__(self, container: Container) -> bool:
        with Watch(container) as watch:
            return self.within(watch)

    def within(self, watch: Watch) -> bool:
        return all(_ask(condition, watch) for condition in self.conditions)

    def __str__(self) -> str:
        return " and ".join(map(_part, self.conditions))


@dataclass(frozen=True, slots=True)
class _AnyOf:
    conditions: tuple[Condition, ...]

    def __call__(self, container: Container) -> bool:
        with Watch(container) as watch:
            return self.within(watch)

    def within(self, watch: Watch) -> bool:
        seen = []
        for condition in self.conditions:
            held, what = _holds(condition, watch)
            if held:
                return True
            seen.append(f"{describe(condition)}: {what}")
        raise _NotYetError("; ".join(seen))

    def __str__(self) -> str:
        return " or ".join(map(_part, self.conditions))


class _NotYetError(Exception):
    """Why a condition does not hold yet."""


def port(number: int) -> Condition:
    """TCP port *number* accepts connections from the test."""
    return _Port(number)


def log(pattern: str | re.Pattern[str], times: int = 1) -> Condition:
    """Regular expression *pattern* matches *times* times in what the container has written since its last start.

    ``^`` and ``$`` match at lines, unless *pattern* is a compiled one without `re.MULTILINE`. A match may span lines,
    of 65536 characters together.
    """
    return _Log(re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern, times)


def http(path: str = "/", port: int = 80, status: int = 200) -> Condition:
    """GET *path* on *port* answers with *status*."""
    return _Http(path, port, status)


def exec(command: str | list[str] | tuple[str, ...]) -> Condition:
    """*command* in the container ends with exit code 0."""
    return _Exec(command if isinstance(command, str) else tuple(command))


def healthy() -> Condition:
    """The image's HEALTHCHECK command succeeds; it is run at once and often, not at the image's interval."""
    return _Healthy()


def file(path: str) -> Condition:
    """*path* exists in the container."""
    return _File(path)


def exit(code: int | None = 0) -> Condition:
    """The command has ended with *code* (``None``: with any)."""
    return Exit(code)


def all_of(*conditions: Condition) -> Condition:
    """All *conditions* hold."""
    return _AllOf(conditions)


def any_of(*conditions: Condition) -> Condition:
    """One of *conditions* holds."""
    return _AnyOf(conditions)


def expects_exit(condition: Condition) -> bool:
    """Whether the container's end is what *condition* may be waiting for."""
    if isinstance(condition, (_AllOf, _AnyOf)):
        return any(expects_exit(each) for each in condition.conditions)
    return isinstance(condition, Exit)


def _is_told(condition: Condition) -> bool:
    """Whether *condition* can come true with an event only: more in the log, or the container's end."""
    if isinstance(condition, (_AllOf, _AnyOf)):
        return all(_is_told(each) for each in condition.conditions)
    return isinstance(condition, (_Log, Exit))


def describe(condition: Condition) -> str:
    """What *condition* waits for."""
    if isinstance(condition, (_Port, _Log, _Http, _Exec, _Healthy, _File, Exit, _AllOf, _AnyOf)):
        return str(condition)
    return getattr(condition, "__qualname__", repr(condition))


def _part(condition: Condition) -> str:
    """As part of another one's description."""
    return f"({describe(condition)})" if isinstance(condition, (_AllOf, _AnyOf)) else describe(condition)


def until_all(container: Container, conditions: Iterable[Condition], deadline: float) -> None:
    """Wait for *conditions* in order, all by *deadline* (monotonic seconds); raises as `until`."""
    __tracebackhide__ = True
    for condition in conditions:
        until(container, condition, max(0.0, deadline - time.monotonic()))


def until(container: Container, condition: Condition, timeout: float) -> None:
    """Wait until *condition* holds: for events where it comes with one, else by a look every few milliseconds.

    Raises `ContainerDiedError` as soon as the container has ended (unless that is awaited), `WaitTimeoutError`
    after *timeout* seconds with what was last seen.
    """
    __tracebackhide__ = True
    deadline = time.monotonic() + timeout
    told = _is_told(condition)
    with Watch(container, deadline) as watch:
        while True:
            # Asked before the condition: what came true with the container's last breath still counts.
            status = container.status()
            watch.notice(status)
            held, seen = _holds(condition, watch)
            if held:
                return
            if status.state == "STOPPED" and not expects_exit(condition):
                raise _died(container, condition)
            if not (watch.until_told() if told else watch.poll()):
                raise _late(container, condition, timeout, seen)


def _late(container: Container, condition: Condition, timeout: float, seen: str) -> WaitTimeoutError:
    container.history.note_late(f"{describe(condition)}, not so after {timeout:.3g} s: {seen}")
    return WaitTimeoutError(
        f"container {container.name} was not ready after {timeout:.3g} s: waited for {describe(condition)}",
        awaited=describe(condition),
        timeout=timeout,
        last_seen=seen,
        container=container.name,
        details=f"last seen: {seen}\nits last log lines:\n{container.log_tail()}",
        hint="give it more time with timeout=… or --lxc-timeout, or wait for something else",
    )


def _ask(condition: Condition, watch: Watch) -> Any:
    """Ask *condition* once."""
    if isinstance(condition, (_Log, _Exec, _Healthy, _AllOf, _AnyOf)):
        return condition.within(watch)
    if watch.has_ended and isinstance(condition, (_Port, _Http)):
        raise _NotYetError("it has ended")  # not even refused: an address that nobody has takes its time
    return condition(watch.container)


def _holds(condition: Condition, watch: Watch) -> tuple[bool, str]:
    """Whether *condition* holds, and what it saw if not."""
    try:
        value = _ask(condition, watch)
    except (NotRunningError, ExecFailedError, ExecTimeoutError, ContainerFileError) as error:
        return False, error.message
    except LxContainerError:
        raise
    except _NotYetError as error:
        return False, str(error)
    except Exception as error:  # what a client library raises while a server comes up is anybody's guess
        return False, f"{type(error).__name__}: {error}"
    return bool(value), f"{value!r}"


def _died(container: Container, condition: Condition) -> ContainerDiedError:
    status = container.status()
    logs = container.log_tail()
    reason = f" ({status.reason})" if status.reason else ""
    return ContainerDiedError(
        f"container {container.name} ended with exit code {status.exit_code}{reason} "
        f"while waiting for {describe(condition)}",
        exit_code=status.exit_code,
        log=logs,
        container=container.name,
        details=f"its last log lines:\n{logs}" if logs else "it wrote nothing",
        hint="" if logs else "is its command right? see the image's ENTRYPOINT and CMD",
    )
