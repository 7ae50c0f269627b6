"""What ``docker save`` wrote before 1.10: a directory for each layer, which names its parent, and no image config.

https://github.com/moby/moby/blob/v1.10.0/image/spec/v1.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ...errors import CorruptImageError, ImageSourceError
from ...image.document import printable, read_object, shown
from .compressed import compression
from .kinds import DOCKER_INDEX, OCI_INDEX
from .tar_files import TarFiles

_MAX_DOCUMENT = 4 * 1024 * 1024
_MAX_LAYERS = 500


class OldImages:
    """The images of such an archive, in its order; *tags* are the one name of each."""

    def __init__(self, files: TarFiles) -> None:
        self._files = files
        self._ids: list[str] = []
        self.tags: list[Sequence[str]] = []
        for repository, versions in self._document(DOCKER_INDEX).items():
            for tag, layer_id in (versions if isinstance(versions, dict) else {}).items():
                self._ids.append(str(layer_id))
                self.tags.append((f"{repository}:{tag}",))

    def image(self, number: int) -> tuple[bytes, Sequence[str]]:
        """Return a config made for the image *number*, and the names of its layers, base first."""
        layer_id = self._ids[number]
        top = self._document(f"{layer_id}/json")
        layers = self._chain(layer_id)
        config = {
            "architecture": top.get("architecture") or "",
            "os": top.get("os") or "linux",
            "config": top.get("config") or {},
            "rootfs": {"type": "layers", "diff_ids": [self._diff_id(name) for name in layers]},
        }
        return json.dumps(config, separators=(",", ":"), sort_keys=True).encode(), layers

    def _chain(self, layer_id: str) -> list[str]:
        layers: list[str] = []
        while layer_id:
            layers.insert(0, f"{layer_id}/layer.tar")
            if len(layers) > _MAX_LAYERS:
                raise CorruptImageError(f"{self._files.path} has an image of more than {_MAX_LAYERS} layers")
            parent = self._document(f"{layer_id}/json").get("parent") or ""
            if not isinstance(parent, str):
                raise CorruptImageError(f"a layer in {self._files.path} has the parent {shown(parent)}")
            layer_id = parent
        return layers

    def _diff_id(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._files.open(name) as piece:
            if compression(piece.head(6)):
                raise CorruptImageError(f"{piece.name} is compressed, and nothing tells its diff_id")
            for chunk in piece.chunks():
                digest.update(chunk)
        return f"sha256:{digest.hexdigest()}"

    def _document(self, name: str) -> dict[str, Any]:
        if not self._files.has(name):
            raise ImageSourceError(
                f"{self._files.path} is no archive of docker save: it has no {printable(name)}",
                path=str(self._files.path),
                hint="use oci-archive: for an OCI archive" if self._files.has(OCI_INDEX) else "",
            )
        with self._files.open(name) as piece:
            return read_object(piece.read(_MAX_DOCUMENT), piece.name, _MAX_DOCUMENT)
