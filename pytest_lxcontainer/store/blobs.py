"""Blobs: bytes found by their digest."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path

from ..errors import CorruptImageError, DigestMismatchError, StoreError
from ..image.digest import Digest
from .disk import disk_errors
from .layout import Layout
from .lock import locked


class BlobStore:
    """Keeps blobs; each is there wholly and as its digest says, or not at all."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def has(self, digest: Digest) -> bool:
        """Tell whether the blob is kept."""
        return self.path(digest).is_file()

    def path(self, digest: Digest) -> Path:
        """Return where the blob is, or would be."""
        return self._layout.blob(digest)

    def locked(self, digest: Digest, timeout: float = 600.0) -> AbstractContextManager[None]:
        """Hold the blob's lock, so that several processes do not fetch it at once."""
        return locked(self._layout.lock(f"blob-{digest.hex[:32]}"), timeout)

    def read(self, digest: Digest) -> bytes:
        """Return the blob's bytes; a damaged one is dropped, with a `DigestMismatchError`."""
        path = self.path(digest)
        try:
            with disk_errors("read a blob", path):
                data = path.read_bytes()
        except StoreError:
            if not path.exists():
                raise StoreError(f"the store has no blob {digest}", hint="pull the image again") from None
            raise
        verifier = digest.verifier()
        verifier.update(data)
        if not verifier.matches:
            path.unlink(missing_ok=True)
            raise DigestMismatchError(
                "a blob in the store was damaged, and has been dropped",
                expected=str(digest),
                actual=str(verifier.actual),
                hint="pull the image again",
            )
        return data

    def keep(self, digest: Digest, size: int, chunks: Iterable[bytes]) -> Path:
        """Keep the blob that *chunks* make up, verified, and return its path; a kept one is left as it is.

        Raises `CorruptImageError` unless there are *size* bytes, and `DigestMismatchError` unless they are
        *digest*'s.
        """
        path = self.path(digest)
        if self.has(digest):
            return path
        temporary = self._layout.temporary()
        try:
            _write(temporary, digest, size, chunks)
            with disk_errors("keep a blob", path):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return path

    def adopt(self, digest: Digest, temporary: Path) -> Path:
        """Keep the file *temporary* of the store's `Layout.tmp_dir`, whose bytes are known to be *digest*'s."""
        path = self.path(digest)
        with disk_errors("keep a blob", path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            temporary.replace(path)
        return path

    def remove(self, digest: Digest) -> None:
        """Drop the blob, if it is kept."""
        with disk_errors("drop a blob", self.path(digest)):
            self.path(digest).unlink(missing_ok=True)


def _write(temporary: Path, digest: Digest, size: int, chunks: Iterable[bytes]) -> None:
    verifier = digest.verifier()
    written = 0
    # Opened and written apart: an OSError of the source must not pass for the disk's.
    with disk_errors("keep a blob", temporary):
        file = temporary.open("xb", buffering=0)
    with file:
        for chunk in chunks:
            written += len(chunk)
            if written > size:
                break
            verifier.update(chunk)
            with disk_errors("keep a blob", temporary):
                _write_all(file, chunk)
        _verify(digest, size, written, verifier.actual)


def _write_all(file: FileIO, data: bytes) -> None:
    """Write all of *data*: a disk that is almost full takes a part without complaint."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _verify(digest: Digest, size: int, written: int, actual: Digest) -> None:
    if written != size:
        amount = "more" if written > size else f"{written}"
        raise CorruptImageError(f"a blob should have {size} bytes, and has {amount}", details=f"digest: {digest}")
    if actual != digest:
        raise DigestMismatchError(
            "a blob's bytes are not what its digest says", expected=str(digest), actual=str(actual)
        )
