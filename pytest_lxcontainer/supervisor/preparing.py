"""What a container's mounts are put on, made by its supervisor before each start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

from ..errors import LxContainerError, StartFailedError
from ..rootfs.idmap import IdMap
from ..rootfs.mount_points import MountPoint, Wanted, make_mount_points
from ..rootfs.overlay import Overlay
from ..rootfs.userns import CLONE_NEWUSER, become_root, unshare, write_maps

_OPEN_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def prepare(name: str, overlay: Overlay, idmap: IdMap, wanted: Sequence[Wanted]) -> tuple[MountPoint, ...]:
    """The mount points of container *name*, which is to start, for *wanted*; `StartFailedError`."""
    owner = (idmap.host_uid(0), idmap.host_gid(0))
    try:
        with _opened(overlay) as (upper, *lower):
            try:
                return tuple(make_mount_points(upper, lower, wanted, owner))
            except PermissionError:
                # Of a user's files in a container, only the root's are the user's own.
                return _as_root_inside(idmap, lambda: make_mount_points(upper, lower, wanted, (0, 0)))
    except LxContainerError as error:
        raise _failed(name, error.message) from None
    except OSError as error:
        raise _failed(name, f"{error.filename or 'a mount point'}: {error.strerror}") from None


def _failed(name: str, why: str) -> StartFailedError:
    return StartFailedError(f"container {name} has no place for its mounts: {why}", container=name)


@contextmanager
def _opened(overlay: Overlay) -> Iterator[list[int]]:
    """The upper dir and the lower dirs, base first."""
    with ExitStack() as stack:
        fds = []
        for path in (overlay.upper_dir, *overlay.lower_dirs):
            fds.append(os.open(path, _OPEN_DIR))
            stack.callback(os.close, fds[-1])
        yield fds


def _as_root_inside(idmap: IdMap, work: Callable[[], list[MountPoint]]) -> tuple[MountPoint, ...]:
    """Do *work* in a process that has the container's ids."""
    unshared, mapped, answer = os.pipe(), os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        for fd in (unshared[0], mapped[1], answer[0]):
            os.close(fd)
        _work(unshared[1], mapped[0], answer[1], work)
    for fd in (unshared[1], mapped[0], answer[1]):
        os.close(fd)
    with os.fdopen(unshared[0], "rb") as ready, os.fdopen(mapped[1], "wb", 0) as go, os.fdopen(answer[0]) as found:
        try:
            if ready.read(1):
                write_maps(pid, idmap)
                go.write(b".")
            said: dict[str, Any] = json.loads(found.read() or '{"failed": "the process that makes them ended"}')
        finally:
            go.close()
            os.waitpid(pid, 0)
    if "failed" in said:
        raise LxContainerError(said["failed"])
    return tuple(MountPoint(path, fresh) for path, fresh in said["points"])


def _work(unshared: int, mapped: int, answer: int, work: Callable[[], list[MountPoint]]) -> NoReturn:
    said: dict[str, Any] = {"failed": "its ids could not be mapped"}
    try:
        unshare(CLONE_NEWUSER)
        os.write(unshared, b".")
        if os.read(mapped, 1):
            become_root()
            said = {"points": [(point.path, point.fresh) for point in work()]}
    except LxContainerError as error:
        said = {"failed": error.message}
    except OSError as error:
        said = {"failed": f"{error.filename or 'a mount point'}: {error.strerror}"}
    finally:
        os.write(answer, json.dumps(said).encode())
        os._exit(0)
