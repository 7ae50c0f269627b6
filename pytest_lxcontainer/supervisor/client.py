"""The way to a run's supervisor: a `Backend` over its socket, and starting the process when there is none yet."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..container.backend import LOG_KEPT, ExecSpec, Remains, Status
from ..container.demand import Demand
from ..container.spec import ContainerSpec
from ..container.stats import Samples, Stats, Usage
from ..container.toolbox import Tools
from ..errors import LxContainerError, SupervisorError
from . import protocol
from .control_client import ControlClient
from .keep_client import KeepClient
from .network_client import NetworkClient
from .owner import Owner
from .starting import Starting, begin, last_words
from .work_client import WorkClient

START_TIMEOUT = 20.0
_END_TIMEOUT = 30.0
_PAUSE = 0.005
_EXEC = tuple(field.name for field in fields(ExecSpec))


class SupervisorClient(WorkClient, ControlClient, NetworkClient, KeepClient):
    """The run's supervisor as a `Backend`; usable from several threads, and from several processes of a run.

    Each request takes a connection of its own from those at rest, so that a long one holds nobody up. *log* is where
    the supervisor's stderr goes.
    """

    def __init__(self, run_id: str, runs_dir: Path, owner: Owner) -> None:
        self.run_id = run_id
        self._runs_dir = runs_dir
        self._owner = owner
        self._idle: list[socket.socket] = []
        self._lock = threading.Lock()
        self._started = False
        self._starting: Starting | None = None

    @property
    def log_file(self) -> Path:
        """What the supervisor wrote to stderr; empty unless something is wrong."""
        return self._runs_dir / f"{self.run_id}.log"

    def begin_supervisor(self) -> None:
        """Have the run's supervisor begin to start, if there is none yet, for `start_supervisor` to wait for."""
        with self._lock:
            self._begin()

    def start_supervisor(self) -> None:
        """Make sure the run has its supervisor; raises what kept it from starting."""
        deadline = time.monotonic() + START_TIMEOUT
        with self._lock:
            self._begin()
            while not self._started:
                if self._starting is not None:
                    self._finish(self._starting)
                    self._started = True
                elif self._finds_one():
                    self._started = True
                elif time.monotonic() > deadline:
                    raise SupervisorError("nobody answers for this run", details=last_words(self.log_file))
                else:
                    # Another process has tried, and failed.
                    time.sleep(_PAUSE)
                    self._begin()

    def _finish(self, starting: Starting) -> None:
        try:
            starting.finish()
        except Exception:
            # Who asks again is to have another try.
            starting.leave()
            self._starting = None
            raise

    def _begin(self) -> None:
        if not self._started and self._starting is None:
            self._starting = begin(self.run_id, self._runs_dir, self._owner, self.log_file)

    def shutdown(self) -> None:
        """End the run: returns when every container and everything they shared are gone, but for what stays."""
        try:
            connection = self._take()
        except SupervisorError:
            return
        stays = False
        with connection:
            connection.settimeout(_END_TIMEOUT)
            try:
                protocol.send(connection, {"do": "shutdown"})
                stays = bool(protocol.receive(connection)[0].get("ok"))
            except (ConnectionError, TimeoutError):
                pass
        if stays:
            return
        self.log_file.unlink(missing_ok=True)
        if self._starting is not None:
            self._starting.wait(_END_TIMEOUT)

    def close(self) -> None:
        """Close this process's connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if self._starting is not None:
            self._starting.leave()

    def create(self, spec: ContainerSpec) -> Status:
        """See `Backend`."""
        return _status(self._ask("create", spec=spec.to_dict()))

    def take(self, spec: ContainerSpec, demand: Demand) -> tuple[Status, bool]:
        """See `Backend`."""
        answer = self._ask("take", spec=spec.to_dict(), demand=demand.to_dict())
        return _status(answer["status"]), answer["is_ready"]

    def share(self, spec: ContainerSpec, timeout: float) -> tuple[Status, bool]:
        """See `Backend`."""
        answer = self._ask("share", spec=spec.to_dict(), timeout=timeout)
        return _status(answer["status"]), answer["is_first"]

    def settle(self, name: str, error: LxContainerError | None = None) -> None:
        """See `Backend`."""
        self._ask("settle", name=name, error=protocol.describe(error) if error else None)

    def release(self, name: str) -> Remains | None:
        """See `Backend`."""
        return self._part_with("release", name)

    def start(self, name: str, timeout: float, size: tuple[int, int] | None = None) -> Status:
        """See `Backend`."""
        return _status(self._ask("start", name=name, timeout=timeout, size=size))

    def status(self, name: str) -> Status:
        """See `Backend`."""
        return _status(self._ask("status", name=name))

    def signal(self, name: str, signal: int) -> None:
        """See `Backend`."""
        self._ask("signal", name=name, signal=int(signal))

    def stop(self, name: str, timeout: float) -> Status:
        """See `Backend`."""
        return _status(self._ask("stop", name=name, timeout=timeout))

    def destroy(self, name: str) -> Remains | None:
        """See `Backend`."""
        return self._part_with("destroy", name)

    def freeze(self, name: str) -> None:
        """See `Backend`."""
        self._ask("freeze", name=name, frozen=True)

    def unfreeze(self, name: str) -> None:
        """See `Backend`."""
        self._ask("freeze", name=name, frozen=False)

    def exec(self, name: str, spec: ExecSpec, stdio: Sequence[int]) -> ExecConnection:
        """See `Backend`."""
        connection = self._take()
        try:
            _exchange(connection, {"do": "exec", "name": name, **{key: getattr(spec, key) for key in _EXEC}}, stdio)
        except BaseException:
            connection.close()
            raise
        return ExecConnection(self, connection)

    def attach(self, name: str) -> int | None:
        """See `Backend`."""
        with self._request({"do": "attach", "name": name}) as (_, fds):
            return fds[0] if fds else None

    def close_stdin(self, name: str) -> None:
        """See `Backend`."""
        self._ask("close_stdin", name=name)

    def logs(self, name: str, since: float = 0.0, last: int | None = None) -> bytes:
        """See `Backend`."""
        message = {"do": "logs", "name": name, "since": since}
        with self._request(message) as (value, fds), os.fdopen(fds[0], "rb") as file:
            size = os.fstat(fds[0]).st_size
            file.seek(value["offset"] if last is None else max(value["offset"], size - last))
            return file.read()

    def _part_with(self, how: str, name: str) -> Remains | None:
        with self._request({"do": how, "name": name}) as (value, fds):
            if value is None:
                return None
            with os.fdopen(fds[0], "rb") as file:
                file.seek(max(0, os.fstat(fds[0]).st_size - LOG_KEPT))
                return Remains(_status(value["status"]), file.read(), Usage.from_dict(value["usage"]))

    def stats(self, name: str) -> Stats:
        """See `Backend`."""
        return Stats.from_dict(self._ask("stats", name=name))

    def tools(self) -> Tools:
        """See `Backend`."""
        answer = self._ask("tools")
        return Tools(answer["directory"], tuple(answer["shell"]))

    def usage(self, name: str) -> Usage:
        """See `Backend`."""
        return Usage.from_dict(self._ask("usage", name=name))

    def begin_sampling(self) -> None:
        """See `Backend`."""
        self._ask("begin_sampling")

    def samples(self) -> dict[str, Samples]:
        """See `Backend`."""
        return {name: Samples(*map(tuple, series)) for name, series in self._ask("samples").items()}

    def names(self) -> dict[str, Any]:
        """See `Backend`."""
        table: dict[str, Any] = self._ask("names")
        return table

    def snapshot(self, name: str, directory: str | None = None) -> tuple[str, ...]:
        """See `Backend`."""
        return tuple(self._ask("snapshot", name=name, directory=directory))

    def restore(self, name: str, lower_dirs: Sequence[str]) -> Status:
        """See `Backend`."""
        return _status(self._ask("restore", name=name, lower_dirs=list(lower_dirs)))

    def diff(self, name: str, since: Sequence[str]) -> list[tuple[str, str, int]]:
        """See `Backend`."""
        return [(kind, path, size) for kind, path, size in self._ask("diff", name=name, since=list(since))]

    def changes(self, name: str, since: Sequence[str], bounds: Mapping[str, Any]) -> dict[str, Any]:
        """See `Backend`."""
        found: dict[str, Any] = self._ask("changes", name=name, since=list(since), bounds=dict(bounds))
        return found

    def _ask(self, operation: str, **fields: Any) -> Any:
        with self._request({"do": operation, **fields}) as (value, _):
            return value

    @contextmanager
    def _request(self, message: protocol.Message) -> Iterator[tuple[Any, list[int]]]:
        connection = self._take()
        try:
            answer = _exchange(connection, message)
        except BaseException:
            # Answered with an error or interrupted halfway: only the first leaves a connection in step.
            connection.close()
            raise
        self.give_back(connection)
        yield answer

    def give_back(self, connection: socket.socket) -> None:
        """Let a connection be used again."""
        with self._lock:
            self._idle.append(connection)

    def forget(self, connection: socket.socket) -> None:
        """Do not use a connection again."""
        with self._lock:
            if connection in self._idle:
                self._idle.remove(connection)
        connection.close()

    def _take(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            return self._connect()
        except OSError as error:
            raise SupervisorError(
                "the supervisor of this run is gone" if self._started else "the supervisor is not running",
                details=f"{error.strerror}\n{last_words(self.log_file)}",
                hint="its containers are removed by the next run; if it keeps ending, run: lxcontainer doctor",
            ) from None

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(protocol.socket_name(self.run_id))
        except OSError:
            connection.close()
            raise
        return connection

    def _finds_one(self) -> bool:
        """Whether there is one that answers: it can be connected to before it has made the run's directory."""
        try:
            with self._connect() as connection:
                _exchange(connection, {"do": "names"})
        except (OSError, SupervisorError):
            return False
        return True


