"""What ``docker load`` reads: a tar with ``manifest.json``, configs, and layers that are not compressed.

https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...image.digest import Digest, sha256_of
from ...image.written import written
from .kinds import DOCKER_MANIFEST
from .outgoing import Blobs, Outgoing, TarWriter, replacing, verified


def write_docker_archive(path: Path, images: Sequence[Outgoing], blobs: Blobs) -> None:
    """Write *images* into the file *path*, which it replaces; raises `ExportError`, `CorruptImageError`."""
    with replacing(path) as tar:
        done: set[Digest] = set()
        for image in images:
            _add_layers(tar, image, blobs, done)
        for name, config in {_config_name(image): image.config for image in images}.items():
            tar.add(name, config)
        tar.add(DOCKER_MANIFEST, written([_entry(image) for image in images]))


def _add_layers(tar: TarWriter, image: Outgoing, blobs: Blobs, done: set[Digest]) -> None:
    for layer in image.layers:
        if layer.diff_id not in done:
            done.add(layer.diff_id)
            with blobs.open_plain(layer) as chunks:
                tar.add_chunks(_layer_name(layer.diff_id), verified(chunks, layer.diff_id))


def _entry(image: Outgoing) -> dict[str, object]:
    return {
        "Config": _config_name(image),
        "RepoTags": [image.name] if image.name else None,
        "Layers": [_layer_name(layer.diff_id) for layer in image.layers],
    }


def _config_name(image: Outgoing) -> str:
    return f"{sha256_of(image.config).hex}.json"


def _layer_name(diff_id: Digest) -> str:
    return f"{diff_id.hex}.tar"
