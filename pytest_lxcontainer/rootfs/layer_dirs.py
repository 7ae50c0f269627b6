"""The directories of a layer that is being written, found as the container would find them.

A layer may leave out a file's parents, and mean those of the layers below it; and the parent it names may
be a symbolic link down there (``bin`` where ``/bin -> usr/bin``). Parents are therefore looked up in the
merged tree, one component at a time, and created in the layer with what the lower layer says of them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from ..errors import CorruptImageError, UnsafeLayerError
from .attributes import AttributeWriter, copy_xattrs, timestamps
from .merged import MAX_LINKS, OPEN_DIR, Found, MergedDir, enter_path, lstat
from .whiteout import is_overlay_whiteout, make_opaque

_MAX_OPEN = 64
MAX_PATH = 4095
"""PATH_MAX, which no path a container could ever use exceeds."""


def join(parent: str, name: str) -> str:
    """Return the path of *name* in *parent*, the root being the empty path."""
    return f"{parent}/{name}" if parent else name


def clean_path(path: str, entry: str) -> str:
    """Return *path* relative to the container's root, without ``.`` and empty components; empty for the root.

    Raises `UnsafeLayerError` for ``..`` and for what is too long, naming *entry*.
    """
    if len(path) > MAX_PATH:
        raise UnsafeLayerError(f"{entry[:80]!r}... is a path of {len(path)} characters", entry=entry[:80])
    parts = [part for part in path.split("/") if part and part != "."]
    if ".." in parts:
        raise UnsafeLayerError(f"{entry!r} would leave the container's root: {path!r}", entry=entry)
    return "/".join(parts)


class LayerDirs:
    """Directories of the layer at *root_fd*, whose lower layers are *lower_fds* (base first).

    A *canonical* path goes through directories only; a *raw* one is as an image names it. The file
    descriptors given stay the caller's.
    """

    def __init__(self, root_fd: int, lower_fds: Sequence[int], attributes: AttributeWriter) -> None:
        self._root_fd = root_fd
        self._lower_fds = tuple(lower_fds)
        self._attributes = attributes
        self._open: dict[str, int] = {}
        self._canonical: dict[str, str] = {"": ""}
        self._gone: set[str] = set()
        self._opaque: set[str] = set()
        self._lower = MergedDir(())
        self.mtimes: dict[str, int] = {}
        """Canonical path -> nanoseconds, for when nothing more will be written into the directory."""
        self.asked_lower = False
        """Whether what is in this layer depends on what the layers below it hold."""

    def close(self) -> None:
        """Close the directories that are open."""
        for fd in self._open.values():
            os.close(fd)
        self._open.clear()
        self._lower.close()

    def fd(self, path: str) -> int:
        """Return the directory at the canonical *path*, open at least until two others were asked for."""
        if not path:
            return self._root_fd
        fd = self._open.pop(path, None)
        if fd is None:
            fd = self._open_from_nearest(path)
            if len(self._open) >= _MAX_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
        self._open[path] = fd
        return fd

    def _open_from_nearest(self, path: str) -> int:
        parent, _, name = path.rpartition("/")
        names = [name]
        while parent and parent not in self._open:
            parent, _, name = parent.rpartition("/")
            names.append(name)
        fd = start = self._open[parent] if parent else self._root_fd
        for name in reversed(names):
            try:
                inner = os.open(name, OPEN_DIR, dir_fd=fd)
            finally:
                if fd != start:
                    os.close(fd)
            fd = inner
        return fd

    def remember(self, raw: str, path: str) -> None:
        """Note that *raw* names the directory just made at the canonical *path*."""
        if self._canonical.get(raw, path) != path:
            self._canonical = {"": ""}
        self._canonical[raw] = path

    def forget(self, path: str) -> None:
        """Note that the directory or link at the canonical *path* is gone."""
        self._canonical = {"": ""}
        self.mtimes.pop(path, None)
        for opened in [key for key in self._open if key == path or key.startswith(f"{path}/")]:
            os.close(self._open.pop(opened))

    def knows(self, raw: str) -> bool:
        """Whether *raw* was resolved to a directory before."""
        return raw in self._canonical

    def hide(self, path: str) -> None:
        """Do not look into the lower layers at *path* any more: this layer has a whiteout of it."""
        self._gone.add(path)

    def hide_contents(self, path: str) -> None:
        """Do not look into the lower layers below *path* any more: this layer makes it opaque."""
        self._opaque.add(path)

    def resolve(self, raw: str, *, create: bool = True) -> str | None:
        """Return the canonical path of the directory *raw*, creating it in this layer if *create*.

        Without *create*, ``None`` where neither this layer nor one below has it, and the path may be of a
        directory that only a lower layer has.
        """
        known = self._canonical.get(raw)
        if known is not None:
            return known
        prefix, names = raw, []
        while prefix not in self._canonical:
            prefix, _, name = prefix.rpartition("/")
            names.append(name)
        return self._descend(prefix, names, create)

    def _descend(self, prefix: str, names: list[str], create: bool) -> str | None:
        path = self._canonical[prefix]
        while names:
            name = names.pop()
            prefix = join(prefix, name)
            inner = self._enter(path, name, create)
            if inner is None:
                return None
            path = inner
            # Without creating, the path need not exist in this layer, as remembered ones do.
            if create:
                self._canonical[prefix] = path
        return path

    def _enter(self, path: str, name: str, create: bool) -> str | None:
        pending = [name]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                path = path.rpartition("/")[0]
            if name in ("", ".", ".."):
                continue
            here = self.find_here(path, name)
            found = here or self.find_lower(path, name)
            if found is not None and stat.S_ISLNK(found.status.st_mode):
                links += 1
                target = _read_link(found, join(path, name), links)
                path = "" if target.startswith("/") else path
                pending.extend(reversed(target.split("/")))
                continue
            if not self._pass_through(path, name, here, found, create):
                return None
            path = join(path, name)
        return path

    def _pass_through(self, path: str, name: str, here: Found | None, found: Found | None, create: bool) -> bool:
        """Whether there is a directory *name* to go into, now that it was created if asked for."""
        gone = here is not None and is_overlay_whiteout(here.status)
        exists = found is not None and not gone
        if found is not None and exists and not stat.S_ISDIR(found.status.st_mode):
            if create:
                raise CorruptImageError(f"{join(path, name)!r} would be a directory, and is something else")
            return False
        if create and (here is None or gone):
            self._make(path, name, found if exists else None, replaces_whiteout=gone)
        return create or exists

    def _make(self, path: str, name: str, lower: Found | None, *, replaces_whiteout: bool) -> None:
        parent_fd = self.fd(path)
        if replaces_whiteout:
            os.unlink(name, dir_fd=parent_fd)
        os.mkdir(name, 0o700, dir_fd=parent_fd)
        fd = self.fd(join(path, name))
        if lower is not None:
            self._copy_attributes(lower, fd, join(path, name))
            return
        os.fchown(fd, 0, 0)
        os.fchmod(fd, 0o755)
        if replaces_whiteout:
            make_opaque(fd)

    def _copy_attributes(self, lower: Found, fd: int, path: str) -> None:
        status = lower.status
        os.fchown(fd, status.st_uid, status.st_gid)
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        source = os.open(lower.name, OPEN_DIR, dir_fd=lower.dir_fd)
        try:
            copy_xattrs(source, fd, path, self._attributes)
        finally:
            os.close(source)
        self.mtimes[path] = status.st_mtime_ns

    def find_here(self, path: str, name: str) -> Found | None:
        """Return what this layer itself has under *name* at the canonical *path*, whiteouts included."""
        try:
            fd = self.fd(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        status = lstat(name, fd)
        return None if status is None else Found(name, status, fd)

    def find_lower(self, path: str, name: str) -> Found | None:
        """Return what the lower layers show under *name*, good until the next look-up."""
        merged = self._lower_dir(path, name)
        return None if merged is None else merged.find(name)

    def merges(self, path: str) -> bool:
        """Whether the lower layers have a directory at the canonical *path*, which a whiteout could be for.

        Overlayfs lists the whiteouts of a directory that it merges with nothing.
        """
        with enter_path(self._lower_fds, path) as lower:
            found = bool(lower.fds)
        if not found:
            self.asked_lower = True
        return found

    def _lower_dir(self, path: str, name: str) -> MergedDir | None:
        if self.is_hidden(join(path, name)):
            return None
        self.asked_lower = True
        if not self._lower_fds:
            return None
        self._lower.close()
        # This layer's own opaque marks count too; what it shows itself was looked up before.
        self._lower = enter_path((*self._lower_fds, self._root_fd), path)
        return self._lower

    def is_hidden(self, path: str) -> bool:
        """Whether this layer hides what the lower layers have at *path*."""
        if path in self._gone:
            return True
        return bool(self._gone or self._opaque) and self.hides_all_in(path.rpartition("/")[0])

    def hides_all_in(self, path: str) -> bool:
        """Whether this layer hides all that the lower layers have in the directory *path*."""
        while path not in self._opaque and path not in self._gone:
            if not path:
                return False
            path = path.rpartition("/")[0]
        return True

    def finish(self) -> None:
        """Set the directories' times, now that nothing more is written into them."""
        for path, mtime in self.mtimes.items():
            parent, _, name = path.rpartition("/")
            # It may have been replaced by something else after it got its entry.
            with suppress(FileNotFoundError, NotADirectoryError):
                fd = self.fd(parent)
                if stat.S_ISDIR(os.stat(name or ".", dir_fd=fd, follow_symlinks=False).st_mode):
                    os.utime(name or ".", ns=timestamps(mtime), dir_fd=fd, follow_symlinks=False)


def _read_link(link: Found, path: str, links: int) -> str:
    if links > MAX_LINKS:
        raise UnsafeLayerError(f"{path!r} in a layer is one of more than {MAX_LINKS} links", entry=path)
    return os.readlink(link.name, dir_fd=link.dir_fd)


def make_dirs(root_fd: int, lower_fds: Sequence[int], path: str) -> None:
    """Make the directory *path*, as the container sees it, in the upper dir *root_fd* over *lower_fds*.

    Nothing happens where it exists. Raises `CorruptImageError` where something else is in the way.
    """
    dirs = LayerDirs(root_fd, lower_fds, AttributeWriter())
    try:
        raw = clean_path(path, path)
        if dirs.resolve(raw, create=False) is None:
            dirs.resolve(raw)
            dirs.finish()
    finally:
        dirs.close()
