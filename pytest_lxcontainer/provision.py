"""Every stage in its order: reference -> registry -> store -> rootfs -> container.

Read this first. A `Provisioner` turns an image reference into an `Image` (`pull`), an image and settings into a
`Container` that exists but does not run (`clone`), or into one that is started and ready (`run`). No other module
knows more than its own stage.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .container.backend import Backend
from .container.container import DEFAULT_TIMEOUT, Container, Observer
from .container.resolve import resolve, traits_of
from .container.settings import ContainerSettings
from .container.spec import ContainerSpec
from .errors import CorruptImageError, ImageNotCachedError, InvalidSettingsError, StoreError
from .image import (
    Descriptor,
    Digest,
    Image,
    ImageConfig,
    Manifest,
    Platform,
    Reference,
    chain_ids,
    check_layers,
    check_platform,
    parse_manifest,
)
from .rootfs.idmap import IdMap
from .rootfs.overlay import Overlay, stat_path
from .store.blobs import BlobStore
from .store.images import ImageRecord, ImageStore
from .store.layers import LayerStore
from .store.layout import Layout, default_root
from .supervisor.client import SupervisorClient
from .supervisor.owner import Owner

if TYPE_CHECKING:
    from .registry.client import FetchedManifest, RegistryClient
    from .rootfs.sandbox import Sandbox

PULL_POLICIES = ("missing", "always", "never")
DOWNLOADS = 3
"""Blobs fetched at a time: what Docker does, and registries expect."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where images come from and are kept, and how long things may take; see the options of the plugin.

    *mirrors* maps a registry's host to the URL asked instead, *timeout* is in seconds.
    """

    store: Path = field(default_factory=default_root)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    pull: str = "missing"
    platform: Platform = field(default_factory=Platform.host)
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        if self.pull not in PULL_POLICIES:
            raise InvalidSettingsError(f"{self.pull!r} is no pull policy", hint=f"one of: {', '.join(PULL_POLICIES)}")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``LXCONTAINER_STORE``, ``…_MIRROR`` (``HOST=URL``, several with spaces), ``…_PULL``, ``…_PLATFORM`` and
        ``…_TIMEOUT``; what is absent keeps its default.
        """
        environ = os.environ if environ is None else environ
        readers: Mapping[str, Any] = {
            "store": lambda text: Path(text).absolute(),
            "mirror": parse_mirrors,
            "pull": str,
            "platform": Platform.parse,
            "timeout": parse_timeout,
        }
        given = {name: environ.get(f"LXCONTAINER_{name.upper()}") for name in readers}
        values = {name: readers[name](text) for name, text in given.items() if text}
        if "mirror" in values:
            values["mirrors"] = values.pop("mirror")
        return cls(**values)


def parse_mirrors(text: str) -> dict[str, str]:
    """Read ``HOST=URL`` pairs parted by white space."""
    from .registry.mirrors import parse_mirror

    return dict(parse_mirror(part) for part in text.split())


def parse_timeout(text: str | float) -> float:
    """Read seconds; `InvalidSettingsError` unless above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds > 0:
        raise InvalidSettingsError(f"{text!r} is no timeout", hint="write a number of seconds above 0")
    return seconds


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """A test run: the name its processes share, and the process whose end is the run's."""

    run_id: str
    owner: Owner

    @classmethod
    def of_this_process(cls) -> RunIdentity:
        """A new run that ends with this process."""
        return cls(uuid.uuid4().hex[:8], Owner.of(os.getpid()))


