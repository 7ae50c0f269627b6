"""Named files in a directory or in a tar, read where they are: nothing is extracted, and no link leads out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import CorruptImageError, ImageSourceError
from ...image.document import printable

CHUNK = 512 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """*size* bytes from *offset* on in the open file *fd*; *name* is for errors. Several threads may read it."""

    fd: int
    offset: int
    size: int
    name: str

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, or raise `CorruptImageError` where the file ends before them."""
        done = 0
        while done < self.size:
            chunk = os.pread(self.fd, min(CHUNK, self.size - done), self.offset + done)
            if not chunk:
                raise CorruptImageError(f"{self.name} is cut off: {done} of {self.size} bytes are there")
            done += len(chunk)
            yield chunk

    def read(self, limit: int) -> bytes:
        """Return the bytes, of which there may be *limit*."""
        if self.size > limit:
            raise CorruptImageError(f"{self.name} has {self.size} bytes, more than the {limit} allowed")
        return b"".join(self.chunks())

    def head(self, size: int) -> bytes:
        """Return the first *size* bytes, fewer where there are fewer."""
        return os.pread(self.fd, min(size, self.size), self.offset)


class Files(Protocol):
    """Files by name, where a name's parts are parted by ``/``."""

    @property
    def path(self) -> Path:
        """Where they are."""

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""

    def open(self, name: str) -> AbstractContextManager[Piece]:
        """Give the file's bytes, or raise `CorruptImageError` where there is no such file."""

    def close(self) -> None:
        """Give back what is open."""


class DirectoryFiles:
    """The files below a directory; symbolic links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with reading(path):
            self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the directory."""
        os.close(self._root)

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        with suppress(OSError):
            os.close(self._opened(name))
            return True
        return False

    @contextmanager
    def open(self, name: str) -> Iterator[Piece]:
        """Give the bytes of a regular file."""
        try:
            fd = self._opened(name)
        except OSError as error:
            raise CorruptImageError(f"{self.path} has no {printable(name)}", details=error.strerror or "") from None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise CorruptImageError(f"{printable(name)} in {self.path} is no regular file")
            yield Piece(fd, 0, status.st_size, f"{printable(name)} in {self.path}")
        finally:
            os.close(fd)

    def _opened(self, name: str) -> int:
        """Open a file by way of directories that are no links; a FIFO is not waited for."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        *parents, last = name.split("/")
        directory = os.dup(self._root)
        try:
            for part in parents:
                inner = os.open(_plain(part), flags | os.O_DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            return os.open(_plain(last), flags, dir_fd=directory)
        finally:
            os.close(directory)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say of what the system refuses that it concerns the image's *path*."""
    try:
        yield
    except FileNotFoundError:
        raise ImageSourceError(
            f"{path} does not exist", path=str(path), hint="a relative path begins at the current directory"
        ) from None
    except OSError as error:
        raise ImageSourceError(
            f"{path} cannot be read: {error.strerror}", details=_about(error, path), path=str(path)
        ) from error


def _about(error: OSError, path: Path) -> str:
    name = error.filename
    return f"at: {printable(str(name))}" if isinstance(name, str) and name != str(path) else ""


def _plain(part: str) -> str:
    if part in ("", ".", "..") or "\0" in part:
        raise FileNotFoundError(2, "not a name that an image's file may have")
    return part
