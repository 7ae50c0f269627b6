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
    descriptors given stay the caller's. What no layer knows is made as *owner* (user and group id).
    """

    def __init__(
        self, root_fd: int, lower_fds: Sequence[int], attributes: AttributeWriter, owner: tuple[int, int] = (0, 0)
    ) -> None:
        self._root_fd = root_fd
        self._owner = owner
        self._lower_fds = lower_fds
        self._attributes = attributes
        self._open: dict[str, int] = {}
        self._canonical: dict[str, str] = {"": ""}
        self._lower_links: set[str] = set()
        self._copies: set[str] = set()
        self._implied: set[str] = set()
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
        # Another spelling may go through what the directory has just replaced.
        if raw == path:
            self._canonical[raw] = path
        self._implied.discard(path)

    def forget(self, path: str) -> None:
        """Note that the directory or link at the canonical *path* is gone."""
        self._canonical = {"": ""}
        self.mtimes.pop(path, None)
        self._implied.discard(path)
        for opened in [key for key in self._open if key == path or key.startswith(f"{path}/")]:
            os.close(self._open.pop(opened))

    def prepare(self, path: str) -> None:
        """Note that an entry of this layer will be at the canonical *path*, and hide a link of a lower layer there."""
        if path in self._lower_links:
            self._forget_lower_links()
        if self._copies:
            self._copies.discard(path)

    def note_copy(self, path: str) -> None:
        """Note that the file at the canonical *path* is a lower layer's, copied here to be linked to."""
        self._copies.add(path)

    def hide(self, path: str) -> None:
        """Do not look into the lower layers at *path* any more: this layer has a whiteout of it."""
        self._gone.add(path)
        self._forget_lower_links()
        self._drop_hidden_copies()

    def hide_contents(self, path: str) -> None:
        """Do not look into the lower layers below *path* any more: this layer makes it opaque."""
        self._opaque.add(path)
        self._forget_lower_links()
        self._drop_hidden_copies()

    def _forget_lower_links(self) -> None:
        """Resolve anew what went through links of the lower layers, which may be hidden now."""
        if self._lower_links:
            self._canonical = {"": ""}
            self._lower_links.clear()

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

    def enter(self, path: str) -> bool:
        """Whether *path*, canonical once, still is, and now is in this layer; it may have become a link or a file."""
        if not self._is_there(path):
            return False
        self._make_missing(path)
        return True

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
        missing = False
        in_the_way = ""
        while pending:
            name = pending.pop()
            if name == "..":
                path = path.rpartition("/")[0]
                in_the_way = in_the_way if _is_at_or_below(path, in_the_way) else ""
            if name in ("", ".", ".."):
                continue
            here = self.find_here(path, name)
            found = here or self.find_lower(path, name)
            if found is not None and stat.S_ISLNK(found.status.st_mode):
                links += 1
                if here is None:
                    self._lower_links.add(join(path, name))
                target = _read_link(found, join(path, name), links)
                path = "" if target.startswith("/") else path
                pending.extend(reversed(target.split("/")))
                continue
            path = join(path, name)
            if create and found is not None and not _is_dir(found) and not is_overlay_whiteout(found.status):
                in_the_way = path
            missing = missing or not _is_dir(here if create else found)
        # Only now: of what a link names on its way, ".." may take back a part.
        if in_the_way:
            raise CorruptImageError(f"{in_the_way!r} would be a directory, and is something else")
        if missing and create:
            self._make_missing(path)
        return path if create or not missing or self._is_there(path) else None

    def _is_there(self, path: str) -> bool:
        """Whether the canonical *path* is a directory, here or below."""
        parent = ""
        for name in path.split("/") if path else ():
            if not _is_dir(self.find_here(parent, name) or self.find_lower(parent, name)):
                return False
            parent = join(parent, name)
        return True

    def _make_missing(self, path: str) -> None:
        parent = ""
        for name in path.split("/") if path else ():
            here = self.find_here(parent, name)
            if here is None:
                self._make(parent, name, self.find_lower(parent, name), replaces_whiteout=False)
            elif is_overlay_whiteout(here.status):
                self._make(parent, name, None, replaces_whiteout=True)
            parent = join(parent, name)

    def _make(self, path: str, name: str, lower: Found | None, *, replaces_whiteout: bool) -> None:
        parent_fd = self.fd(path)
        if replaces_whiteout or join(path, name) in self._copies:
            os.unlink(name, dir_fd=parent_fd)
            self._copies.discard(join(path, name))
        os.mkdir(name, 0o700, dir_fd=parent_fd)
        try:
            self._dress(join(path, name), lower, replaces_whiteout)
        except OSError:
            # Nobody may take it for the lower layer's, with attributes of its own.
            self.forget(join(path, name))
            os.rmdir(name, dir_fd=self.fd(path))
            raise

    def _dress(self, path: str, lower: Found | None, replaces_whiteout: bool) -> None:
        """Give the new directory *path* what *lower* has, or what a new one has."""
        fd = self.fd(path)
        self._implied.add(path)
        if lower is not None:
            self._copy_attributes(lower, fd, path)
            return
        os.fchown(fd, *self._owner)
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
        self.asked_lower = True
        with enter_path(self._lower_fds, path) as lower:
            return bool(lower.fds)

    def lower_root_names(self) -> list[str]:
        """Return what the lower layers have in the root, by name."""
        self.asked_lower = True
        with enter_path(self._lower_fds, "") as lower:
            return [name for name in lower.names() if lower.find(name) is not None]

    def _drop_hidden_copies(self) -> None:
        """Remove the copies that this layer hides: lower files it has only as the sources of hard links.

        The directories go too that were made for them: what this layer puts there later is in new ones.
        """
        hidden = set(filter(self.is_hidden, self._copies))
        for path in hidden:
            parent, _, name = path.rpartition("/")
            # It may have gone with a directory that something took the place of.
            with suppress(OSError):
                os.unlink(name, dir_fd=self.fd(parent))
        self._copies -= hidden
        if hidden:
            self.drop_hidden_directories()

    def drop_hidden_directories(self) -> None:
        """Remove the directories that were made for what is not there any more, and that this layer hides."""
        # Deepest first; what something else is in stays.
        for path in sorted(filter(self.is_hidden, self._implied), key=len, reverse=True):
            parent, _, name = path.rpartition("/")
            with suppress(OSError):
                os.rmdir(name, dir_fd=self.fd(parent))
                self.forget(path)

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


def _is_at_or_below(path: str, above: str) -> bool:
    return f"{path}/".startswith(f"{above}/")


def _is_dir(found: Found | None) -> bool:
    return found is not None and stat.S_ISDIR(found.status.st_mode)


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
