"""Images of a wanted size and number of layers, made from a small one as OCI layouts."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lxcontainer import Image
from pytest_lxcontainer.image import Digest
from pytest_lxcontainer.store.layout import Layout

FILE_BYTES = 100_000
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True, slots=True)
class Base:
    """An image in the store of *layout*, on which others are put."""

    layout: Layout
    image: Image

    def with_bytes(self, directory: Path, size: int) -> str:
        """One layer more, with *size* bytes in files."""
        files = {f"opt/{number // 100}/{number}": FILE_BYTES for number in range(size // FILE_BYTES)}
        return self._with_layers(directory, [_tar(directory, files)])

    def with_layers(self, directory: Path, number: int) -> str:
        """*number* layers in all, the further ones with a file each."""
        more = number - len(self.image.lower_dirs)
        return self._with_layers(directory, [_tar(directory, {f"opt/layer-{n}": 10}) for n in range(more)])

    def _with_layers(self, directory: Path, layers: list[dict[str, Any]]) -> str:
        """Write the image to *directory*; returns the name it has there."""
        manifest = self._document(self.image.digest)
        config = self._document(self.image.config_digest)
        for descriptor in manifest["layers"]:
            _write(directory, self.layout.blob(Digest.parse(descriptor["digest"])).read_bytes())
        manifest["layers"] += layers
        config["rootfs"]["diff_ids"] += [layer["digest"] for layer in layers]
        config.pop("history", None)
        manifest["config"] |= _write(directory, json.dumps(config).encode())
        described = {**_write(directory, json.dumps(manifest).encode()), "mediaType": manifest["mediaType"]}
        (directory / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [described]}))
        return f"oci:{directory}"

    def _document(self, digest: Digest) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.layout.blob(digest).read_bytes())
        return document


def _tar(directory: Path, files: Mapping[str, int]) -> dict[str, Any]:
    """Write a layer with *files* of so many bytes; returns its descriptor."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    path = blobs / "new"
    with tarfile.open(path, "w") as archive:
        for name, content in _contents(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    digest = _sha256(path)
    path.rename(blobs / digest)
    return {"mediaType": _LAYER, "digest": f"sha256:{digest}", "size": (blobs / digest).stat().st_size}


def _contents(files: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    for name, size in files.items():
        yield name, (name.encode() * (size // len(name) + 1))[:size]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _write(directory: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    path = directory / "blobs" / "sha256" / digest
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}
