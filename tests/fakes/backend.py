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
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from pytest_lxcontainer.container.backend import ExecSpec, Status
from pytest_lxcontainer.container.process_tree import kill_tree
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.container.stats import InterfaceStats, Stats
from pytest_lxcontainer.container.units import ByteSize
from pytest_lxcontainer.errors import ContainerError, ContainerFileError, NotRunningError

NOT_EXECUTABLE, NOT_FOUND = 126, 127


class FakeBackend:
    """Keeps its containers below *directory*; leaving it destroys them.

    *specs* are what was created, in order, also after the containers are gone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self.specs: list[ContainerSpec] = []

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
            ips = (f"192.0.2.{number}",) if spec.network != "none" else ()
            made = self._containers[name] = _Container(name, spec, self._directory / name, ips)
        return made.status()

    def start(self, name: str, timeout: float) -> Status:
        return self._of(name).start()

    def status(self, name: str) -> Status:
        return self._of(name).status()

    def signal(self, name: str, signal: int) -> None:
        self._of(name).running().send_signal(signal)

    def stop(self, name: str, timeout: float) -> Status:
        return self._of(name).stop(timeout)

    def destroy(self, name: str) -> None:
        container = self._containers.pop(name, None)
        if container is not None:
            container.kill()

    def freeze(self, name: str) -> None:
        self._of(name).freeze(True)

    def unfreeze(self, name: str) -> None:
        self._of(name).freeze(False)

    def exec(self, name: str, spec: ExecSpec, stdio: Sequence[int]) -> FakeExec:
        return self._of(name).exec(spec, stdio)

    def logs(self, name: str, since: float = 0.0) -> bytes:
        return self._of(name).log.since(since)

    def stats(self, name: str) -> Stats:
        container = self._of(name)
        container.running()
        networks = {"eth0": InterfaceStats()} if container.ips else {}
        return Stats("fake", memory_usage=ByteSize(1), pids=1, networks=networks)

    def open_file(self, name: str, path: str, mode: str, permissions: int = 0o644) -> IO[bytes]:
        container = self._of(name)
        container.running()
        try:
            return _open_regular(container.inside(path), mode, permissions)
        except OSError as error:
            code = error.errno or errno.EIO
            raise ContainerFileError(
                f"{path} in container {name}: {os.strerror(code)}", path=path, errno=code, container=name
            ) from None

    def list_files(self, name: str, path: str) -> list[str] | None:
        container = self._of(name)
        container.running()
        target = container.inside(path)
        if not os.path.lexists(target):
            return None
        return sorted(entry.name for entry in target.iterdir()) if target.is_dir() else []

    def names(self) -> dict[str, Any]:
        return {name: container.row() for name, container in self._containers.items()}

    def _of(self, name: str) -> _Container:
        try:
            return self._containers[name]
        except KeyError:
            raise ContainerError(f"no container named {name!r} in this run", container=name) from None


class _Container:
    """One container: a directory, and while it runs a process."""

    def __init__(self, name: str, spec: ContainerSpec, root: Path, ips: tuple[str, ...]) -> None:
        self.name = name
        self.spec = spec
        self.root = root
        self.ips = ips
        self.log = _Log()
        self._frozen = False
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._execs: list[FakeExec] = []
        self._lock = threading.RLock()
        self.inside(spec.cwd).mkdir(parents=True, exist_ok=True)

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def row(self) -> dict[str, Any]:
        return {
            "image": self.spec.image,
            "state": self.status().state,
            "group": self.spec.group,
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
                raise NotRunningError(f"container {self.name} is already running", container=self.name)
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

    def stop(self, timeout: float) -> Status:
        process = self._process
        if process is not None:
            process.send_signal(self.spec.stop_signal)
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
        os.killpg(self.running().pid, signal.SIGSTOP if frozen else signal.SIGCONT)
        self._frozen = frozen

    def exec(self, spec: ExecSpec, stdio: Sequence[int]) -> FakeExec:
        self.running()
        if self._frozen:
            raise NotRunningError(f"container {self.name} is frozen", state="FROZEN", container=self.name)
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
        os.close(self._stdin)
        self.log.finish()


class FakeExec:
    """A command that runs on this host."""

    def __init__(self, spec: ExecSpec, cwd: Path, stdio: Sequence[int]) -> None:
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = _popen(spec.args, spec.env, cwd, *stdio)
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


class _Log:
    """What arrives from a pipe, with the time it did."""

    def __init__(self) -> None:
        self._chunks: list[tuple[float, bytes]] = []
        self._lock = threading.Lock()
        self._pipe = -1
        self._wake = -1
        self._reader: threading.Thread | None = None

    def since(self, seconds: float) -> bytes:
        self._drain()
        return b"".join(data for when, data in self._chunks if when >= seconds)

    def follow(self, pipe: int) -> None:
        os.set_blocking(pipe, False)
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
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(args), env=dict(env), cwd=cwd, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


def _open_regular(path: Path, mode: str, permissions: int) -> IO[bytes]:
    flags = os.O_RDONLY if mode == "rb" else os.O_WRONLY | os.O_CREAT
    fd = os.open(path, flags | os.O_NONBLOCK, permissions)
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        os.close(fd)
        raise OSError(errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL, "not a regular file")
    if mode == "wb":
        os.ftruncate(fd, 0)
    return os.fdopen(fd, mode)
