"""A `Backend` whose containers are local processes in directories: no root, no LXC, no image.

A container's command and every exec run on this host, as this user, with the container's directory in place of ``/``
as far as the working directory and the file operations go. So ``cat note`` with cwd ``/data`` finds what was written
to ``/data/note``, and ``cat /data/note`` does not. Words that only LXC could give (addresses, figures) are made up.

::

    with FakeBackend(tmp_path) as backend:
        backend.start(backend.create(spec).name, timeout=5)
"""

from __future__ import annotations

import errno
import os
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lxcontainer.container.backend import LOG_KEPT, ExecSpec, Remains, Status
from pytest_lxcontainer.container.channel import Channel
from pytest_lxcontainer.container.demand import Demand
from pytest_lxcontainer.container.files import Root, perform
from pytest_lxcontainer.container.process_tree import kill_tree
from pytest_lxcontainer.container.pty import take_control
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.container.stats import InterfaceStats, Samples, Stats, Usage
from pytest_lxcontainer.container.toolbox import Tools
from pytest_lxcontainer.container.transfer import Transfer, Transfers
from pytest_lxcontainer.container.units import ByteSize
from pytest_lxcontainer.errors import (
    AlreadyFrozenError,
    AlreadyRunningError,
    ContainerFileError,
    DestroyedError,
    FrozenError,
    InvalidSettingsError,
    LxContainerError,
    NotFrozenError,
    NotRunningError,
    WaitTimeoutError,
)
from pytest_lxcontainer.rootfs.changes import Bounds, changes
from pytest_lxcontainer.rootfs.made import Made

from .control import FakeControl
from .network_control import FakeNetworkControl

NOT_EXECUTABLE, NOT_FOUND = 126, 127


