"""What tells one kind of files from another, before anything of them is read."""

from __future__ import annotations

from pathlib import Path

from ...errors import ImageSourceError
from ...image.archive import DIRECTORY, DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, ArchiveReference
from .files import DirectoryFiles

OCI_MARKER, OCI_INDEX = "oci-layout", "index.json"
DOCKER_MANIFEST, DOCKER_INDEX = "manifest.json", "repositories"
SKOPEO_MANIFEST, SKOPEO_VERSION = "manifest.json", "version"

_SKOPEO_MAGIC = b"Directory Transport Version: "


def is_of_skopeo(path: Path) -> bool:
    """Tell whether ``skopeo copy ... dir:`` wrote the directory; a root file system has no such files."""
    files = DirectoryFiles(path)
    try:
        if not files.has(SKOPEO_MANIFEST) or not files.has(SKOPEO_VERSION):
            return False
        with files.open(SKOPEO_VERSION) as piece:
            return piece.head(len(_SKOPEO_MAGIC)) == _SKOPEO_MAGIC
    finally:
        files.close()


def check_kind(reference: ArchiveReference) -> None:
    """Refuse a directory where a file belongs, and the reverse, and one kind of directory for another."""
    path, transport = reference.path, reference.transport
    is_layout = (path / OCI_MARKER).is_file()
    if transport in (OCI_ARCHIVE, DOCKER_ARCHIVE):
        if path.is_dir():
            raise other_kind(reference, "a directory", OCI if is_layout else DIRECTORY)
        if not path.is_file():
            raise other_kind(reference, "no file", "")
    elif not path.is_dir():
        raise other_kind(reference, "no directory", f"{OCI_ARCHIVE}: or {DOCKER_ARCHIVE}" if path.is_file() else "")
    elif is_layout != (transport == OCI):
        what = "an OCI layout" if is_layout else f"no OCI layout, since it has no {OCI_MARKER}"
        raise other_kind(reference, what, OCI if is_layout else DIRECTORY)


def other_kind(reference: ArchiveReference, what: str, other: str) -> ImageSourceError:
    """Return the error for files that are *what*, and would be an image under the transport *other*, if any."""
    return ImageSourceError(
        f"{reference.path} is {what}, and cannot be read as {reference.transport}:",
        hint=f"use {other}:" if other else "make it with skopeo copy, docker save or podman save",
        path=str(reference.path),
    )
