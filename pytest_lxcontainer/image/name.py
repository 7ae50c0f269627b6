"""Names of images: in a registry, or in files."""

from __future__ import annotations

from typing import TypeAlias

from .archive import TRANSPORTS, ArchiveReference
from .reference import Reference

ImageName: TypeAlias = Reference | ArchiveReference


def parse_name(text: str) -> ImageName:
    """Read what people write (``redis:7``, ``oci:build/app``), or raise `InvalidReferenceError`.

    What begins with a transport and a colon is in files, though a registry could have a repository of that name.
    """
    transport, colon, _ = text.partition(":")
    return ArchiveReference.parse(text) if colon and transport in TRANSPORTS else Reference.parse(text)
