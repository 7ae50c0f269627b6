"""Names of images that are files or directories of this host: ``oci:build/app``, ``docker-archive:app.tar:app:1``.

The grammar is that of containers-transports(5), which skopeo, podman and buildah read; ``dir:`` also names a root file
system. https://github.com/containers/image/blob/main/docs/containers-transports.5.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import InvalidReferenceError

OCI, OCI_ARCHIVE, DOCKER_ARCHIVE, DIRECTORY = TRANSPORTS = ("oci", "oci-archive", "docker-archive", "dir")

_SUFFIXES = re.compile(r"(\.tar)?(\.gz|\.tgz|\.bz2|\.xz|\.zst|\.tar)$")
_NO_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class ArchiveReference:
    """``transport:path[:tag]``: *path* is absolute, *tag* chooses one of several images, but never in ``dir``."""

    transport: str
    path: Path
    tag: str | None = None

    digest = None
    """Files are what they are now: no name of theirs holds a digest."""

    @classmethod
    def parse(cls, text: str) -> ArchiveReference:
        """Read what people write, or raise `InvalidReferenceError`.

        A relative path begins at the current directory, ``~`` is the home directory.
        """
        transport, _, rest = text.partition(":")
        path, colon, tag = (rest, "", "") if transport == DIRECTORY else rest.partition(":")
        if transport not in TRANSPORTS or not path or (colon and not tag) or not text.isprintable():
            raise InvalidReferenceError(f"{text!r} is no image reference", hint=f"write {_FORMS.get(transport, '')}")
        absolute = _absolute(path)
        if transport != DIRECTORY and ":" in str(absolute):
            raise InvalidReferenceError(
                f"{text!r} is no image reference",
                details=f"a colon parts path from tag, and there is one in {absolute}",
                hint="move the image to a path without",
            )
        return cls(transport, absolute, tag or None)

    def __str__(self) -> str:
        return f"{self.transport}:{self.path}" + (f":{self.tag}" if self.tag else "")

    @property
    def familiar(self) -> str:
        """The name as it is printed: with the whole path, since directories change."""
        return str(self)

    @property
    def name(self) -> str:
        """The name without its tag."""
        return str(replace(self, tag=None))

    @property
    def repository(self) -> str:
        """A short name for what is made of the image: the file's without suffixes, in lower case."""
        name = _SUFFIXES.sub("", self.path.name.lower())
        return _NO_NAME.sub("-", name).strip("-") or self.transport


def _absolute(path: str) -> Path:
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:  # ~somebody whom nobody knows
        raise InvalidReferenceError(f"{path!r} is no path", details=str(error)) from None


_FORMS = {
    OCI: "oci:DIRECTORY[:TAG]",
    OCI_ARCHIVE: "oci-archive:FILE[:TAG]",
    DOCKER_ARCHIVE: "docker-archive:FILE[:NAME:TAG]",
    DIRECTORY: "dir:DIRECTORY",
}
