"""Which kind of files an image goes into: the counterpart of `opening`."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InvalidReferenceError
from ...image.archive import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, ArchiveReference
from .docker_writer import write_docker_archive
from .oci_writer import write_layout, write_layout_archive
from .outgoing import Blobs, Outgoing

_WRITERS = {OCI: write_layout, OCI_ARCHIVE: write_layout_archive, DOCKER_ARCHIVE: write_docker_archive}


def write(destination: ArchiveReference, images: Sequence[Outgoing], blobs: Blobs) -> None:
    """Write *images*, each under its own name, into the files of *destination*, whose tag does not matter.

    Raises `ExportError`, `CorruptImageError`, and `InvalidReferenceError` for what images are read from only.
    """
    check(destination)
    _WRITERS[destination.transport](destination.path, images, blobs)


def check(destination: ArchiveReference) -> None:
    """Raise `InvalidReferenceError` for a kind of files that no image is written into."""
    if destination.transport not in _WRITERS:
        raise InvalidReferenceError(
            f"no image can be written as {destination}", hint=f"use {', '.join(f'{name}:' for name in _WRITERS)}"
        )
