"""Reading, writing and copying a container's files, and mounting the host's."""

from __future__ import annotations

import os
from pathlib import Path

from .part import Part


class Contents(Part):
    """Files and directories as the container sees them, whether it runs, is frozen, or does not run.

    Where it does not run, its files are those of the image with its own changes, without mounts. Errors are
    `ContainerFileError` and of the kind that a file of the host would raise, such as `FileNotFoundError`.
    """

    def read_bytes(self, path: str) -> bytes:
        """Content of the regular file *path*; `ContainerFileError`, an `OSError`, where it cannot be read."""
        with self._backend.open_file(self.id, path, "rb") as file:
            return file.read()

    def read_text(self, path: str, encoding: str = "utf-8") -> str:
        """Content of *path* as text; `UnicodeDecodeError` where it is not in *encoding*."""
        return self.read_bytes(path).decode(encoding)

    def write_bytes(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write the file *path*; a new one is root's with permissions *mode*. Its directory must exist."""
        with self._backend.open_file(self.id, path, "wb", mode) as file:
            file.write(data)

    def write_text(self, path: str, text: str, *, encoding: str = "utf-8", mode: int = 0o644) -> None:
        """Write *text* to the file *path*."""
        self.write_bytes(path, text.encode(encoding), mode=mode)

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*, if only a link that leads nowhere."""
        return self._backend.has_file(self.id, path)

    def listdir(self, path: str) -> list[str]:
        """Sorted names in the directory *path*; `ContainerFileError` where there is none."""
        return self._backend.list_files(self.id, path)

    def copy_in(self, host_path: str | os.PathLike[str], path: str, *, owner: str | int | None = "0:0") -> str:
        """Copy a file or a directory with all in it from the host; returns the path of what was made.

        To an existing directory it goes under its own name (``DIR/.``: only what is in it), to another *path* as that,
        whose directory must exist. It replaces files, and adds to directories. *owner* is a name or id of the
        container, or ``"user:group"``; ``None`` keeps the host's ids, as numbers. Modes, times, links and holes are
        kept, a file with several names becomes several; devices, FIFOs and sockets in a tree are left out. Raises
        `OSError` for what cannot be read, `ContainerFileError` for what cannot be written, `InvalidSettingsError` for
        an unknown owner.
        """
        return self._backend.copy_in(self.id, os.fspath(host_path), path, None if owner is None else str(owner))

    def copy_out(self, path: str, host_path: str | os.PathLike[str]) -> Path:
        """Copy a file or a directory with all in it to the host; returns the path of what was made.

        Names as for `copy_in`. The files are the caller's, without set-id bits. Links are copied as links (*path*
        itself is followed, inside the container), devices, FIFOs and sockets in a tree are left out, and nothing
        outside *host_path* is written. Raises `ContainerFileError` for what cannot be read, `OSError` for what cannot
        be written.
        """
        return self._backend.copy_out(self.id, path, os.fspath(host_path))

    def mount(self, host_path: str | os.PathLike[str], path: str, *, read_only: bool = False) -> None:
        """Show a file or directory of the host at *path*, made if absent, until `unmount` or its end.

        `NotRunningError` unless it is running, `FileNotFoundError` where the host has no such file,
        `ContainerFileError` where it cannot be mounted.
        """
        source = Path(host_path).absolute()
        source.stat()
        self._backend.mount(self.id, str(source), path, read_only)

    def unmount(self, path: str) -> None:
        """Undo a mount, also one of its settings'; `ContainerFileError` (EINVAL) where none is."""
        self._backend.unmount(self.id, path)
