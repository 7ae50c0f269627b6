"""Committing: what a container has written becomes one more layer of its image, and that an image of the store.

The layers below are the blobs that the store has, or are packed from what was unpacked of them where it has none: of
templates and snapshots, and of images that were forgotten meanwhile.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .container.exec import argv
from .container.record import settings_of, spec_of
from .container.snapshots import seal
from .errors import InvalidReferenceError, LxContainerError
from .image import Descriptor, Digest, Image, Manifest, Platform, Reference, chain_ids, parse_manifest, parse_name
from .image.change import changed, with_variables
from .image.config import MAX_CONFIG_SIZE
from .image.digest import sha256_of
from .image.document import read_object
from .image.written import TAR, as_oci, config_document, is_of_docker, manifest_document, written
from .store.blobs import BlobStore
from .store.images import ImageStore
from .store.layers import LayerStore
from .store.lock import pulling
from .store.power import mark

if TYPE_CHECKING:
    from .container.container import Container
    from .container.settings import ContainerSettings
    from .rootfs.sandboxes import Sandboxes
    from .store.layout import Layout

_OF_A_CONTAINER = ("container", "container_config", "docker_version", "id", "parent", "throwaway")
"""What old Dockers noted in a config of the container that the image was made of."""


@dataclass(frozen=True, slots=True)
class Note:
    """What people want to find in an image's history: who made it, why, and when (RFC 3339)."""

    author: str = ""
    message: str = ""
    created: str = ""

    @classmethod
    def of_now(cls, author: str, message: str) -> Note:
        """One with the present time."""
        return cls(author, message, datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer whose blob is in the store."""

    descriptor: Descriptor
    diff_id: Digest


@dataclass(frozen=True, slots=True)
class Documents:
    """An image's *manifest* and *config*, as bytes, and its *layers*, base first."""

    manifest: bytes
    config: bytes
    layers: tuple[Layer, ...]


def local_name(text: str) -> Reference:
    """The name under which an image that is made here can be kept, or raise `InvalidReferenceError`."""
    name = parse_name(text)
    if not isinstance(name, Reference):
        raise InvalidReferenceError(
            f"{text!r} cannot name an image of the store", hint="write NAME[:TAG]; to write it to files, export it"
        )
    if name.digest:
        raise InvalidReferenceError(f"{text!r}: the digest of a new image follows from what is in it")
    return name


class Committer:
    """Makes images of containers, and of images that the store keeps no blobs of."""

    def __init__(self, layout: Layout, sandboxes: Sandboxes) -> None:
        self._layout = layout
        self._sandboxes = sandboxes
        self._blobs = BlobStore(layout)
        self._images = ImageStore(layout)
        self._layers = LayerStore(layout, sandboxes.discard)
        self._packed: dict[Path, Layer] = {}

    def commit(
        self, source: Container | Image, name: Reference, platform: Platform, note: Note, changes: Sequence[str]
    ) -> None:
        """Keep *source*, with *changes* to its config, under *name* for *platform*."""
        with pulling(self._layout):
            mark(self._layout)
            if isinstance(source, Image):
                made = self._of_image(source, note, changes)
            else:
                made = self._of_container(source, note, changes)
            self._images.record(name, platform, sha256_of(made.manifest), local=True)

    def documents(self, source: Container | Image) -> Documents:
        """An OCI manifest of *source*, its config, and its layers (base first), whose blobs the store has.

        They are an image's own, byte for byte, where the store has all of it, but for a manifest in Docker's form. To
        be called, and used, while `pulling`.
        """
        if not isinstance(source, Image):
            mark(self._layout)
            return self._of_container(source, Note.of_now("", ""), ())
        own = self._own(source)
        is_whole = own is not None and all(self._blobs.has(each.descriptor.digest) for each in own.layers)
        if own is None or not is_whole or source.snapshot:
            mark(self._layout)
            return self._of_image(source, Note(), ())
        layers = [replace(each, descriptor=as_oci(each.descriptor)) for each in own.layers]
        if layers == list(own.layers) and not is_of_docker(own.manifest):
            return own
        return Documents(_manifest(own.config, layers), own.config, tuple(layers))

    def _of_image(self, image: Image, note: Note, changes: Sequence[str]) -> Documents:
        layers = self._described(image, image.lower_dirs, image.privileged)
        document = self._document(image)
        document["config"] = changed(document.get("config") or {}, changes)
        return self._kept(document, layers, note, "")

    def _of_container(self, container: Container, note: Note, changes: Sequence[str]) -> Documents:
        spec, image = spec_of(container), container.image
        document = self._document(image)
        own = _with_own_settings(document.get("config") or {}, image, settings_of(container))
        document["config"] = changed(own, changes)
        return self._kept(document, self._layers_of(container), note, shlex.join(spec.command))

    def _layers_of(self, container: Container) -> list[Layer]:
        """Those of its image, and one of what it has written, which is in the store unpacked then, too."""
        privileged = spec_of(container).privileged
        directory = self._layout.unfinished_layer()
        directory.mkdir(mode=0o755)
        try:
            *below, _ = seal(container, directory)
            layers = self._described(container.image, below, privileged)
            layers.append(self._pack(directory, privileged))
            top = layers[-1].diff_id
            variant = self._sandboxes.idmap(privileged=privileged).variant
            self._layers.adopt(top, chain_ids([each.diff_id for each in layers])[-1], variant, directory)
        except BaseException:
            if directory.exists():
                self._sandboxes.discard(directory)
            raise
        return layers

    def _kept(self, document: dict[str, Any], layers: Sequence[Layer], note: Note, command: str) -> Documents:
        """The documents of what *document* becomes with *layers*, which are in the store then."""
        config = written(_completed(document, layers, note, command))
        manifest = _manifest(config, layers)
        for blob in (config, manifest):
            digest = sha256_of(blob)
            with self._blobs.locked(digest):
                self._blobs.keep(digest, len(blob), [blob])
        return Documents(manifest, config, tuple(layers))

    def _described(self, image: Image, lower_dirs: Sequence[Path], privileged: bool) -> list[Layer]:
        """The layers in *lower_dirs*, base first; what is on top of those of *image* itself is packed."""
        own = self._own(image)
        known = own.layers if own else ()
        layers = []
        for number, directory in enumerate(lower_dirs):
            layer = known[number] if number < len(known) else None
            if layer is None or not self._blobs.has(layer.descriptor.digest):
                layer = self._pack(directory, privileged)
            layers.append(replace(layer, descriptor=as_oci(layer.descriptor)))
        return layers

    def _own(self, image: Image) -> Documents | None:
        """Those of what was pulled, ``None`` where the store has lost them."""
        with suppress(LxContainerError):
            data = self._blobs.read(image.digest)
            manifest = parse_manifest(data)
            config = self._blobs.read(image.config_digest)
            if isinstance(manifest, Manifest):
                pairs = zip(manifest.layers, image.config.diff_ids, strict=True)
                return Documents(data, config, tuple(Layer(descriptor, diff_id) for descriptor, diff_id in pairs))
        return None

    def _document(self, image: Image) -> dict[str, Any]:
        """The image's config document; one that says the same where it is lost."""
        try:
            return read_object(self._blobs.read(image.config_digest), "the image config", MAX_CONFIG_SIZE)
        except LxContainerError:
            return config_document(image.config)

    def _pack(self, directory: Path, privileged: bool) -> Layer:
        """Make a blob of an unpacked layer."""
        known = self._packed.get(directory)
        if known is not None and self._blobs.has(known.descriptor.digest):
            return known
        temporary = self._layout.temporary()
        try:
            packed = self._sandboxes.sandbox(privileged=privileged).pack(directory, temporary)
            with self._blobs.locked(packed.diff_id):
                self._blobs.adopt(packed.diff_id, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        self._packed[directory] = Layer(Descriptor(TAR, packed.diff_id, packed.size), packed.diff_id)
        return self._packed[directory]


def _manifest(config: bytes, layers: Sequence[Layer]) -> bytes:
    return manifest_document(config, [each.descriptor for each in layers])[1]


def _completed(document: Mapping[str, Any], layers: Sequence[Layer], note: Note, command: str) -> dict[str, Any]:
    """*document* with what follows from *layers*, and a line of history for each that is new."""
    made = {key: value for key, value in document.items() if key not in _OF_A_CONTAINER}
    history = list(made.get("history") or ())
    line = {"created": note.created, "created_by": command, "author": note.author, "comment": note.message}
    entry = {key: value for key, value in line.items() if value}
    fresh = len(layers) - sum(not each.get("empty_layer") for each in history)
    history += [entry] * fresh if fresh > 0 else [{**entry, "empty_layer": True}]
    made["rootfs"] = {"type": "layers", "diff_ids": [str(each.diff_id) for each in layers]}
    made["history"] = history
    about = {"created": note.created, "author": note.author}
    return {**made, **{key: value for key, value in about.items() if value}}


def _with_own_settings(config: Mapping[str, Any], image: Image, wanted: ContainerSettings) -> dict[str, Any]:
    """The image's *config* as what its container was asked to be has it; Docker's rule that an entrypoint drops Cmd."""
    made = dict(config)
    if wanted.entrypoint is not None:
        made["Entrypoint"] = list(wanted.entrypoint)
        made.pop("Cmd", None)
    if wanted.command is not None:
        made["Cmd"] = list(argv(wanted.command, image.config.shell))
    if wanted.env:
        made["Env"] = with_variables(made.get("Env"), wanted.env)
    if wanted.user is not None:
        made["User"] = wanted.user
    if wanted.cwd is not None:
        made["WorkingDir"] = wanted.cwd
    if wanted.labels:
        made["Labels"] = {**(made.get("Labels") or {}), **wanted.labels}
    if wanted.ports:
        made["ExposedPorts"] = {**(made.get("ExposedPorts") or {}), **{f"{port}/tcp": {} for port in wanted.ports}}
    return made
