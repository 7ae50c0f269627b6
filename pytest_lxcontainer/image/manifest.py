"""Manifests and indexes: what an image consists of, and for which platforms it exists.

https://github.com/opencontainers/image-spec/blob/main/manifest.md, image-index.md, and Docker's forms of
both in https://distribution.github.io/distribution/spec/manifest-v2-2/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import CorruptImageError, DigestMismatchError, UnsupportedImageError
from .digest import Digest
from .document import MAX_INTEGER, printable, read_object, shown
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
_PLATFORMS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One thing an image refers to: its media type, digest and size in bytes.

    *data* are its bytes where the document holds them itself, verified; *urls* are other places that may have it.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    data: bytes | None = field(default=None, repr=False)
    urls: tuple[str, ...] = ()

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
    document = read_object(data, "the manifest", MAX_MANIFEST_SIZE)
    media_type = _media_type(document, content_type)
    if media_type in _SCHEMA1_TYPES or document.get("schemaVersion") == 1:
        raise UnsupportedImageError(
            "the image is in Docker's schema 1 format, which ended with Docker 1.10",
            hint="pull it with an old Docker and push it again, or use a newer tag",
        )
    if document.get("schemaVersion") != 2:
        raise CorruptImageError(f"the manifest's schemaVersion is {shown(document.get('schemaVersion'))}, not 2")
    if media_type in INDEX_TYPES:
        return _index(document)
    if media_type in MANIFEST_TYPES:
        return _manifest(document)
    raise UnsupportedImageError(f"{shown(media_type)} is the media type of no image manifest")


def candidates(index: Index, platform: Platform) -> Iterator[Descriptor]:
    """Yield the entries of *index* that may hold an image for *platform*, best first.

    That is the one that fits best, or, where none says that it fits, each that names no platform; an image's config
    then tells (see `check_platform`).
    """
    images = _images(index)
    for runnable in platform.runnable():
        for entry in images:
            if entry.platform == runnable:
                yield entry
                return
    yield from (entry for entry in images if entry.platform is None)


def available(index: Index) -> list[Platform]:
    """Return the platforms that *index* names, in its order."""
    return list(dict.fromkeys(entry.platform for entry in _images(index) if entry.platform))


def no_platform(platform: Platform, there: list[Platform]) -> UnsupportedImageError:
    """Return the error for an image that is *there* for other platforms only."""
    names = [printable(str(one)) for one in there[:_PLATFORMS_SHOWN]] + ["…"] * (len(there) > _PLATFORMS_SHOWN)
    return UnsupportedImageError(
        f"the image does not exist for {platform}",
        details=f"available: {', '.join(names) or 'nothing'}",
        hint="choose another image, or one of these with --lxc-platform if the host can run it",
    )


def check_kind(descriptor: Descriptor, found: Manifest | Index) -> None:
    """Raise `CorruptImageError` where an index lists as a manifest what is an index, or the reverse."""
    if (descriptor.media_type in INDEX_TYPES) != isinstance(found, Index):
        raise CorruptImageError(
            "the manifest is not of the type its index says", details=f"the index says: {descriptor.media_type}"
        )


def _images(index: Index) -> list[Descriptor]:
    # Indexes may list other things too, which a reader of images passes over.
    kinds = MANIFEST_TYPES + INDEX_TYPES
    return [entry for entry in index.manifests if entry.media_type in kinds and not entry.is_attestation]


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    said = (content_type or "").partition(";")[0].strip().lower()
    written = document.get("mediaType") or ""
    if not isinstance(written, str):
        raise CorruptImageError(f"the manifest's mediaType is {shown(written)}, not a string")
    if written and said in _KNOWN_TYPES and said != written:
        raise CorruptImageError(
            "the manifest is not of the type it was sent as", details=f"sent as: {said}\nwritten: {printable(written)}"
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
        kind = shown(document.get("artifactType") or config.media_type)
        raise UnsupportedImageError(f"the reference names no container image but an artifact of type {kind}")
    layers = tuple(_descriptor(entry) for entry in _list(document, "layers"))
    for layer in layers:
        if layer.media_type not in LAYER_TYPES:
            raise UnsupportedImageError(f"a layer's media type {shown(layer.media_type)} is not supported")
    return Manifest(config, layers)


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise CorruptImageError(f"the manifest's {key!r} is no list")
    return value


def _descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise CorruptImageError(f"the manifest has {shown(value)} where a descriptor belongs")
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise CorruptImageError(f"a descriptor's mediaType is {shown(media_type)}")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_INTEGER:
        raise CorruptImageError(f"a descriptor's size is {shown(size)}")
    digest = Digest.parse(value.get("digest"))
    return Descriptor(
        media_type,
        digest,
        size,
        _platform(value.get("platform")),
        _annotations(value),
        _data(value.get("data"), digest, size),
        _urls(value.get("urls")),
    )


def _platform(value: object) -> Platform | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise CorruptImageError(f"a descriptor's platform is {shown(value)}")
    parts = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(part, str) for part in parts):
        raise CorruptImageError("a descriptor's platform holds something else than strings")
    return Platform.of(*parts)


def _annotations(value: dict[str, Any]) -> dict[str, str]:
    annotations = value.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(text, str | None) for text in annotations.values()):
        raise CorruptImageError("a descriptor's annotations are no object of strings")
    return {key: text or "" for key, text in annotations.items()}


def _data(value: object, digest: Digest, size: int) -> bytes | None:
    if value is None:
        return None
    import base64  # here, since hardly any image has them

    try:
        data = base64.b64decode(value if isinstance(value, str) else "%", validate=True)
    except ValueError:
        raise CorruptImageError("a descriptor's embedded data are not base64") from None
    if len(data) != size:
        raise CorruptImageError(f"a descriptor's embedded data have {len(data)} bytes, and it says {size}")
    verifier = digest.verifier()
    verifier.update(data)
    if not verifier.matches:
        raise DigestMismatchError(
            "a descriptor's embedded data are not what its digest says",
            expected=str(digest),
            actual=str(verifier.actual),
        )
    return data


def _urls(value: object) -> tuple[str, ...]:
    urls = value or []
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise CorruptImageError("a descriptor's urls are no list of strings")
    return tuple(urls)
