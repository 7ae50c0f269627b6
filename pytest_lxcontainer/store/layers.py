"""Unpacked layers: read-only directories that containers stack."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..image.digest import Digest, sha256_of
from .disk import disk_errors
from .layout import Layout
from .lock import locked

_KEY_LENGTH = 12


@dataclass(frozen=True, slots=True)
class LayerName:
    """What an unpacked layer is: a layer by itself or on top of its stack, for one id mapping.

    *identity* is a diff_id where *on_stack* is false, else a chain_id; *variant* names the id mapping.
    """

    identity: Digest
    on_stack: bool
    variant: str

    @classmethod
    def parse(cls, text: str) -> LayerName:
        """Read what `str` writes, or raise ``ValueError`` or `CorruptImageError`."""
        kind, identity, variant = text.rstrip("\n").split(" ", 2)
        return cls(Digest.parse(identity), kind == "stack", variant)

    def __str__(self) -> str:
        return f"{'stack' if self.on_stack else 'layer'} {self.identity} {self.variant}"

    @property
    def key(self) -> str:
        """The directory's name: 60 bits of the name's sha256, in lower-case base32."""
        import base64

        digest = bytes.fromhex(sha256_of(str(self).encode()).hex)
        return base64.b32encode(digest).decode().lower()[:_KEY_LENGTH]


class LayerStore:
    """Keeps unpacked layers; a layer's directory is there when it is complete, and never changes.

    *discard* removes a directory tree: an ordinary user cannot remove files that belong to a container's
    users without the help of a user namespace. *timeout* (seconds) bounds the wait for another process to
    unpack.
    """

    def __init__(self, layout: Layout, discard: Callable[[Path], None], *, timeout: float = 600.0) -> None:
        self._layout = layout
        self._discard = discard
        self._timeout = timeout

    def find(self, diff_id: Digest, chain_id: Digest, variant: str) -> Path | None:
        """Return the layer's directory, by itself or as unpacked on this stack, or ``None``."""
        for name in _names(diff_id, chain_id, variant):
            path = self._layout.layer(name.key)
            if path.is_dir():
                return path
        return None

    def commit(self, diff_id: Digest, chain_id: Digest, variant: str, fill: Callable[[Path], bool]) -> Path:
        """Return the layer's directory, after *fill* put its files into an empty one unless it was there.

        *fill* tells whether the result is self-contained, that is, did not depend on the layers below: then
        every image with this layer shares it. Of several processes one fills and the others wait.
        """
        alone, on_stack = _names(diff_id, chain_id, variant)
        with locked(self._layout.lock(f"layer-{alone.key}"), self._timeout):
            found = self.find(diff_id, chain_id, variant)
            if found:
                return found
            directory = self._layout.unfinished_layer()
            with disk_errors("unpack a layer", directory):
                directory.mkdir(mode=0o755)
            try:
                return self._seal(directory, alone if fill(directory) else on_stack)
            except BaseException:
                self._discard(directory)
                raise

    def adopt(self, diff_id: Digest, chain_id: Digest, variant: str, directory: Path) -> Path:
        """Keep *directory*, an unfinished layer that is complete now, as the layer on this stack, and return its place.

        Where the layer is there already, that one is kept.
        """
        alone, on_stack = _names(diff_id, chain_id, variant)
        with locked(self._layout.lock(f"layer-{alone.key}"), self._timeout):
            found = self.find(diff_id, chain_id, variant)
            if found is None:
                return self._seal(directory, on_stack)
        self._discard(directory)
        return found

    def remove(self, key: str) -> None:
        """Drop a layer: out of sight at once, then file by file."""
        with disk_errors("drop a layer", self._layout.layer(key)):
            hidden = hide(self._layout, key)
        self._discard(hidden)

    def _seal(self, directory: Path, name: LayerName) -> Path:
        path = self._layout.layer(name.key)
        with disk_errors("keep a layer", path):
            self._layout.layer_record(name.key).write_text(f"{name}\n", encoding="ascii")
            directory.rename(path)
        return path


def hide(layout: Layout, key: str) -> Path:
    """Move a layer to where nobody looks for one, and return that place."""
    hidden = layout.unfinished_layer()
    # A record may have lost its layer to whatever ended an earlier removal here.
    with suppress(FileNotFoundError):
        layout.layer(key).rename(hidden)
    layout.layer_record(key).unlink(missing_ok=True)
    return hidden


def _names(diff_id: Digest, chain_id: Digest, variant: str) -> tuple[LayerName, LayerName]:
    return LayerName(diff_id, False, variant), LayerName(chain_id, True, variant)
