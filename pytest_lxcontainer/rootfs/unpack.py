"""Lays one layer's tar stream onto a directory, in the form that overlayfs reads.

The rules are the OCI image specification's
(https://github.com/opencontainers/image-spec/blob/main/layer.md); what it leaves open is done as containerd
and umoci do it. Everything goes through directory file descriptors, one component at a time, never
following a link, and `tarfile.extractall` is not involved: its filters refuse what images rightly hold, and
were bypassed before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence

from ..errors import (
    CorruptImageError,
    DigestMismatchError,
    LxContainerError,
    StoreError,
    UnsafeLayerError,
    UnsupportedImageError,
)
from ..image.digest import Digest, Verifier
from .attributes import AttributeWriter, timestamps
from .compression import uncompressed
from .copy_up import copy_entry
from .layer_dirs import LayerDirs, clean_path, join
from .layer_stream import LayerStream
from .limits import Limits
from .merged import Found
from .read_ahead import ReadAhead
from .removal import remove_entry
from .tar_entry import Entry, Kind
from .tar_reader import entries, padding, sparse_segments
from .unpacked import Unpacked
from .whiteout import (
    OCI_OPAQUE_NAME,
    OCI_WHITEOUT_PREFIX,
    hidden_name,
    is_oci_meta,
    is_oci_whiteout,
    make_opaque,
    make_overlay_whiteout,
)

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def unpack(
    blob_fd: int,
    target_fd: int,
    *,
    diff_id: Digest,
    lower_fds: Sequence[int] = (),
    limits: Limits | None = None,
) -> Unpacked:
    """Unpack the blob open at *blob_fd* into the empty directory *target_fd*, over *lower_fds* (base first).

    Raises `UnsafeLayerError`, `CorruptImageError` (`DigestMismatchError` where the uncompressed bytes are
    not *diff_id*'s), `UnsupportedImageError` or `StoreError`; what was written until then is the caller's
    to remove.
    """
    limits = limits or Limits()
    verifier = diff_id.verifier()
    with ReadAhead(_hashed(uncompressed(blob_fd, limits), verifier)) as chunks:
        stream = LayerStream(chunks)
        unpacker = Unpacker(stream, target_fd, lower_fds, limits)
        try:
            unpacker.run()
            stream.drain()
        except OSError as error:
            raise _store_error("a layer", error) from error
        finally:
            unpacker.close()
    if not verifier.matches:
        raise DigestMismatchError(
            "a layer's uncompressed bytes are not those its image names",
            expected=str(diff_id),
            actual=str(verifier.actual),
        )
    return unpacker.result()


def _hashed(chunks: Iterator[bytes], verifier: Verifier) -> Iterator[bytes]:
    for chunk in chunks:
        verifier.update(chunk)
        yield chunk


class Unpacker:
    """The unpacking of one layer. Whiteouts wait until its end, since they must not hide its own entries."""

    def __init__(self, stream: LayerStream, target_fd: int, lower_fds: Sequence[int], limits: Limits) -> None:
        self._stream = stream
        self._target_fd = target_fd
        self._limits = limits
        self._attributes = AttributeWriter()
        self._dirs = LayerDirs(target_fd, lower_fds, self._attributes)
        self._opaque: list[str] = []
        self._whiteouts: list[tuple[str, str]] = []
        self._entries = 0
        self._size = 0
        self._skipped_devices: set[str] = set()
        self._makers: dict[Kind, Callable[[Entry, str, str], None]] = {
            Kind.FILE: self._make_file,
            Kind.DIRECTORY: self._make_directory,
            Kind.SYMLINK: self._make_symlink,
            Kind.HARD_LINK: self._make_hard_link,
            Kind.FIFO: self._make_fifo,
            Kind.CHARACTER_DEVICE: self._make_device,
            Kind.BLOCK_DEVICE: self._make_device,
        }

    def close(self) -> None:
        """Close what is open; the descriptors it was given stay the caller's."""
        self._dirs.close()

    def result(self) -> Unpacked:
        """Return what became of the layer."""
        return Unpacked(
            self_contained=not self._dirs.asked_lower,
            entries=self._entries,
            size=self._size,
            skipped_devices=len(self._skipped_devices),
            skipped_xattrs=self._attributes.skipped_xattrs,
        )

    def run(self) -> None:
        """Apply every entry, then the whiteouts, then the directories' times."""
        os.fchown(self._target_fd, 0, 0)
        os.fchmod(self._target_fd, 0o755)
        for entry in entries(self._stream):
            self._count(entry)
            try:
                self._apply(entry)
            except OSError as error:
                raise _store_error(repr(entry.name), error) from error
        try:
            self._finish()
        except OSError as error:
            raise _store_error("a layer's directories and whiteouts", error) from error

    def _finish(self) -> None:
        self._dirs.drop_hidden_directories()
        for parent in self._opaque:
            self._apply_opaque(parent)
        for parent, name in self._whiteouts:
            self._apply_whiteout(parent, name)
        self._dirs.finish()

    def _count(self, entry: Entry) -> None:
        self._entries += 1
        if self._entries > self._limits.entries:
            raise UnsafeLayerError(
                f"a layer has more than {self._limits.entries} entries, up to {entry.name!r}", entry=entry.name
            )
        self._add_size(entry.size, entry.name)

    def _add_size(self, size: int, name: str) -> None:
        self._size += size
        if self._size > self._limits.size:
            raise UnsafeLayerError(
                f"a layer unpacks to more than {self._limits.size} bytes, up to {name!r}", entry=name
            )

    def _apply(self, entry: Entry) -> None:
        path = clean_path(entry.name, entry.name)
        if not path:
            self._set_root(entry)
            return
        parent, _, name = path.rpartition("/")
        if OCI_WHITEOUT_PREFIX in path and self._is_mark(entry, parent, name):
            self._stream.skip(entry.stored + padding(entry.stored))
            return
        directory = self._dirs.resolve(parent)
        assert directory is not None
        self._dirs.prepare(join(directory, name))
        self._makers[entry.kind](entry, directory, name)

    def _set_root(self, entry: Entry) -> None:
        if entry.kind is not Kind.DIRECTORY:
            raise UnsafeLayerError(f"{entry.name!r} would replace the root of the container", entry=entry.name)
        self._attributes.replace(self._target_fd, entry)
        self._dirs.mtimes[""] = entry.mtime

    def _is_mark(self, entry: Entry, parent: str, name: str) -> bool:
        """Note the whiteout that an entry stands for, if it is one at all."""
        above = parent.split("/")
        if any(is_oci_meta(part) for part in above):
            return True
        if any(is_oci_whiteout(part) for part in above):
            raise UnsafeLayerError(f"{entry.name!r} is below a whiteout", entry=entry.name)
        if name == OCI_OPAQUE_NAME:
            self._note_opaque(parent)
            return True
        if is_oci_meta(name):
            return True
        if not is_oci_whiteout(name):
            return False
        self._note_whiteout(entry, parent, hidden_name(name))
        return True

    def _note_whiteout(self, entry: Entry, parent: str, hidden: str) -> None:
        if hidden in ("", ".", ".."):
            raise UnsafeLayerError(f"{entry.name!r} is a whiteout of no name", entry=entry.name)
        directory = self._dirs.resolve(parent, create=False)
        if directory is not None:
            self._dirs.hide(join(directory, hidden))
            self._whiteouts.append((directory, hidden))

    def _note_opaque(self, parent: str) -> None:
        directory = self._dirs.resolve(parent, create=False)
        if directory is not None:
            self._dirs.hide_contents(directory)
            self._opaque.append(directory)

    def _make_directory(self, entry: Entry, directory: str, name: str) -> None:
        path = join(directory, name)
        dir_fd = self._dirs.fd(directory)
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
                self._remove(directory, name)
                os.mkdir(name, 0o700, dir_fd=self._dirs.fd(directory))
                # What was there a moment ago had taken the place of all that the lower layers have here.
                self._dirs.hide(path)
                self._whiteouts.append((directory, name))
            self._dirs.remember(clean_path(entry.name, entry.name), path)
            self._attributes.replace(self._dirs.fd(path), entry)
        else:
            self._dirs.remember(clean_path(entry.name, entry.name), path)
            self._attributes.apply(self._dirs.fd(path), entry)
        self._dirs.mtimes[path] = entry.mtime

    def _make_file(self, entry: Entry, directory: str, name: str) -> None:
        fd = self._new_file(directory, name)
        try:
            if entry.sparse:
                self._write_sparse(fd, entry)
            else:
                for piece in self._stream.pieces(entry.stored):
                    _write(fd, piece)
            self._attributes.apply(fd, entry)
            os.utime(fd, ns=timestamps(entry.mtime))
        finally:
            os.close(fd)
        self._stream.skip(padding(entry.stored))

    def _new_file(self, directory: str, name: str) -> int:
        try:
            return os.open(name, _NEW_FILE, 0o600, dir_fd=self._dirs.fd(directory))
        except FileExistsError:
            self._remove(directory, name)
            return os.open(name, _NEW_FILE, 0o600, dir_fd=self._dirs.fd(directory))

    def _write_sparse(self, fd: int, entry: Entry) -> None:
        segments, left = sparse_segments(self._stream, entry)
        for offset, length in segments:
            if offset < 0 or length < 0 or offset + length > entry.size or length > left:
                raise CorruptImageError(f"the sparse map of {entry.name!r} in a layer does not fit its data")
            os.lseek(fd, offset, os.SEEK_SET)
            for piece in self._stream.pieces(length):
                _write(fd, piece)
            left -= length
        self._stream.skip(left)
        os.ftruncate(fd, entry.size)

    def _make_symlink(self, entry: Entry, directory: str, name: str) -> None:
        if not entry.link:
            raise CorruptImageError(f"{entry.name!r} in a layer is a symbolic link to nothing")
        self._place(directory, name, lambda fd: os.symlink(entry.link, name, dir_fd=fd))
        self._attributes.apply_to_name(name, self._dirs.fd(directory), entry, has_mode=False)

    def _make_fifo(self, entry: Entry, directory: str, name: str) -> None:
        self._place(directory, name, lambda fd: os.mkfifo(name, 0o600, dir_fd=fd))
        self._attributes.apply_to_name(name, self._dirs.fd(directory), entry)

    def _make_device(self, entry: Entry, directory: str, name: str) -> None:
        device = os.makedev(*entry.device)
        if entry.kind is Kind.CHARACTER_DEVICE and device == 0:
            raise UnsafeLayerError(f"{entry.name!r} is a device overlayfs takes for a whiteout", entry=entry.name)
        mode = 0o600 | (stat.S_IFCHR if entry.kind is Kind.CHARACTER_DEVICE else stat.S_IFBLK)
        try:
            self._place(directory, name, lambda fd: os.mknod(name, mode, device, dir_fd=fd))
        except PermissionError:
            # A user namespace may not make devices; a container's /dev is the runtime's anyway.
            self._skip_device(directory, name)
            return
        self._attributes.apply_to_name(name, self._dirs.fd(directory), entry)

    def _skip_device(self, directory: str, name: str) -> None:
        """Leave a device out, and hide what the lower layers have in its place."""
        self._skipped_devices.add(join(directory, name))
        self._dirs.hide(join(directory, name))
        self._whiteouts.append((directory, name))

    def _place(self, directory: str, name: str, make: Callable[[int], None]) -> None:
        """Make something that is no directory, in the place of whatever the layer had there before."""
        try:
            make(self._dirs.fd(directory))
        except FileExistsError:
            self._remove(directory, name)
            make(self._dirs.fd(directory))

    def _remove(self, directory: str, name: str) -> None:
        self._dirs.forget(join(directory, name))
        remove_entry(name, self._dirs.fd(directory))

    def _make_hard_link(self, entry: Entry, directory: str, name: str) -> None:
        source = clean_path(entry.link, entry.name)
        raw_parent, _, source_name = source.rpartition("/")
        parent = self._dirs.resolve(raw_parent, create=False) if source else None
        found = None if parent is None else self._find_source(entry, parent, source_name)
        if found is None and parent is not None and join(parent, source_name) in self._skipped_devices:
            self._remove(directory, name)
            self._skip_device(directory, name)
            return
        if found is None or parent is None:
            raise CorruptImageError(f"{entry.name!r} in a layer is a hard link to {entry.link!r}, which is absent")
        if stat.S_ISDIR(found.status.st_mode):
            raise UnsafeLayerError(f"{entry.name!r} is a hard link to a directory", entry=entry.name)
        if join(parent, source_name).startswith(f"{join(directory, name)}/"):
            raise CorruptImageError(f"{entry.name!r} in a layer is a hard link to what it would replace")
        if (parent, source_name) != (directory, name):
            self._place(directory, name, lambda fd: self._link(parent, source_name, fd, name))

    def _link(self, parent: str, source: str, target_fd: int, name: str) -> None:
        source_fd = self._dirs.fd(parent)
        os.link(source, name, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)

    def _find_source(self, entry: Entry, parent: str, name: str) -> Found | None:
        """Return what a hard link is to; what a lower layer has is copied into this one for it."""
        here = self._dirs.find_here(parent, name)
        if here is not None:
            return here
        lower = self._dirs.find_lower(parent, name)
        if lower is None or stat.S_ISDIR(lower.status.st_mode):
            return lower
        return self._copy_up(parent, lower, entry)

    def _copy_up(self, parent: str, lower: Found, entry: Entry) -> Found | None:
        self._add_size(lower.status.st_size, entry.name)
        source_fd = os.dup(lower.dir_fd)
        try:
            self._dirs.resolve(parent)
            copy_entry(lower, source_fd, self._dirs.fd(parent), self._attributes)
            self._dirs.note_copy(join(parent, lower.name))
            return self._dirs.find_here(parent, lower.name)
        finally:
            os.close(source_fd)

    def _apply_opaque(self, path: str) -> None:
        if not self._dirs.enter(path):
            return
        if path:
            make_opaque(self._dirs.fd(path))
            return
        # Overlayfs reads no mark on the root of a layer.
        for name in self._dirs.lower_root_names():
            self._hide_name("", name)

    def _apply_whiteout(self, parent: str, name: str) -> None:
        if not self._dirs.hides_all_in(parent) and self._dirs.enter(parent):
            self._hide_name(parent, name)

    def _hide_name(self, parent: str, name: str) -> None:
        """Hide *name* of the lower layers, unless this layer has a file of that name."""
        here = self._dirs.find_here(parent, name)
        if here is None:
            if self._dirs.merges(parent):
                make_overlay_whiteout(name, self._dirs.fd(parent))
        elif stat.S_ISDIR(here.status.st_mode):
            make_opaque(self._dirs.fd(join(parent, name)))


def _write(fd: int, data: memoryview) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])


def _store_error(what: str, error: OSError) -> LxContainerError:
    if error.errno in (errno.ENAMETOOLONG, errno.EILSEQ):
        return UnsupportedImageError(f"{what} has a name no file system here can hold")
    hint = "free some space, or put the store elsewhere (--lxc-store)" if error.errno in _FULL else ""
    return StoreError(f"{what} cannot be written into the store: {error.strerror}", hint=hint)
