"""A root file system in a directory, as debootstrap or a build makes it, as an image of one layer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...image.digest import Digest, sha256_of
from ...image.manifest import LAYER_TYPES, Descriptor
from ...image.platform import Platform
from ..fetched import FetchedManifest
from .contents import made_manifest
from .tar_stream import tar_stream
from .tree import Tree, changed

_SHELLS = ("bin/sh", "usr/bin/sh")


class RootDirectory:
    """The image that a root file system makes: its tar, and a config that asks for a shell if there is one."""

    def __init__(self, path: Path) -> None:
        self._tree = Tree(path)
        self._config = b""
        self._layer: Descriptor | None = None
        self._state = ""

    def close(self) -> None:
        """Nothing stays open between two reads."""

    def fetch_manifest(self, platform: Platform) -> FetchedManifest:
        """Read the directory, and return the manifest; it is taken to be for *platform*, since nothing tells.

        The bytes are read again when they are asked for, which takes less than to keep them meanwhile.
        """
        verifier = sha256_of(b"").verifier()
        size = 0
        for chunk in tar_stream(self._tree):
            verifier.update(chunk)
            size += len(chunk)
        self._state = self._tree.state
        self._layer = Descriptor(LAYER_TYPES[0], verifier.actual, size)
        self._config = self._made_config(platform, verifier.actual)
        return made_manifest(self._config, [self._layer])

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[Iterator[bytes]]:
        """Give the chunks of the config, or of the layer."""
        yield self._read_again() if descriptor == self._layer else iter((self._config,))

    def _read_again(self) -> Iterator[bytes]:
        tree = Tree(self._tree.path)
        last = b""
        for chunk in tar_stream(tree):
            yield last
            last = chunk
        if tree.state != self._state:
            raise changed(str(tree.path))
        yield last

    def _made_config(self, platform: Platform, diff_id: Digest) -> bytes:
        shell = next((f"/{name}" for name in _SHELLS if self._tree.has(name)), None)
        document = {
            "architecture": platform.architecture,
            "os": platform.os,
            **({"variant": platform.variant} if platform.variant else {}),
            "config": {"Cmd": [shell]} if shell else {},
            "rootfs": {"type": "layers", "diff_ids": [str(diff_id)]},
        }
        return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
