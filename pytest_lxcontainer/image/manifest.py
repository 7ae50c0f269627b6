"""Manifests and indexes: what an image consists of, and for which platforms it exists.

https://github.com/opencontainers/image-spec/blob/main/manifest.md, image-index.md, and Docker's forms of
both in https://distribution.github.io/distribution/spec/manifest-v2-2/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CorruptImageError, UnsupportedImageError
from .digest import Digest
from .platform import Platform

MAX_MANIFEST_SIZE = 4 * 1024 * 1024

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
LAYER_TYPES = (
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
)
_SCHEMA1_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
_KNOWN_TYPES = MANIFEST_TYPES + INDEX_TYPES + _SCHEMA1_TYPES


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One thing an image refers to: its media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_attestation(self) -> bool:
        """Whether this is a build's provenance, which BuildKit lists among an index's images."""
        unknown = self.platform is not None and "unknown" in (self.platform.os, self.platform.architecture)
        return unknown or "vnd.docker.reference.type" in self.annotations


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform: its config and its layers, base first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Bytes to transfer for the whole image, the manifest itself aside."""
        return self.config.size + sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """The same image for several platforms, in the publisher's order."""

    manifests: tuple[Descriptor, ...]


def parse_manifest(data: bytes, content_type: str | None = None) -> Manifest | Index:
    """Read a manifest or index as a registry sent it, with its ``Content-Type`` if there was one.

    Raises `CorruptImageError` for what contradicts the specification or itself, `UnsupportedImageError` for
    what is no image or an image of a form that is not supported.
    """
    document = _document(data)
    media_type = _media_type(document, content_type)
    if media_type in _SCHEMA1_TYPES or document.get("schemaVersion") == 1:
        raise UnsupportedImageError(
            "the image is in Docker's schema 1 format, which ended with Docker 1.10",
            hint="pull it with an old Docker and push it again, or use a newer tag",
        )
    if document.get("schemaVersion") != 2:
        raise CorruptImageError(f"the manifest's schemaVersion is {document.get('schemaVersion')!r}, not 2")
    if media_type in INDEX_TYPES:
        return _index(document)
    if media_type in MANIFEST_TYPES:
        return _manifest(document)
    raise UnsupportedImageError(f"{media_type!r} is the media type of no image manifest")


def select(index: Index, platform: Platform) -> Descriptor:
    """Return the entry of *index* that fits *platform* best, or raise `UnsupportedImageError`.

    An entry that names no platform is taken when no other fits; its config then tells (see `check_platform`).
    """
    images = [entry for entry in index.manifests if not entry.is_attestation]
    for candidate in (*platform.runnable(), None):
        for entry in images:
            if entry.platform == candidate:
                return entry
    available = ", ".join(dict.fromkeys(str(entry.platform) for entry in images))
    raise UnsupportedImageError(
        f"the image does not exist for {platform}",
        details=f"available: {available or 'nothing'}",
        hint="choose another image, or one of these with --lxc-platform if the host can run it",
    )


def _document(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST_SIZE:
        raise CorruptImageError(f"the manifest has {len(data)} bytes, more than the {MAX_MANIFEST_SIZE} allowed")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptImageError("the manifest is not JSON", details=str(error)) from None
    if not isinstance(document, dict):
        raise CorruptImageError("the manifest is not a JSON object")
    return document


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    said = (content_type or "").partition(";")[0].strip().lower()
    written = document.get("mediaType") or ""
    if not isinstance(written, str):
        raise CorruptImageError(f"the manifest's mediaType is {written!r}, not a string")
    if written and said in _KNOWN_TYPES and said != written:
        raise CorruptImageError(
            "the manifest is not of the type it was sent as", details=f"sent as: {said}\nwritten: {written}"
        )
    if written or said in _KNOWN_TYPES:
        return written or said
    # OCI documents may leave mediaType out, and a file has no Content-Type.
    return INDEX_TYPES[0] if "manifests" in document else MANIFEST_TYPES[0]


def _refuse_confusion(document: dict[str, Any], *foreign: str) -> None:
    """Refuse a document that one reader takes for an index and another for a manifest (CVE-2021-41190)."""
    if found := [key for key in foreign if key in document]:
        raise CorruptImageError(f"the manifest is ambiguous: it also has {', '.join(map(repr, found))}")


def _index(document: dict[str, Any]) -> Index:
    _refuse_confusion(document, "config", "layers", "fsLayers")
    return Index(tuple(_descriptor(entry) for entry in _list(document, "manifests")))


def _manifest(document: dict[str, Any]) -> Manifest:
    _refuse_confusion(document, "manifests", "fsLayers")
    config = _descriptor(document.get("config"))
    if config.media_type not in CONFIG_TYPES:
        kind = document.get("artifactType") or config.media_type
        raise UnsupportedImageError(f"the reference names no container image but an artifact of type {kind!r}")
    layers = tuple(_descriptor(entry) for entry in _list(document, "layers"))
    for layer in layers:
        if layer.media_type not in LAYER_TYPES:
            raise UnsupportedImageError(f"a layer's media type {layer.media_type!r} is not supported")
    return Manifest(config, layers)


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise CorruptImageError(f"the manifest's {key!r} is no list")
    return value


def _descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise CorruptImageError(f"the manifest has {value!r} where a descriptor belongs")
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise CorruptImageError(f"a descriptor's mediaType is {media_type!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise CorruptImageError(f"a descriptor's size is {size!r}")
    return Descriptor(
        media_type,
        Digest.parse(value.get("digest")),
        size,
        _platform(value.get("platform")),
        _annotations(value),
    )


def _platform(value: object) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CorruptImageError(f"a descriptor's platform is {value!r}")
    parts = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise CorruptImageError(f"a descriptor's platform is {value!r}")
    return Platform.of(*parts)


def _annotations(value: dict[str, Any]) -> dict[str, str]:
    annotations = value.get("annotations") or {}
    if not isinstance(annotations, dict):
        raise CorruptImageError(f"a descriptor's annotations are {annotations!r}")
    return {str(key): str(text) for key, text in annotations.items()}
