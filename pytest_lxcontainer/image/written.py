"""Documents of images that are made here: an OCI manifest, and a config for an image whose own is lost.

https://github.com/opencontainers/image-spec/blob/main/manifest.md and config.md
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .config import DEFAULT_STOP_SIGNAL, Healthcheck, ImageConfig
from .digest import sha256_of
from .manifest import CONFIG_TYPES, LAYER_TYPES, MANIFEST_TYPES, Descriptor

TAR = LAYER_TYPES[0]
"""The media type of a layer that is not compressed."""

_OCI_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER_TYPES[1],
    "application/vnd.docker.image.rootfs.diff.tar.zstd": LAYER_TYPES[2],
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": LAYER_TYPES[4],
}
_NANOSECONDS = 1_000_000_000


def manifest_document(config: bytes, layers: Sequence[Descriptor]) -> tuple[Descriptor, bytes]:
    """An OCI manifest of the image with *config* and *layers* (base first), and the descriptor of the config in it."""
    described = Descriptor(CONFIG_TYPES[0], sha256_of(config), len(config))
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPES[0],
        "config": descriptor_document(described),
        "layers": [descriptor_document(layer) for layer in layers],
    }
    return described, written(document)


def descriptor_document(descriptor: Descriptor) -> dict[str, Any]:
    """What a document says of the thing that *descriptor* describes."""
    return {"mediaType": descriptor.media_type, "digest": str(descriptor.digest), "size": descriptor.size}


def as_oci(layer: Descriptor) -> Descriptor:
    """The same layer as a manifest of the OCI's names it: the bytes are the same for Docker's types."""
    return replace(layer, media_type=_OCI_LAYERS.get(layer.media_type, layer.media_type))


def is_of_docker(manifest: bytes) -> bool:
    """Whether the *manifest* of an image is in Docker's form rather than the OCI's."""
    return bool(json.loads(manifest).get("mediaType") == MANIFEST_TYPES[1])


def written(document: object) -> bytes:
    """*document* as JSON, in as few bytes as that takes."""
    return json.dumps(document, separators=(",", ":")).encode()


def config_document(config: ImageConfig) -> dict[str, Any]:
    """What is known of an image whose config document is gone; without its layers and history."""
    settings = {
        "User": config.user,
        "ExposedPorts": {f"{port}/tcp": {} for port in config.exposed_ports},
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Volumes": {path: {} for path in config.volumes},
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "StopSignal": config.stop_signal if config.stop_signal != DEFAULT_STOP_SIGNAL else "",
        "Shell": list(config.shell) if config.shell != ImageConfig().shell else [],
        "Healthcheck": _healthcheck(config.healthcheck) if config.healthcheck else {},
    }
    platform = {"architecture": config.platform.architecture, "os": config.platform.os}
    variant = {"variant": config.platform.variant} if config.platform.variant else {}
    return {**platform, **variant, "config": {key: value for key, value in settings.items() if value}}


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": int(check.interval * _NANOSECONDS),
        "Timeout": int(check.timeout * _NANOSECONDS),
        "StartPeriod": int(check.start_period * _NANOSECONDS),
        "StartInterval": int(check.start_interval * _NANOSECONDS),
        "Retries": check.retries,
    }
