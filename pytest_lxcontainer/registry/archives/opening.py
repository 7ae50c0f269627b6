"""Which files hold which kind of image: their name says it, and no other kind is guessed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ...image.archive import DIRECTORY, DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, ArchiveReference
from .contents import Contents
from .docker import DockerArchive
from .files import DirectoryFiles, Files
from .kinds import DOCKER_INDEX, DOCKER_MANIFEST, OCI_MARKER, is_of_skopeo, other_kind
from .oci import OciLayout
from .root_directory import RootDirectory
from .skopeo import SkopeoDirectory
from .tar_files import TarFiles

_F = TypeVar("_F", bound=Files)


def opened(reference: ArchiveReference) -> Contents:
    """Open the image that *reference* names, or raise `ImageSourceError` where the files are of another kind."""
    path = reference.path
    if reference.transport == DIRECTORY:
        return SkopeoDirectory(DirectoryFiles(path)) if is_of_skopeo(path) else RootDirectory(path)
    if reference.transport == OCI:
        return _closing(DirectoryFiles(path), lambda files: _oci(files, reference))
    return _closing(TarFiles(path), lambda files: _archive(files, reference))


def _closing(files: _F, open_contents: Callable[[_F], Contents]) -> Contents:
    """What *open_contents* makes of *files*, which are closed where it raises."""
    try:
        return open_contents(files)
    except BaseException:
        files.close()
        raise


def _archive(files: TarFiles, reference: ArchiveReference) -> Contents:
    if reference.transport == OCI_ARCHIVE:
        return _oci(files, reference)
    if not files.has(DOCKER_MANIFEST) and not files.has(DOCKER_INDEX):
        raise other_kind(reference, "no archive of docker save", OCI_ARCHIVE if files.has(OCI_MARKER) else "")
    return DockerArchive(files, reference)


def _oci(files: Files, reference: ArchiveReference) -> Contents:
    if not files.has(OCI_MARKER):
        other = DOCKER_ARCHIVE if files.has(DOCKER_MANIFEST) or files.has(DOCKER_INDEX) else ""
        raise other_kind(reference, f"no OCI layout, since it has no {OCI_MARKER}", other)
    return OciLayout(files, reference)
