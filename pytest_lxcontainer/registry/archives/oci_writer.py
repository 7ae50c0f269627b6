"""OCI image layouts, as directories that images are added to, and as tars.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ...errors import CorruptImageError, ExportError
from ...image.digest import Digest, sha256_of
from ...image.document import read_object
from ...image.manifest import INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_SIZE, Index, parse_manifest
from ...image.written import written
from .kinds import OCI_INDEX, OCI_MARKER
from .outgoing import Blobs, Outgoing, OutgoingLayer, blobs_of, replacing, temporary_beside, verified, writing

REF_NAME = "org.opencontainers.image.ref.name"
_MARKER = b'{"imageLayoutVersion":"1.0.0"}'


def write_layout_archive(path: Path, images: Sequence[Outgoing], blobs: Blobs) -> None:
    """Write *images* as a layout into the tar *path*, which it replaces; raises `ExportError`, `CorruptImageError`."""
    with replacing(path) as tar:
        tar.add(OCI_MARKER, _MARKER)
        every = {digest: each for image in images for digest, each in blobs_of(image)}
        for name in ("blobs", *sorted({f"blobs/{digest.algorithm}" for digest in every})):
            tar.add_directory(name)
        for digest, content in sorted(every.items()):
            with _chunks(digest, content, blobs) as chunks:
                if isinstance(content, bytes):
                    tar.add(_name(digest), content)
                else:
                    tar.add_chunks(_name(digest), chunks)
        tar.add(OCI_INDEX, written(_with_images(_empty_index(), images)))


def write_layout(path: Path, images: Sequence[Outgoing], blobs: Blobs) -> None:
    """Add *images* to the layout in the directory *path*, which is made if there is none.

    What is there under the same name is replaced; the index, by which all else is found, is written last. Of a failure
    nothing is left. Raises `ExportError` for a directory that is something else, `CorruptImageError`.
    """
    if not path.exists() and _make(path, images, blobs):
        return
    _add(path, images, blobs)


def _make(path: Path, images: Sequence[Outgoing], blobs: Blobs) -> bool:
    """Make a whole layout by another name; false where somebody else has made one at *path* meanwhile."""
    temporary = temporary_beside(path)
    try:
        with writing(path):
            temporary.mkdir()
            _add(temporary, images, blobs)
            try:
                temporary.rename(path)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
                return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def _add(path: Path, images: Sequence[Outgoing], blobs: Blobs) -> None:
    with writing(path), _alone(path):
        index = _read_index(path)
        made: list[Path] = []
        try:
            if not (path / OCI_MARKER).exists():
                _write_whole(path / OCI_MARKER, iter((_MARKER,)), made)
            for image in images:
                for digest, content in blobs_of(image):
                    _add_blob(path, digest, content, blobs, made)
            _write_whole(path / OCI_INDEX, iter((written(_with_images(index, images)),)), [])
        except BaseException:
            for each in reversed(made):
                with suppress(OSError):
                    each.rmdir() if each.is_dir() else each.unlink()
            raise


def _add_blob(path: Path, digest: Digest, content: bytes | OutgoingLayer, blobs: Blobs, made: list[Path]) -> None:
    target = path / _name(digest)
    size = len(content) if isinstance(content, bytes) else content.descriptor.size
    if target.is_file() and target.stat().st_size == size:
        return
    for directory in (target.parent.parent, target.parent):
        if not directory.exists():
            directory.mkdir()
            made.append(directory)
    with _chunks(digest, content, blobs) as chunks:
        _write_whole(target, chunks, made)


def _write_whole(path: Path, chunks: Iterator[bytes], made: list[Path]) -> None:
    """Write a file by another name, and note it in *made* once it has its own."""
    temporary = temporary_beside(path)
    try:
        with temporary.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    made.append(path)


@contextmanager
def _chunks(digest: Digest, content: bytes | OutgoingLayer, blobs: Blobs) -> Iterator[Iterator[bytes]]:
    if isinstance(content, bytes):
        yield iter((content,))
        return
    with blobs.open(content) as chunks:
        yield verified(chunks, digest, content.descriptor.size)


def _read_index(path: Path) -> dict[str, Any]:
    """The index of the layout at *path*; an empty one for an empty directory."""
    if not (path / OCI_MARKER).is_file():
        if not path.is_dir() or any(path.iterdir()):
            raise ExportError(
                f"{path} is no OCI layout, and not empty",
                path=str(path),
                hint="name a layout, an empty directory, or a path where there is nothing yet",
            )
        return _empty_index()
    try:
        data = (path / OCI_INDEX).read_bytes()
        if not isinstance(parse_manifest(data), Index):
            raise CorruptImageError(f"{OCI_INDEX} is no index")
        return read_object(data, OCI_INDEX, MAX_MANIFEST_SIZE)
    except (FileNotFoundError, CorruptImageError) as error:
        raise ExportError(f"{path} is a damaged OCI layout", details=str(error), path=str(path)) from error


def _empty_index() -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": []}


def _with_images(index: dict[str, Any], images: Sequence[Outgoing]) -> dict[str, Any]:
    """*index* with *images* in the place of those that have the same names."""
    names = {image.name for image in images}
    kept = [entry for entry in index["manifests"] if (entry.get("annotations") or {}).get(REF_NAME) not in names]
    return {**index, "manifests": [*kept, *map(_entry, images)]}


def _entry(image: Outgoing) -> dict[str, Any]:
    platform = image.platform
    words = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return {
        "mediaType": MANIFEST_TYPES[0],
        "digest": str(sha256_of(image.manifest)),
        "size": len(image.manifest),
        **({"annotations": {REF_NAME: image.name}} if image.name else {}),
        **({"platform": {key: word for key, word in words.items() if word}} if platform.architecture else {}),
    }


def _name(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others from adding to the layout meanwhile, by a lock on the directory itself."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