class ExecConnection:
    """A command that runs in a container, for as long as its connection is open."""

    def __init__(self, client: SupervisorClient, connection: socket.socket) -> None:
        self._client = client
        self._connection: socket.socket | None = connection
        self._exit_code: int | None = None

    def wait(self, timeout: float | None = None) -> int | None:
        """See `ExecHandle`."""
        if self._connection is None:
            return self._exit_code
        self._connection.settimeout(timeout)
        try:
            message, _ = protocol.receive(self._connection)
        except (TimeoutError, BlockingIOError):
            return None
        except ConnectionError as error:
            raise SupervisorError("the supervisor went away while a command ran", details=str(error)) from None
        self._connection.settimeout(None)
        self._client.give_back(self._connection)
        self._connection = None
        self._exit_code = int(_value(message)["exit_code"])
        return self._exit_code

    def kill(self) -> None:
        """See `ExecHandle`."""
        if self._connection is not None:
            self._connection.settimeout(None)
            with suppress(ConnectionError):
                protocol.send(self._connection, {"do": "kill"})
            connection = self._connection
            self.wait()
            # It may have ended by itself just before: then the request is still unread at the other side.
            self._client.forget(connection)

    def fileno(self) -> int:
        """See `ExecHandle`."""
        assert self._connection is not None  # asked for while it runs
        return self._connection.fileno()

    def abandon(self) -> None:
        """Hang up: the supervisor kills the command."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _exchange(connection: socket.socket, message: protocol.Message, fds: Sequence[int] = ()) -> tuple[Any, list[int]]:
    try:
        protocol.send(connection, message, fds)
        answer, received = protocol.receive(connection)
    except (ConnectionError, BrokenPipeError) as error:
        raise SupervisorError(
            "the supervisor of this run ended unexpectedly",
            details=os.strerror(error.errno) if error.errno else str(error),
            hint="its containers are removed by the next run",
        ) from None
    return _value(answer), received


def _value(answer: protocol.Message) -> Any:
    if "error" in answer:
        raise protocol.rebuild(answer["error"])
    return answer["ok"]


def _status(value: dict[str, Any]) -> Status:
    return Status(**{**value, "ips": tuple(value["ips"])})