class FakeBackend(FakeControl, FakeNetworkControl, Transfers):
    """Keeps its containers below *directory*; leaving it destroys them.

    *specs* are what was created, in order, also after the containers are gone.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._snapshots = directory / "s"
        self._snapshots.mkdir(parents=True, exist_ok=True)
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}
        self._settled = threading.Condition()
        self.specs: list[ContainerSpec] = []
        self._samples: dict[str, list[tuple[float, int, float]]] | None = None

    def __enter__(self) -> FakeBackend:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for name in list(self._containers):
            self.destroy(name)

    def files_of(self, name: str) -> Path:
        """The directory that stands for the container's ``/``."""
        return self._of(name).root

    def create(self, spec: ContainerSpec) -> Status:
        with self._lock:
            self.specs.append(spec)
            number = len(self.specs)
            name = f"{spec.hostname}-{number}"
            ips = (f"192.0.2.{number}",) if spec.networks else ()
            made = self._containers[name] = _Container(
                name, spec, self._directory / name, ips, self._own(spec.lower_dirs)
            )
        return made.status()

    def take(self, spec: ContainerSpec, demand: Demand) -> tuple[Status, bool]:
        return self.create(spec), False

    def share(self, spec: ContainerSpec, timeout: float) -> tuple[Status, bool]:
        with self._settled:
            shared = self._shared.get(spec.shared)
            if shared is None or not (shared.error or shared.name in self._containers):
                status = self.create(spec)
                self._shared[spec.shared] = _Shared(status.name, spec)
                return status, True
            if shared.spec != spec:
                raise InvalidSettingsError("a shared container was started with other settings")
            if not self._settled.wait_for(lambda: shared.settled, timeout):
                raise WaitTimeoutError("a shared container was not made ready", timeout=timeout)
            if shared.error is not None:
                raise shared.error
            return self.status(shared.name), False

    def settle(self, name: str, error: LxContainerError | None = None) -> None:
        with self._settled:
            for shared in self._shared.values():
                if shared.name == name:
                    shared.settled, shared.error = True, error
            self._settled.notify_all()

    def release(self, name: str) -> Remains | None:
        with self._settled:
            remains = self._remains(name)
            for key, shared in list(self._shared.items()):
                if shared.name == name:
                    if not shared.settled:
                        del self._shared[key]
                    # All are this one process.
                    if not shared.settled or shared.error or shared.spec.sharers <= 1:
                        self.destroy(name)
        return remains

    def start(self, name: str, timeout: float, size: tuple[int, int] | None = None) -> Status:
        status = self._of(name).start()
        self._sample(name)
        return status

    def status(self, name: str) -> Status:
        return self._of(name).status()

    def signal(self, name: str, signal: int) -> None:
        self._of(name).running().send_signal(signal)

    def stop(self, name: str, timeout: float) -> Status:
        self._sample(name)
        return self._of(name).stop(timeout)

    def destroy(self, name: str) -> Remains | None:
        remains = self._remains(name)
        container = self._containers.pop(name, None)
        if container is not None:
            container.kill()
        return remains

    def _remains(self, name: str) -> Remains | None:
        if name not in self._containers:
            return None
        self._sample(name)
        container = self._containers[name]
        return Remains(container.status(), container.log.since(0.0)[-LOG_KEPT:], self.usage(name))

    def freeze(self, name: str) -> None:
        self._of(name).freeze(True)

    def unfreeze(self, name: str) -> None:
        self._of(name).freeze(False)

    def exec(self, name: str, spec: ExecSpec, stdio: Sequence[int]) -> FakeExec:
        return self._of(name).exec(spec, stdio)

    def attach(self, name: str) -> int | None:
        return self._of(name).input()

    def close_stdin(self, name: str) -> None:
        self._of(name).close_input()

    def open_terminal(self, name: str, uid: int) -> int:
        """One of the host's."""
        self._of(name).running()
        master, slave = os.openpty()
        os.close(slave)
        os.set_blocking(master, False)
        return master

    def logs(self, name: str, since: float = 0.0, last: int | None = None) -> bytes:
        written = self._of(name).log.since(since)
        return written if last is None else written[-last:]

    def stats(self, name: str) -> Stats:
        container = self._of(name)
        container.running()
        networks = {"eth0": InterfaceStats()} if container.ips else {}
        return Stats("fake", memory_usage=ByteSize(1), pids=1, networks=networks)

    def usage(self, name: str) -> Usage:
        self._of(name)
        return Usage(memory_peak=ByteSize(1), cpu_time=0.0)

    def begin_sampling(self) -> None:
        self._samples = self._samples or {}

    def samples(self) -> dict[str, Samples]:
        return {name: Samples(*zip(*taken, strict=True)) for name, taken in (self._samples or {}).items()}

    def _sample(self, name: str) -> None:
        """A made-up one of what runs, at each moment that the supervisor would take one for sure."""
        if self._samples is not None and name in self._containers and self.status(name).state != "STOPPED":
            self._samples.setdefault(name, []).append((time.monotonic(), 1, 0.0))

    def follow(self, name: str, since: float = 0.0, *, this_start: bool = False) -> FakeFollowing:
        container = self._of(name)
        return FakeFollowing(container, max(since, container.log.begin if this_start else 0.0))

    def mount(self, name: str, source: str, path: str, read_only: bool) -> None:
        """Notes it: nobody but root may mount on this host."""
        container = self._of(name)
        container.running()
        container.mounts.append((source, path, read_only))

    def tools(self) -> Tools:
        """The host itself."""
        return Tools("/", ("/bin/sh",))

    def unmount(self, name: str, path: str, *, remove: bool = False) -> None:
        container = self._of(name)
        container.running()
        left = [each for each in container.mounts if each[1] != path]
        if left == container.mounts:
            raise ContainerFileError(f"{path} is no mount", path=path, errno=errno.EINVAL, container=name)
        container.mounts = left

    def _transfer(self, name: str) -> Transfer:
        """The way to a thread that does what a process in a container would do."""
        container = self._of(name)

        def begin(task: dict[str, Any]) -> Channel:
            ours, theirs = socket.socketpair()
            threading.Thread(target=_perform, args=(container.root, task, theirs), daemon=True).start()
            return Channel(ours)

        return Transfer(name, begin)

    def snapshot(self, name: str) -> tuple[str, ...]:
        container = self._of(name)
        layer = self._snapshots / str(len(list(self._snapshots.iterdir())))
        shutil.copytree(container.root, layer, symlinks=True)
        return (*container.spec.lower_dirs, str(layer))

    def restore(self, name: str, lower_dirs: Sequence[str]) -> Status:
        container = self._of(name)
        container.kill()
        shutil.rmtree(container.root)
        container.fill(self._own(lower_dirs))
        return container.status()

    def diff(self, name: str, since: Sequence[str]) -> list[tuple[str, str, int]]:
        container = self._of(name)
        old = {} if not self._own(since) else _files_in(Path(self._own(since)[-1]))
        new = _files_in(container.root)
        ours = {path for path in new if path not in old and f"{container.spec.cwd}/".startswith(f"{path}/")}
        changed = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path) and path not in ours]
        kinds = {path: "added" if path not in old else "changed" if path in new else "deleted" for path in changed}
        return [(kinds[path], path, len(new.get(path) or b"")) for path in sorted(changed)]

    def changes(self, name: str, since: Sequence[str], bounds: Mapping[str, Any]) -> dict[str, Any]:
        container = self._of(name)
        with ExitStack() as stack:
            stacks = []
            for paths in (self._own(since)[-1:], [str(container.root)]):
                stacks.append([os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in paths])
                for fd in stacks[-1]:
                    stack.callback(os.close, fd)
            made = Made.of((), (container.spec.cwd,), os.geteuid(), os.getegid())
            return changes(*stacks, made, Bounds(**bounds))

    def _own(self, lower_dirs: Sequence[str]) -> list[str]:
        """Those that `snapshot` made; each holds everything."""
        return [each for each in lower_dirs if Path(each).parent == self._snapshots]

    def names(self) -> dict[str, Any]:
        return {name: container.row() for name, container in self._containers.items()}

    def _of(self, name: str) -> _Container:
        try:
            return self._containers[name]
        except KeyError:
            raise DestroyedError(f"container {name} is no more", state="DESTROYED", container=name) from None

    def _alive(self, name: str) -> None:
        self._of(name).running()

    def _there(self, name: str) -> ContainerSpec:
        return self._of(name).spec


