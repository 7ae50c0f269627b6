"""What ``docker save`` writes, and podman and skopeo after it: a tar with ``manifest.json``.

The layers are plain tars as a rule, so that the config's diff_ids are the digests of their bytes. Older versions kept
each in a directory of its own, where a repeated layer is a symbolic link; since 25 the tar is an OCI layout too.
https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeGuard

from ...errors import CorruptImageError, ImageSourceError, LxContainerError
from ...image.archive import ArchiveReference
from ...image.config import MAX_CONFIG_SIZE, ImageConfig
from ...image.digest import Digest, sha256_of
from ...image.document import printable
from ...image.manifest import LAYER_TYPES, Descriptor
from ...image.platform import Platform
from ...image.reference import Reference
from ..fetched import FetchedManifest
from .compressed import compression
from .contents import made_manifest, read_verified
from .docker_v1 import OldImages
from .files import Piece
from .kinds import DOCKER_MANIFEST
from .tar_files import TarFiles

_MAX_LIST = 16 * 1024 * 1024
_NAMES_SHOWN = 20
_HEX = re.compile(r"[0-9a-f]{64}")
_LONGEST_MAGIC = 6
_TYPES = {"": LAYER_TYPES[0], "gzip": LAYER_TYPES[1], "zstd": LAYER_TYPES[2]}


@dataclass(frozen=True, slots=True)
class _Listed:
    """An entry of ``manifest.json``: names of members, base layer first, and of the image."""

    config: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]


class DockerArchive:
    """The image of an archive that *reference* names."""

    def __init__(self, files: TarFiles, reference: ArchiveReference) -> None:
        self._files = files
        self._reference = reference
        self._config = b""
        self._members: dict[Digest, str] = {}

    def close(self) -> None:
        """Close the archive."""
        self._files.close()

    def fetch_manifest(self, platform: Platform) -> FetchedManifest:
        """Return an OCI manifest of the image; that it is for *platform*, its config has to tell.

        Raises `ImageSourceError` where the reference names none of the archive's images, or several.
        """
        self._config, layers = self._image()
        config = ImageConfig.from_json(self._config)
        if len(config.diff_ids) != len(layers):
            raise CorruptImageError(
                f"the image config names {len(config.diff_ids)} layers, {self._files.path} {len(layers)}"
            )
        descriptors = [self._layer(name, diff_id) for name, diff_id in zip(layers, config.diff_ids, strict=True)]
        return made_manifest(self._config, descriptors)

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of a blob of the manifest that was fetched."""
        name = self._members.get(descriptor.digest)
        if name is None:
            yield iter((self._config,))
            return
        with self._files.open(name) as piece:
            yield piece.chunks()

    def _image(self) -> tuple[bytes, Sequence[str]]:
        """The image's config, and the names of its layers."""
        if not self._files.has(DOCKER_MANIFEST):
            old = OldImages(self._files)
            return old.image(_chosen(self._reference, old.tags))
        with self._files.open(DOCKER_MANIFEST) as piece:
            listed = _listed(piece)
        entry = listed[_chosen(self._reference, [each.tags for each in listed])]
        return self._read_config(entry.config), entry.layers

    def _read_config(self, name: str) -> bytes:
        digits = posixpath.basename(name).removesuffix(".json")
        with self._files.open(name) as piece:
            # Where the name is a digest, as all but a few tools have it, it can be verified.
            if _HEX.fullmatch(digits):
                return read_verified(piece, Digest("sha256", digits), MAX_CONFIG_SIZE)
            return piece.read(MAX_CONFIG_SIZE)

    def _layer(self, name: str, diff_id: Digest) -> Descriptor:
        with self._files.open(name) as piece:
            kind = compression(piece.head(_LONGEST_MAGIC))
            # The digest of a plain layer is its diff_id, which whoever keeps the bytes verifies.
            digest = _digest_of(piece) if kind else diff_id
            size = piece.size
        self._members[digest] = name
        return Descriptor(_TYPES.get(kind, LAYER_TYPES[0]), digest, size)


def _digest_of(piece: Piece) -> Digest:
    verifier = sha256_of(b"").verifier()
    for chunk in piece.chunks():
        verifier.update(chunk)
    return verifier.actual


def _listed(piece: Piece) -> list[_Listed]:
    try:
        entries = json.loads(piece.read(_MAX_LIST))
    except (ValueError, RecursionError) as error:
        raise CorruptImageError(f"{piece.name} is not JSON", details=printable(str(error))) from None
    if not isinstance(entries, list):
        raise CorruptImageError(f"{piece.name} is no list of images")
    return [_entry(entry, piece.name) for entry in entries]


def _entry(entry: object, where: str) -> _Listed:
    fields = entry if isinstance(entry, dict) else {}
    config, layers, tags = fields.get("Config"), fields.get("Layers"), fields.get("RepoTags") or []
    if not isinstance(config, str) or not (_are_strings(layers) and _are_strings(tags)):
        raise CorruptImageError(f"{where} describes an image without Config, Layers or RepoTags as they should be")
    return _Listed(config, tuple(layers), tuple(tags))


def _are_strings(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _chosen(reference: ArchiveReference, tags: Sequence[Sequence[str]]) -> int:
    """The index of the image that *reference* names among those with *tags*."""
    wanted = reference.tag
    if wanted is None:
        fitting = list(range(len(tags)))
    elif re.fullmatch(r"@[0-9]{1,6}", wanted):
        fitting = [int(wanted[1:])] if int(wanted[1:]) < len(tags) else []
    else:
        fitting = [number for number, names in enumerate(tags) if _familiar(wanted) in map(_familiar, names)][:1]
    if len(fitting) == 1:
        return fitting[0]
    raise _ambiguous(reference, tags) if fitting else _absent(reference, tags)


def _absent(reference: ArchiveReference, tags: Sequence[Sequence[str]]) -> ImageSourceError:
    return ImageSourceError(
        f"{reference.path} holds no image {printable(reference.tag)}"
        if reference.tag
        else f"{reference.path} is empty",
        details=f"it holds: {_shown(tags)}",
        hint="name one of these, or none where there is one only",
        path=str(reference.path),
    )


def _ambiguous(reference: ArchiveReference, tags: Sequence[Sequence[str]]) -> ImageSourceError:
    example = next((names[0] for names in tags if names), "@0")
    return ImageSourceError(
        f"{reference.path} holds several images",
        details=f"it holds: {_shown(tags)}",
        hint=f"name one, such as {reference.transport}:{reference.path}:{printable(example)}",
        path=str(reference.path),
    )


def _shown(tags: Sequence[Sequence[str]]) -> str:
    names = [printable(names[0]) if names else f"@{number}" for number, names in enumerate(tags)]
    return ", ".join(names[:_NAMES_SHOWN] + ["…"] * (len(names) > _NAMES_SHOWN)) or "nothing"


def _familiar(name: str) -> str:
    try:
        return Reference.parse(name).familiar
    except LxContainerError:
        return name
