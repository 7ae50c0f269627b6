"""An image on its way into files, and what all kinds of files that it may go into have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...errors import CorruptImageError, DigestMismatchError, ExportError
from ...image.digest import Digest, sha256_of
from ...image.manifest import Descriptor
from ...image.platform import Platform
from ...image.tar_header import DIRECTORY, END, TarHeader, padding


@dataclass(frozen=True, slots=True)
class OutgoingLayer:
    """A layer's blob, and the digest of what it is uncompressed."""

    descriptor: Descriptor
    diff_id: Digest


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One image: an OCI manifest and the config, as bytes, the layers (base first), and the *name* it gets, if any."""

    manifest: bytes
    config: bytes
    layers: tuple[OutgoingLayer, ...]
    platform: Platform
    name: str | None


class Blobs(Protocol):
    """Where layers come from."""

    def open(self, layer: OutgoingLayer) -> AbstractContextManager[Iterator[bytes]]:
        """The chunks of a layer's blob."""

    def open_plain(self, layer: OutgoingLayer) -> AbstractContextManager[Iterator[bytes]]:
        """The same, uncompressed."""


class TarWriter:
    """Writes files into a tar that is the same for the same files, whenever and by whomever it is written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def add(self, name: str, data: bytes) -> None:
        """Add a file with *data*."""
        self._write(bytes(TarHeader(name, size=len(data))) + data + padding(len(data)))

    def add_directory(self, name: str) -> None:
        """Add a directory: one that is there only by its files, skopeo gives to root, which no other user may."""
        self._write(bytes(TarHeader(name, DIRECTORY, 0o755)))

    def add_chunks(self, name: str, chunks: Iterator[bytes]) -> None:
        """Add a file of any size: its header is written again when the size is known."""
        start = os.lseek(self._fd, 0, os.SEEK_CUR)
        self._write(TarHeader(name).with_room())
        size = 0
        for chunk in chunks:
            self._write(chunk)
            size += len(chunk)
        self._write(padding(size))
        end = os.lseek(self._fd, 0, os.SEEK_CUR)
        os.lseek(self._fd, start, os.SEEK_SET)
        self._write(TarHeader(name, size=size).with_room())
        os.lseek(self._fd, end, os.SEEK_SET)

    def finish(self) -> None:
        """Write the end."""
        self._write(END)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


@contextmanager
def replacing(path: Path) -> Iterator[TarWriter]:
    """A tar that takes the place of what is at *path* once it is whole; of a failure nothing is left."""
    if path.is_dir():
        raise ExportError(f"{path} is a directory, and an archive is a file", path=str(path))
    temporary = temporary_beside(path)
    with writing(path):
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with writing(path):
            tar = TarWriter(fd)
            yield tar
            tar.finish()
            os.fsync(fd)
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def temporary_beside(path: Path) -> Path:
    """A name in the same directory that nobody has."""
    return path.with_name(f".{path.name[:200]}.{os.urandom(5).hex()}")


def verified(chunks: Iterator[bytes], digest: Digest, size: int | None = None) -> Iterator[bytes]:
    """*chunks*, which must have *digest*, and *size* bytes where that is known: who reads them would refuse others."""
    verifier = digest.verifier()
    count = 0
    for chunk in chunks:
        verifier.update(chunk)
        count += len(chunk)
        yield chunk
    if size is not None and count != size:
        raise CorruptImageError(f"a blob of the store should have {size} bytes, and has {count}")
    if not verifier.matches:
        raise DigestMismatchError(
            "a blob of the store is not what its digest says", expected=str(digest), actual=str(verifier.actual)
        )


def blobs_of(image: Outgoing) -> list[tuple[Digest, bytes | OutgoingLayer]]:
    """The manifest, the config and the layers of *image*, each once."""
    documents: list[tuple[Digest, bytes | OutgoingLayer]] = [
        (sha256_of(data), data) for data in (image.manifest, image.config)
    ]
    return list(dict([*documents, *((layer.descriptor.digest, layer) for layer in image.layers)]).items())


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of what the system refuses that it concerns the files at *path*."""
    try:
        yield
    except FileNotFoundError as error:
        raise ExportError(
            f"{path} cannot be written: there is no directory {path.parent}",
            path=str(path),
            hint="a relative path begins at the current directory",
        ) from error
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror}", path=str(path)) from error