@dataclass
class _Shared:
    """Which container a key stands for, and what became of its start."""

    name: str
    spec: ContainerSpec
    settled: bool = False
    error: LxContainerError | None = None


class _Container:
    """One container: a directory, and while it runs a process."""

    def __init__(
        self, name: str, spec: ContainerSpec, root: Path, ips: tuple[str, ...], own: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.spec = spec
        self.root = root
        self.ips = ips
        self.log = _Log()
        self.mounts: list[tuple[str, str, bool]] = []
        self._frozen = False
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._execs: list[FakeExec] = []
        self._lock = threading.RLock()
        self.fill(own)

    def fill(self, lower_dirs: Sequence[str]) -> None:
        """Put what the topmost layer holds into it."""
        if lower_dirs:
            shutil.copytree(lower_dirs[-1], self.root, symlinks=True)
        self.inside(self.spec.cwd).mkdir(parents=True, exist_ok=True)

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def row(self) -> dict[str, Any]:
        return {
            "image": self.spec.image,
            "state": self.status().state,
            "group": " ".join(self.spec.group[-1:]),
            "ips": list(self.ips),
        }

    def status(self) -> Status:
        with self._lock:
            self._settle()
            if self._process is None:
                return Status(self.name, "STOPPED", self.ips, None, self._exit_code)
            return Status(self.name, "FROZEN" if self._frozen else "RUNNING", self.ips, self._process.pid)

    def running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            state = self.status().state
            if self._process is None:
                raise NotRunningError(f"container {self.name}: it is not running", state=state, container=self.name)
            return self._process

    def start(self) -> Status:
        with self._lock:
            if self.status().state != "STOPPED":
                raise AlreadyRunningError(f"container {self.name} is already running", container=self.name)
            self._exit_code = None
            stdin, self._stdin = os.pipe()
            output, theirs = os.pipe()
            try:
                self._process = _popen(self.spec.command, self.spec.env, self.inside(self.spec.cwd), stdin, theirs)
            except OSError as error:
                os.write(theirs, f"exec: {error.strerror}\n".encode())
                self._exit_code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            finally:
                os.close(stdin)
                os.close(theirs)
            self.log.follow(output)
            if self._process is None:
                os.close(self._stdin)
                self.log.finish()
            return self.status()

    def input(self) -> int | None:
        with self._lock:
            self._settle()
            return None if self._process is None or self._stdin < 0 else os.dup(self._stdin)

    def close_input(self) -> None:
        with self._lock:
            self._settle()
            if self._process is not None and self._stdin >= 0:
                os.close(self._stdin)
                self._stdin = -1

    def stop(self, timeout: float) -> Status:
        process = self._process
        if process is not None:
            process.send_signal(self.spec.stop_signal)
            os.killpg(process.pid, signal.SIGCONT)
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                kill_tree(process.pid)
                process.wait()
        return self.status()

    def kill(self) -> None:
        with self._lock:
            if self._process is not None:
                kill_tree(self._process.pid)
                self._process.wait()
            self._settle()

    def freeze(self, frozen: bool) -> None:
        process = self.running()
        if frozen == self._frozen:
            error = AlreadyFrozenError if frozen else NotFrozenError
            raise error(f"container {self.name}", state="FROZEN" if frozen else "RUNNING", container=self.name)
        os.killpg(process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)
        self._frozen = frozen

    def exec(self, spec: ExecSpec, stdio: Sequence[int]) -> FakeExec:
        self.running()
        if self._frozen:
            raise FrozenError(f"container {self.name} is frozen", state="FROZEN", container=self.name)
        handle = FakeExec(spec, self.inside(spec.cwd), stdio)
        self._execs.append(handle)
        return handle

    def _settle(self) -> None:
        """Once the command has ended, so has all it started, as with a pid namespace."""
        if self._process is None or self._process.poll() is None:
            return
        kill_tree(self._process.pid)
        for handle in self._execs:
            handle.end()
        code = self._process.returncode
        self._exit_code = 128 - code if code < 0 else code
        self._process, self._execs, self._frozen = None, [], False
        if self._stdin >= 0:
            os.close(self._stdin)
        self.log.finish()


class FakeExec:
    """A command that runs on this host."""

    def __init__(self, spec: ExecSpec, cwd: Path, stdio: Sequence[int]) -> None:
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = _popen(spec.args, spec.env, cwd, *stdio, tty=spec.tty)
            self._end = os.pidfd_open(self._process.pid)
        except OSError as error:
            os.write(stdio[2], f"exec: {error.filename}: {error.strerror}\n".encode())
            self._exit_code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            self._end, writer = os.pipe()
            os.close(writer)

    def fileno(self) -> int:
        return self._end

    def wait(self, timeout: float | None = None) -> int | None:
        if self._exit_code is None and self._process is not None:
            try:
                self._exit_code = self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                return None
        if self._end >= 0:
            os.close(self._end)
            self._end = -1
        return self._exit_code

    def kill(self) -> None:
        self.end()
        self.wait()

    def end(self) -> None:
        """Kill it, and leave it to whoever holds this to learn of that."""
        if self._process is not None and self._process.poll() is None:
            kill_tree(self._process.pid)
            self._process.wait()

    def abandon(self) -> None:
        self.kill()


class FakeFollowing:
    """A log that is looked at every few milliseconds."""

    def __init__(self, container: _Container, since: float) -> None:
        self._container = container
        self._since = since
        self._read = 0
        self._always = os.open("/dev/zero", os.O_RDONLY)

    def fileno(self) -> int:
        """Always readable: to be looked at again and again."""
        return self._always

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._container.status().state != "STOPPED":
            if len(self._container.log.since(self._since)) > self._read:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return True
            time.sleep(0.005)
        return False

    def read(self) -> bytes:
        data = self._container.log.since(self._since)[self._read :]
        self._read += len(data)
        return data

    def close(self) -> None:
        os.close(self._always)


class _Log:
    """What arrives from a pipe, with the time it did."""

    def __init__(self) -> None:
        self._chunks: list[tuple[float, bytes]] = []
        self.begin = 0.0
        self._lock = threading.Lock()
        self._pipe = -1
        self._wake = -1
        self._reader: threading.Thread | None = None

    def since(self, seconds: float) -> bytes:
        self._drain()
        return b"".join(data for when, data in self._chunks if when >= seconds)

    def follow(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
        self.begin = time.time()
        self._pipe = pipe
        stop, self._wake = os.pipe()
        self._reader = threading.Thread(target=self._watch, args=(pipe, stop), daemon=True)
        self._reader.start()

    def finish(self) -> None:
        """Take what is left and stop, though somebody may still hold the pipe's other end."""
        self._drain()
        os.close(self._wake)
        if self._reader is not None:
            self._reader.join()
        with self._lock:
            os.close(self._pipe)
            self._pipe = -1

    def _watch(self, pipe: int, stop: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(stop, selectors.EVENT_READ)
            selector.register(pipe, selectors.EVENT_READ)
            while stop not in {key.fd for key, _ in selector.select()}:
                if not self._drain():
                    selector.unregister(pipe)
        os.close(stop)

    def _drain(self) -> bool:
        """Take what is there now; false at the pipe's end."""
        with self._lock:
            while self._pipe >= 0:
                try:
                    data = os.read(self._pipe, 1 << 16)
                except BlockingIOError:
                    return True
                if not data:
                    break
                self._chunks.append((time.time(), data))
        return False


def _popen(
    args: Sequence[str],
    env: Sequence[tuple[str, str]],
    cwd: Path,
    stdin: int,
    stdout: int,
    stderr: int = subprocess.STDOUT,
    *,
    tty: bool = False,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(args),
        env=dict(env),
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=(lambda: take_control(0)) if tty else None,
    )


def _files_in(root: Path) -> dict[str, bytes | None]:
    """Every path below *root*, with a file's content."""
    return {f"/{path.relative_to(root)}": path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def _perform(directory: Path, task: dict[str, Any], sock: socket.socket) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with Channel(sock) as channel:
            perform(Root(fd), task, channel)
    finally:
        os.close(fd)
