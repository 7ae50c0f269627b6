"""OCI image layouts: a directory or a tar with ``index.json`` and ``blobs/``.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ...errors import CorruptImageError, ImageSourceError, UnsupportedImageError
from ...image.archive import ArchiveReference
from ...image.config import MAX_CONFIG_SIZE, ImageConfig
from ...image.digest import Digest
from ...image.document import printable, read_object, shown
from ...image.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_SIZE,
    Descriptor,
    Index,
    Manifest,
    available,
    candidates,
    check_kind,
    no_platform,
    parse_manifest,
)
from ...image.platform import Platform
from ..fetched import FetchedManifest
from .contents import read_described
from .files import Files
from .kinds import OCI_INDEX, OCI_MARKER

_REF_NAME = "org.opencontainers.image.ref.name"
# What containerd, BuildKit and nerdctl write beside it: the full name, of which the other is the tag.
_IMAGE_NAME = "io.containerd.image.name"
_MAX_MARKER = 4096
_MAX_NESTING = 4
_MAX_DOCUMENTS = 1000
_TAGS_SHOWN = 20


class OciLayout:
    """The image of an OCI layout that *reference* names."""

    def __init__(self, files: Files, reference: ArchiveReference) -> None:
        self._files = files
        self._reference = reference
        self._documents = 0

    def close(self) -> None:
        """Close the layout."""
        self._files.close()

    def fetch_manifest(self, platform: Platform) -> FetchedManifest:
        """Return the verified manifest for *platform*, following indexes.

        Raises `ImageSourceError` where the reference names none of the layout's images, or several.
        """
        self._check_version()
        with self._files.open(OCI_INDEX) as piece:
            index = parse_manifest(piece.read(MAX_MANIFEST_SIZE), None)
        if not isinstance(index, Index):
            raise CorruptImageError(f"{OCI_INDEX} in {self._files.path} is no index")
        named = Index(self._named(index))
        there: list[Platform] = []
        for descriptor, data, manifest in self._manifests(named, platform, there):
            # The index need not say for which platform an image is; its config does.
            found = self._config(manifest).platform
            if not found.architecture or found in platform.runnable():
                return FetchedManifest(descriptor.digest, manifest, data)
            there.append(found)
        raise no_platform(platform, list(dict.fromkeys(there)))

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob."""
        if descriptor.data is not None:
            yield iter((descriptor.data,))
            return
        with self._files.open(_path(descriptor.digest)) as piece:
            yield piece.chunks()

    def _check_version(self) -> None:
        with self._files.open(OCI_MARKER) as piece:
            version = read_object(piece.read(_MAX_MARKER), OCI_MARKER, _MAX_MARKER).get("imageLayoutVersion")
        if not isinstance(version, str) or not version.startswith("1."):
            raise UnsupportedImageError(f"{self._files.path} is an OCI layout of version {shown(version)}, not 1")

    def _named(self, index: Index) -> tuple[Descriptor, ...]:
        """The entries of the one image that the reference names, which may be there for several platforms."""
        images = [entry for entry in index.manifests if entry.media_type in MANIFEST_TYPES + INDEX_TYPES]
        wanted = self._reference.tag
        if wanted is None and _is_several([entry for entry in images if not entry.is_attestation]):
            raise self._choose(f"{self._files.path} holds several images", index)
        if wanted is not None:
            images = [entry for entry in images if wanted in _names(entry)]
        if not images:
            held = f"no image {printable(wanted)}" if wanted else "no image"
            raise self._choose(f"{self._files.path} holds {held}", index)
        return tuple(images)

    def _choose(self, problem: str, index: Index) -> ImageSourceError:
        tags = list(dict.fromkeys(name for entry in index.manifests for name in _names(entry)[:1]))
        shown_tags = [printable(tag) for tag in tags[:_TAGS_SHOWN]] + ["…"] * (len(tags) > _TAGS_SHOWN)
        example = f"{self._reference.transport}:{self._reference.path}:{printable(tags[0])}" if tags else ""
        return ImageSourceError(
            problem,
            details=f"its tags: {', '.join(shown_tags) or 'none'}",
            hint=f"name one, such as {example}" if example else "copy an image there, or name it without a tag",
            path=str(self._files.path),
        )

    def _manifests(
        self, index: Index, platform: Platform, there: list[Platform], nesting: int = 1
    ) -> Iterator[tuple[Descriptor, bytes, Manifest]]:
        """Yield what may be for *platform*, best first, and add to *there* the platforms that indexes name."""
        if nesting > _MAX_NESTING:
            raise CorruptImageError(f"{self._files.path} has an index of indexes, more than {_MAX_NESTING} deep")
        there += available(index)
        for entry in candidates(index, platform):
            data = self._document(entry, MAX_MANIFEST_SIZE)
            found = parse_manifest(data, None)
            check_kind(entry, found)
            if isinstance(found, Manifest):
                yield entry, data, found
            else:
                yield from self._manifests(found, platform, there, nesting + 1)

    def _config(self, manifest: Manifest) -> ImageConfig:
        return ImageConfig.from_json(self._document(manifest.config, MAX_CONFIG_SIZE))

    def _document(self, descriptor: Descriptor, limit: int) -> bytes:
        self._documents += 1
        if self._documents > _MAX_DOCUMENTS:
            raise CorruptImageError(f"{self._files.path} has more than {_MAX_DOCUMENTS} documents for one image")
        if descriptor.data is not None:
            return descriptor.data
        with self._files.open(_path(descriptor.digest)) as piece:
            return read_described(piece, descriptor, limit)


def _is_several(images: Sequence[Descriptor]) -> bool:
    """Whether *images* are different ones, rather than one for several platforms or by several names."""
    return len({_names(entry)[:1] for entry in images}) > 1 and len({entry.digest for entry in images}) > 1


def _names(entry: Descriptor) -> tuple[str, ...]:
    """What *entry* may be called, the tag first."""
    return tuple(entry.annotations[key] for key in (_REF_NAME, _IMAGE_NAME) if key in entry.annotations)


def _path(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"
