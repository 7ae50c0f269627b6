"""Work on a container's files, done by a helper process that has the container's ids and no others.

Files and directories are opened here and handed over open: the helper may not be able to reach them by
path, since the host's root, who often owns what is above them, is nobody in its namespace.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

from ..errors import StoreError, UnsupportedImageError
from ..image.digest import Digest
from .changes import Bounds, changes
from .diff import Difference, differences
from .idmap import IdMap
from .limits import Limits
from .made import Made
from .measure import size_on_disk
from .messages import MAX_FDS, Message, rebuild, receive, send
from .overlay import Overlay
from .pack import Packed
from .removal import remove_entry
from .seal import seal
from .unpacked import Unpacked
from .userns import write_maps

LowerDirs: TypeAlias = Sequence[Path] | Callable[[], Sequence[Path]]

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_PACKAGE_PARENT = str(Path(__file__).parents[2])
# Isolated, so that neither PYTHON* variables nor the current directory say what runs with these rights; this
# package before site-packages, so that both sides are of one version.
_BOOTSTRAP = (
    "import sys; sys.path.append(sys.argv.pop(1)); import site; site.main();"
    "from pytest_lxcontainer.rootfs.helper import main; main()"
)
_END_TIMEOUT = 5.0
_COMPARING = "comparing a container's files"


class Sandbox:
    """A helper process inside the user namespace of *idmap*, started when it is first needed.

    A context manager; its methods may be called from several threads and take turns. As root with the
    identity map the helper is an ordinary root process, which is what a privileged container is too.
    """

    def __init__(self, idmap: IdMap) -> None:
        self.idmap = idmap
        self._lock = threading.Lock()
        self._helper: _Helper | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the helper; whatever it is doing is left half done."""
        helper, self._helper = self._helper, None
        if helper is not None:
            helper.end()

    def interrupt(self) -> None:
        """End the helper; a thread that waits for it gets a `StoreError`, and whoever comes later another helper."""
        helper = self._helper
        if helper is not None:
            helper.kill()

    def start(self) -> None:
        """Start the helper ahead of need: it takes some tens of milliseconds, as any Python does."""
        with self._lock:
            self._started()

    def _started(self) -> _Helper:
        if self._helper is not None and self._helper.has_ended:
            self.close()
        if self._helper is None:
            self._helper = _Helper(self.idmap)
        return self._helper

    @property
    def helper_pid(self) -> int:
        """The helper's process id, 0 while there is none."""
        return 0 if self._helper is None else self._helper.pid

    def adopt(self, directory: Path) -> None:
        """Give the new *directory* to the container's root."""
        os.chown(directory, self.idmap.host_uid(0), self.idmap.host_gid(0))

    def unpack(
        self,
        blob: Path,
        target: Path,
        *,
        diff_id: Digest,
        lower_dirs: LowerDirs = (),
        limits: Limits | None = None,
    ) -> Unpacked:
        """Unpack the layer *blob* into the empty directory *target*, over *lower_dirs* (base first).

        *lower_dirs* may be a function, which is called if the layer turns out to need them, and may take its time.
        *target* becomes the container root's here. Raises `UnsafeLayerError`, `CorruptImageError`,
        `UnsupportedImageError`, `StoreError`, or `HostNotReadyError` where there can be no user namespace; *target* is
        then the caller's to remove.
        """
        self.adopt(target)
        request = {
            "do": "unpack",
            "what": f"unpacking {diff_id}",
            "diff_id": str(diff_id),
            "limits": asdict(limits or Limits()),
        }
        with _opened([blob], os.O_RDONLY | os.O_CLOEXEC) as files, _opened([target]) as dirs:
            return Unpacked(**self._ask(request, [*files, *dirs], lower_dirs))

    def make_dirs(self, overlay: Overlay, path: str) -> None:
        """Make the directory *path* of a container before it starts, as Docker makes a working directory.

        What the lower layers have of it keeps its owner and mode; the rest is root's, 0755. Nothing happens
        where it exists already. Raises `CorruptImageError` where a file is in the way, `StoreError`.
        """
        request = {"do": "make_dirs", "what": f"making the directory {path}", "path": path}
        with _opened([overlay.upper_dir]) as fds:
            self._ask(request, fds, overlay.lower_dirs)

    def seal(self, overlay: Overlay, target: Path, made: Made) -> None:
        """Copy the upper dir of *overlay* into the empty directory *target*, which becomes a layer; see `seal.seal`.

        Raises `StoreError`.
        """
        what = f"copying {overlay.upper_dir}"
        with _opened([overlay.upper_dir, target]) as (source, destination):
            if os.geteuid() != 0:
                request = {"do": "seal", "what": what, "made": made.to_dict()}
                self._ask(request, [source, destination], overlay.lower_dirs)
                return
            with _store_errors(what), _opened(overlay.lower_dirs) as lower:
                seal(source, destination, lower, made)

    def pack(self, source: Path, target: Path) -> Packed:
        """Write the layer in the directory *source* as a tar into *target*, a new file; see `pack.pack`.

        Raises `UnsupportedImageError`, `StoreError`.
        """
        request = {"do": "pack", "what": f"packing {source}"}
        with _opened([source]) as dirs, _opened([target], _NEW_FILE) as files:
            packed = self._ask(request, [*dirs, *files])
        return Packed(Digest.parse(packed["diff_id"]), packed["size"])

    def compare(self, old: Sequence[Path], new: Sequence[Path], made: Made) -> list[Difference]:
        """What turns the stack *old* into *new* (base first); see `diff.differences`. Raises `StoreError`."""
        if os.geteuid() == 0:
            with _store_errors(_COMPARING), _opened(old) as before, _opened(new) as after:
                return differences(before, after, made)
        return [(kind, path, size) for kind, path, size in self._compared("compare", old, new, made)]

    def changes(self, old: Sequence[Path], new: Sequence[Path], made: Made, bounds: Bounds) -> dict[str, Any]:
        """The same as a report shows it; see `changes.changes`. Raises `StoreError`."""
        if os.geteuid() == 0:
            with _store_errors(_COMPARING), _opened(old) as before, _opened(new) as after:
                return changes(before, after, made, bounds)
        found: dict[str, Any] = self._compared("changes", old, new, made, bounds=asdict(bounds))
        return found

    def _compared(self, how: str, old: Sequence[Path], new: Sequence[Path], made: Made, **more: Any) -> Any:
        every = list(dict.fromkeys((*old, *new)))
        stacks = {"old": [every.index(path) for path in old], "new": [every.index(path) for path in new]}
        request = {"do": how, "what": _COMPARING, "made": made.to_dict(), **stacks, **more}
        with os.fdopen(os.memfd_create("lxcontainer-differences"), "rb") as answer:
            self._ask(request, [answer.fileno()], every)
            answer.seek(0)
            return json.load(answer)

    def look_up(self, lower_dirs: Sequence[Path], path: str) -> os.stat_result | None:
        """As `overlay.stat_path`, but for the owners, which are the container's ids. Raises `StoreError`."""
        request = {"do": "look_up", "what": f"looking for {path} in an image", "path": path}
        found = self._ask(request, (), lower_dirs)["status"]
        return None if found is None else os.stat_result(found)

    def read(self, lower_dirs: Sequence[Path], path: str) -> bytes | None:
        """As `overlay.read_file`. Raises `CorruptImageError`, `StoreError`."""
        request = {"do": "read", "what": f"reading {path} in an image", "path": path}
        with os.fdopen(os.memfd_create("lxcontainer-content"), "rb") as answer:
            is_file = self._ask(request, [answer.fileno()], lower_dirs)["is_file"]
            answer.seek(0)
            return answer.read() if is_file else None

    def remove(self, *paths: Path) -> None:
        """Remove trees that hold files of the container's owners; those that are absent are skipped.

        Raises `StoreError`.
        """
        for path in paths:
            with _opened([path.parent]) as fds:
                if os.geteuid() == 0:
                    _remove_as_root(path, fds[0])
                else:
                    self._ask({"do": "remove", "what": f"removing {path}", "name": path.name}, fds)

    def measure(self, path: Path) -> int:
        """Return the bytes that a tree with files of the container's owners takes on disk; 0 where it is absent.

        Raises `StoreError`.
        """
        with _opened([path.parent]) as fds:
            if os.geteuid() != 0:
                return int(self._ask({"do": "measure", "what": f"measuring {path}", "name": path.name}, fds)["size"])
            with _store_errors(f"measuring {path}"):
                return size_on_disk(path.name, fds[0])

    def _ask(self, request: Message, fds: Sequence[int], lower_dirs: LowerDirs = ()) -> Message:
        with self._lock:
            helper = self._started()
            try:
                return helper.ask(request, fds, lower_dirs)
            except BaseException:
                if not helper.in_step:
                    self.close()
                raise