class Provisioner:
    """Pulls images and makes containers of them, for one run.

    A context manager; leaving it ends the run if it is this process's, and with it every container. Without
    *settings* the environment says (`Settings.from_environment`). Containers run in *backend* where one is given, which
    stays the caller's, else in the run's own supervisor.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        identity: RunIdentity | None = None,
        observer: Observer | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.settings = settings or Settings.from_environment()
        self.identity = identity or RunIdentity.of_this_process()
        self.layout = Layout(self.settings.store)
        self._observer = observer
        self._idmap = IdMap.for_host()
        self._blobs = BlobStore(self.layout)
        self._images = ImageStore(self.layout)
        self._layers = LayerStore(self.layout, self._discard)
        self._known: dict[tuple[Reference, bool], Image] = {}
        self._pulling = threading.Lock()
        self._other_backend = backend
        self._supervisor = SupervisorClient(self.identity.run_id, self.layout.runs_dir, self.identity.owner)
        self._started = False
        self._starting = threading.Lock()
        self._sandboxes: dict[bool, Sandbox] = {}
        self._claimed: set[Path] = set()
        self.layout.create(None if self._idmap.is_identity else self._idmap.host_gid(0))

    def __enter__(self) -> Provisioner:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run if it belongs to this process: returns when nothing of it is left."""
        if self._started and self.identity.owner.pid == os.getpid():
            self._supervisor.shutdown()
        self._supervisor.close()
        for sandbox in self._sandboxes.values():
            sandbox.close()

    @property
    def backend(self) -> Backend:
        """The run's supervisor, started when first asked for, after what dead runs left has been swept away."""
        if self._other_backend is not None:
            return self._other_backend
        with self._starting:
            if not self._started:
                self._sweep()
                self._supervisor.start_supervisor()
                self._started = True
        return self._supervisor

    # images

    def pull(self, reference: str | Reference, *, privileged: bool = False) -> Image:
        """The image that *reference* names, from the store or, as the pull policy has it, from its registry.

        *privileged* is for containers without a user namespace, whose layers have other owners on disk.
        """
        parsed = reference if isinstance(reference, Reference) else Reference.parse(reference)
        with self._pulling:
            key = (parsed, privileged)
            if key not in self._known:
                self._known[key] = self._find_or_fetch(parsed, privileged)
            return self._known[key]

    def images(self) -> list[ImageRecord]:
        """What the store remembers of earlier pulls, the latest first."""
        return self._images.list()

    def _find_or_fetch(self, reference: Reference, privileged: bool) -> Image:
        policy, platform = self.settings.pull, self.settings.platform
        record = self._images.find_record(reference, platform)
        if record and policy != "always":
            image = self._assemble(reference, record.digest, privileged)
            if image:
                return image
        if policy == "never":
            raise ImageNotCachedError(
                f"image {reference.familiar} is not in the store {self.settings.store}",
                hint="pull it once, with --lxc-pull missing or: lxcontainer pull " + reference.familiar,
            )
        # Only who pulls pays for importing an HTTP client.
        from .registry.client import RegistryClient

        with RegistryClient(self.settings.mirrors) as client:
            if record and client.resolve(reference) == record.resolved:
                image = self._assemble(reference, record.digest, privileged)
                if image:
                    return image
            fetched = client.fetch_manifest(reference, platform)
            return self._fetch(client, reference, fetched, privileged)

    def _assemble(self, reference: Reference, digest: Digest, privileged: bool) -> Image | None:
        """The image from what the store has, or ``None`` where something is missing or damaged."""
        try:
            manifest = parse_manifest(self._blobs.read(digest), None)
            if not isinstance(manifest, Manifest):
                return None
            config = ImageConfig.from_json(self._blobs.read(manifest.config.digest))
        except (StoreError, CorruptImageError, FileNotFoundError):
            return None
        variant = self._idmap_for(privileged).variant
        chain = chain_ids(config.diff_ids)
        found = [
            self._layers.find(diff_id, chain_id, variant)
            for diff_id, chain_id in zip(config.diff_ids, chain, strict=True)
        ]
        lower_dirs = tuple(path for path in found if path is not None)
        if len(lower_dirs) != len(found):
            return None
        return Image(reference, digest, manifest.config.digest, config, manifest.size, lower_dirs)

    def _fetch(self, client: RegistryClient, reference: Reference, fetched: FetchedManifest, privileged: bool) -> Image:
        """Fetch and unpack what the store lacks, and record the image once it is whole."""
        manifest = fetched.manifest
        self._blobs.keep(fetched.digest, len(fetched.data), [fetched.data])
        config = ImageConfig.from_json(self._fetch_blob(client, reference, manifest.config).read_bytes())
        check_platform(config, self.settings.platform)
        check_layers(config, manifest)
        lower_dirs = self._fetch_layers(client, reference, manifest, config, privileged)
        self._images.record(reference, self.settings.platform, fetched.digest, index_digest=fetched.index_digest)
        return Image(reference, fetched.digest, manifest.config.digest, config, manifest.size, lower_dirs)

    def _fetch_layers(
        self,
        client: RegistryClient,
        reference: Reference,
        manifest: Manifest,
        config: ImageConfig,
        privileged: bool,
    ) -> tuple[Path, ...]:
        """Layers in order, base first, each unpacked while later ones are still being fetched."""
        variant = self._idmap_for(privileged).variant
        lower_dirs: list[Path] = []
        with ThreadPoolExecutor(DOWNLOADS, "lxcontainer-pull") as threads:
            blobs: list[Future[Path] | None] = []
            chain = list(zip(config.diff_ids, chain_ids(config.diff_ids), manifest.layers, strict=True))
            for diff_id, chain_id, descriptor in chain:
                there = self._layers.find(diff_id, chain_id, variant)
                blobs.append(None if there else threads.submit(self._fetch_blob, client, reference, descriptor))
            try:
                for (diff_id, chain_id, _), blob in zip(chain, blobs, strict=True):
                    fill = partial(self._unpack, blob, diff_id, tuple(lower_dirs), privileged)
                    lower_dirs.append(self._layers.commit(diff_id, chain_id, variant, fill))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(lower_dirs)

    def _fetch_blob(self, client: RegistryClient, reference: Reference, descriptor: Descriptor) -> Path:
        with self._blobs.locked(descriptor.digest):
            if self._blobs.has(descriptor.digest):
                return self._blobs.path(descriptor.digest)
            with client.open_blob(reference, descriptor) as chunks:
                return self._blobs.keep(descriptor.digest, descriptor.size, chunks)

    def _unpack(
        self,
        blob: Future[Path] | None,
        diff_id: Digest,
        lower_dirs: tuple[Path, ...],
        privileged: bool,
        target: Path,
    ) -> bool:
        if blob is None:
            raise StoreError(f"layer {diff_id} was removed while an image was pulled", hint="pull the image again")
        unpacked = self._sandbox(privileged).unpack(blob.result(), target, diff_id=diff_id, lower_dirs=lower_dirs)
        return unpacked.self_contained

    def _idmap_for(self, privileged: bool) -> IdMap:
        if not privileged:
            return self._idmap
        if os.geteuid() != 0:
            raise InvalidSettingsError("privileged=True needs root", hint="run as root, or leave privileged out")
        return IdMap.identity()

    def _sandbox(self, privileged: bool) -> Sandbox:
        from .rootfs.sandbox import Sandbox

        if privileged not in self._sandboxes:
            self._sandboxes[privileged] = Sandbox(self._idmap_for(privileged))
        return self._sandboxes[privileged]

    def _discard(self, path: Path) -> None:
        self._sandbox(False).remove(path)

    def _sweep(self) -> None:
        if not any(self.layout.runs_dir.iterdir()):
            return
        from .store.lock import locked
        from .supervisor.sweep import sweep

        with locked(self.layout.lock("sweep")):
            sweep(self.layout.runs_dir, self._discard)

    # containers

    def clone(
        self,
        image: str | Reference | Image,
        command: Any = None,
        *,
        name: str | None = None,
        group: str | None = None,
        **settings: Any,
    ) -> Container:
        """A new container of *image* that has its directory and address, and is not started.

        *name* is its host name. Containers of one *group* resolve one another by name. The rest is as in
        `ContainerSettings`.
        """
        wanted = ContainerSettings.of(command=command, **settings)
        pulled = self._image_for(image, wanted.privileged)
        spec = resolve(pulled, wanted, name, group or uuid.uuid4().hex)
        backend = self.backend
        self._claim(pulled)
        container = Container(
            backend, spec, pulled, traits_of(pulled, wanted, spec, self.settings.timeout, self._observer)
        )
        self._make_cwd(container, spec, wanted.privileged)
        return container

    def run(
        self,
        image: str | Reference | Image,
        command: Any = None,
        *,
        name: str | None = None,
        group: str | None = None,
        **settings: Any,
    ) -> Container:
        """`clone`, then start and wait until it is ready; a container that does not get there is destroyed."""
        container = self.clone(image, command, name=name, group=group, **settings)
        try:
            return container.start()
        except BaseException:
            container.destroy()
            raise

    def _image_for(self, image: str | Reference | Image, privileged: bool) -> Image:
        if not isinstance(image, Image):
            return self.pull(image, privileged=privileged)
        return self.pull(image.reference, privileged=True) if privileged else image

    def _claim(self, image: Image) -> None:
        """Keep a prune from dropping the layers while this run lives."""
        fresh = [path for path in image.lower_dirs if path not in self._claimed]
        if fresh:
            from .store.prune import claim_layers

            claim_layers(self.layout, self.identity.run_id, fresh)
            self._claimed.update(fresh)

    def _make_cwd(self, container: Container, spec: ContainerSpec, privileged: bool) -> None:
        """Make a working directory that the image does not have, as Docker does."""
        if spec.cwd == "/" or stat_path(container.image.lower_dirs, spec.cwd) is not None:
            return
        upper_dir = self.layout.upper_dir(self.identity.run_id, container.id)
        overlay = Overlay(container.image.lower_dirs, upper_dir)
        try:
            self._sandbox(privileged).make_dirs(overlay, spec.cwd)
        except BaseException:
            container.destroy()
            raise
