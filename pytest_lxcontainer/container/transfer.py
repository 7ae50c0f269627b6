"""The test's side of work on a container's files."""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..errors import ContainerFileError, InvalidSettingsError
from .channel import Channel, Frame
from .copying import CopyError, OtherEndError, Receiver, send_tree
from .files import destination
from .pty import PTMX

Begin = Callable[[Frame], Channel]


class Transfers(ABC):
    """What of a `Backend` is done by `Transfer`."""

    @abstractmethod
    def _transfer(self, name: str) -> Transfer:
        """The way to the files of container *name*."""

    def open_file(self, name: str, path: str, mode: str, permissions: int = 0o644) -> IO[bytes]:
        """See `Backend`."""
        return self._transfer(name).open(path, mode, permissions)

    def list_files(self, name: str, path: str) -> list[str]:
        """See `Backend`."""
        names: list[str] = self._transfer(name).ask({"do": "list", "path": path})
        return names

    def has_file(self, name: str, path: str) -> bool:
        """See `Backend`."""
        return bool(self._transfer(name).ask({"do": "exists", "path": path}))

    def open_terminal(self, name: str, uid: int) -> int:
        """See `Backend`."""
        return self._transfer(name).open_terminal(uid)

    def copy_in(self, name: str, host_path: str, path: str, owner: str | None) -> str:
        """See `Backend`."""
        return self._transfer(name).copy_in(host_path, path, owner)

    def copy_out(self, name: str, path: str, host_path: str) -> Path:
        """See `Backend`."""
        return self._transfer(name).copy_out(path, host_path)


class Transfer:
    """Files of the container *name*; *begin* has a task of `files.perform` done and gives the way to who does it."""

    def __init__(self, name: str, begin: Begin) -> None:
        self._name = name
        self._begin = begin

    def open(self, path: str, mode: str, permissions: int) -> IO[bytes]:
        """See `Backend.open_file`."""
        with self._begin({"do": "open", "path": path, "mode": mode, "permissions": permissions}) as channel:
            _, fd = self._answer(channel, path)
        assert fd is not None  # what opening gives
        return os.fdopen(fd, mode)

    def open_terminal(self, uid: int) -> int:
        """See `Backend.open_terminal`."""
        with self._begin({"do": "terminal", "path": PTMX, "uid": uid}) as channel:
            _, fd = self._answer(channel, PTMX)
        assert fd is not None  # what opening gives
        return fd

    def ask(self, task: Frame) -> Any:
        """Have *task* done on its ``path`` and return what it gives."""
        with self._begin(task) as channel:
            return self._answer(channel, task["path"])[0]

    def copy_in(self, host_path: str, path: str, owner: str | None) -> str:
        """See `Backend.copy_in`."""
        kind = os.stat(host_path).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise OSError(errno.EINVAL, "neither a file nor a directory", host_path)
        fd = os.open(host_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            channel = self._begin({"do": "copy_in", "path": path, "name": last_name(host_path), "owner": owner})
        except BaseException:
            os.close(fd)
            raise
        with channel:
            try:
                send_tree(channel, fd, last_name(host_path) or ".")
            except ConnectionError:
                pass  # the other end has given up, and said why
            except CopyError as error:
                raise OSError(error.errno, error.strerror, _below(host_path, error.path)) from None
            made: str = self._answer(channel, path)[0]
        return made

    def copy_out(self, path: str, host_path: str) -> Path:
        """See `Backend.copy_out`."""
        with self._begin({"do": "copy_out", "path": path}) as channel:
            first, _ = self._receive(channel, path)
            try:
                directory, name = destination(host_path, first["is"] == "dir", last_name(path), _kind_on_host)
                fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                raise OSError(error.errno, error.strerror, host_path) from None
            try:
                # No set-id bits: a file of root's test would let whoever is on the host become root.
                Receiver(channel, fd, name, modes=0o777).receive(first)
            except OtherEndError as error:
                raise self._error(error.errno or 0, _below(path, error.path)) from None
            except CopyError as error:
                raise OSError(error.errno, error.strerror, str(Path(directory, error.path))) from None
            except ConnectionError:
                raise self._error(errno.ESRCH, path) from None
        return Path(directory, name)

    def _answer(self, channel: Channel, path: str) -> tuple[Any, int | None]:
        frame, fd = self._receive(channel, path)
        return frame["ok"], fd

    def _receive(self, channel: Channel, path: str) -> tuple[Frame, int | None]:
        try:
            frame, fd = channel.receive()
        except ConnectionError:
            raise self._error(errno.ESRCH, path) from None
        if "invalid" in frame:
            raise InvalidSettingsError(frame["invalid"], hint=frame["hint"])
        if "errno" in frame and "is" not in frame:
            raise self._error(frame["errno"], path)
        return frame, fd

    def _error(self, code: int, path: str) -> ContainerFileError:
        hint = "it ended meanwhile, or cannot be entered" if code == errno.ESRCH else ""
        return ContainerFileError.of(path, code, self._name, hint=hint)


def last_name(path: str) -> str:
    """The name that what *path* is keeps where it is copied to; empty for a directory's content alone (``DIR/.``)."""
    name = path.rstrip("/").rpartition("/")[2]
    return "" if name in ("", ".", "..") else name


def _below(root: str, path: str) -> str:
    """*path* with the root's own path in place of its name."""
    return str(Path(root, *path.split("/")[1:]))


def _kind_on_host(path: str) -> str:
    try:
        return "dir" if stat.S_ISDIR(os.stat(path).st_mode) else "file"
    except FileNotFoundError:
        return ""