class _Helper:
    """The process and the socket to it."""

    def __init__(self, idmap: IdMap) -> None:
        self.in_step = True
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._stderr = os.memfd_create("lxcontainer-helper-stderr")
        try:
            with theirs:
                self._process = self._spawn(theirs.fileno(), idmap)
        except BaseException:
            self._sock.close()
            os.close(self._stderr)
            raise
        try:
            if not idmap.is_identity:
                self._map(idmap)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _spawn(self, fd: int, idmap: IdMap) -> subprocess.Popen[bytes]:
        mode = "host" if idmap.is_identity else "userns"
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _PACKAGE_PARENT, str(fd), mode],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=[fd],
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )

    def _map(self, idmap: IdMap) -> None:
        self._reply()
        write_maps(self._process.pid, idmap)
        send(self._sock, {"mapped": True})

    def ask(self, request: Message, fds: Sequence[int], lower_dirs: LowerDirs = ()) -> Message:
        """Have one thing done, and return the answer or raise the error that it is."""
        self._send(request, fds)
        while "wanted" in (answer := self._reply()):
            self.in_step = False
            paths = lower_dirs() if callable(lower_dirs) else lower_dirs
            if len(paths) > MAX_FDS:
                raise UnsupportedImageError(f"an image of more than {MAX_FDS} layers")
            with _opened(paths) as opened:
                self._send({}, opened)
        return answer

    def _send(self, message: Message, fds: Sequence[int]) -> None:
        self.in_step = False
        try:
            send(self._sock, message, fds)
        except BrokenPipeError:
            raise self._ended() from None

    def _reply(self) -> Message:
        try:
            message, _ = receive(self._sock)
        except ConnectionError:
            message = None
        if message is None:
            raise self._ended()
        self.in_step = True
        if "error" in message:
            raise rebuild(message)
        return message

    def _ended(self) -> StoreError:
        self._sock.close()
        code = self._exit_code()
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        return StoreError(
            f"the process that works on container files was ended {how}",
            details=os.pread(self._stderr, 1 << 16, 0).decode("utf-8", "replace")[-2000:],
            hint="after signal 9, look into the kernel's log for the out-of-memory killer" if code == -9 else "",
        )

    def _exit_code(self) -> int:
        try:
            return self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End the process; whoever asked it something learns that it is gone."""
        self._process.kill()
        self._process.wait(_END_TIMEOUT)

    def end(self) -> None:
        """End the process, if it has not ended."""
        self._sock.close()
        self._process.kill()
        self._process.wait(_END_TIMEOUT)
        os.close(self._stderr)


def _remove_as_root(path: Path, parent_fd: int) -> None:
    """Remove a tree without a helper: whoever owns what is in it, root may."""
    with _store_errors(f"removing {path}"):
        remove_entry(path.name, parent_fd)


@contextmanager
def _store_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{what}: {error.strerror}") from error


@contextmanager
def _opened(paths: Sequence[Path], flags: int = _OPEN_DIR) -> Iterator[list[int]]:
    with ExitStack() as stack:
        fds = []
        for path in paths:
            try:
                fd = os.open(path, flags, 0o600)
            except OSError as error:
                raise StoreError(f"{path} cannot be opened: {error.strerror}") from error
            stack.callback(os.close, fd)
            fds.append(fd)
        yield fds
