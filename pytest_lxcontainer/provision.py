"""Every stage in its order: reference -> registry -> store -> rootfs -> container.

Read this first. A `Provisioner` turns an image reference into an `Image` (`pull`), an image and settings into a
`Container` that exists but does not run (`clone`), or into one that is started and ready (`run`). No other module
knows more than its own stage.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .commit import Committer, Note, local_name
from .container.backend import Backend
from .container.container import Container
from .container.pooled import PooledContainer, may_be_started_ahead
from .container.record import spec_of
from .container.resolve import resolve, traits_of
from .container.settings import ContainerSettings
from .container.shared import Share, SharedContainer
from .container.stand_in import StandIn, waiting
from .container.stats import Samples
from .container.timing import Observer
from .errors import ImageNotCachedError, InvalidSettingsError, LxContainerError, SnapshotNotFoundError, StoreError
from .image import ArchiveReference, Image, ImageName, parse_name
from .image.digest import sha256_of
from .lockfile import LockFile, Mode, Uses
from .pull import Puller, Watch, is_there
from .rootfs.overlay import Overlay
from .rootfs.sandboxes import Sandboxes
from .rootfs.stack import Stack
from .running import Running, note_of
from .saving import Saver, spec_again, start_again
from .settings import Settings, parse_mirrors, parse_timeout
from .store.images import ImageRecord
from .store.layout import Layout
from .store.saved import SavedContainer, SavedTest
from .supervisor.client import SupervisorClient
from .supervisor.owner import Owner
from .supervisor.record import container_id
from .template import Template, Templates

__all__ = ["Provisioner", "RunIdentity", "Settings", "parse_mirrors", "parse_timeout"]


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """A test run: the name its processes share, and the process whose end is the run's."""

    run_id: str
    owner: Owner

    @classmethod
    def of_this_process(cls) -> RunIdentity:
        """A new run that ends with this process."""
        return cls(uuid.uuid4().hex[:8], Owner.of(os.getpid()))

    @classmethod
    def of_commands(cls, layout: Layout) -> RunIdentity:
        """The run of what people start from a shell, of this user in this store: it ends when nothing is left in it."""
        words = f"{os.geteuid()} {layout.root}"
        return cls(sha256_of(words.encode()).hex[:8], Owner.nobody())


def uses_of(settings: Settings, mode: Mode | None = None) -> Uses:
    """What pins the tags of a run and notes what it uses; `LockFileError` for a file that cannot be used.

    *mode* is that of the run's first process, in any other.
    """
    if settings.lock is None:
        return Uses()
    return LockFile(settings.lock, mode or LockFile.mode_of(settings.lock, update=settings.lock_update))


class Provisioner:
    """Pulls images and makes containers of them, for one run.

    A context manager; leaving it ends the run if it is this process's, and with it every container. Without
    *settings* the environment says (`Settings.from_environment`). Containers run in *backend* where one is given, which
    stays the caller's, else in the run's own supervisor. *uses* pins and notes images, and is the caller's to save;
    where none is given, the settings' lock file does, and is saved at the end. *watch* shows what is being fetched,
    *observer* is told how long everything takes.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        identity: RunIdentity | None = None,
        observer: Observer | None = None,
        backend: Backend | None = None,
        uses: Uses | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.settings = settings or Settings.from_environment()
        self._uses = uses or uses_of(self.settings)
        self._saves = uses is None
        self.identity = identity or RunIdentity.of_this_process()
        self.layout = Layout(self.settings.store)
        self._observer = observer
        self._sampling = False
        self._sandboxes = Sandboxes()
        # Also where pulling is otherwise left to what the store knows; "never" stays what it is.
        asks = self._uses.asks and self.settings.pull == "missing"
        pulled = replace(self.settings, pull="always") if asks else self.settings
        self._puller = Puller(self.layout, pulled, self._sandboxes, pins=self._uses, watch=watch, observer=observer)
        self._templates = Templates(self.layout, self._sandboxes, observer)
        self._committer = Committer(self.layout, self._sandboxes)
        self._saver = Saver(self.layout, self._sandboxes, self._committer, self.settings.platform)
        self._other_backend = backend
        self._supervisor = SupervisorClient(self.identity.run_id, self.layout.runs_dir, self.identity.owner)
        self._begun = self._started = False
        self._starting = threading.Lock()
        self._claimed: set[Path] = set()
        idmap = self._sandboxes.idmap()
        self.layout.create(None if idmap.is_identity else idmap.host_gid(0))

    def __enter__(self) -> Provisioner:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the run if it belongs to this process: returns when nothing of it is left."""
        if self._begun and self.identity.owner.pid == os.getpid():
            with suppress(LxContainerError):  # as whoever asked for a container was told
                self.backend  # noqa: B018 - what has begun to start can be ended when it has
                self._supervisor.shutdown()
        self._supervisor.close()
        self._puller.close()
        self._sandboxes.close()
        if self._saves:
            self._uses.save()

    @property
    def backend(self) -> Backend:
        """The run's supervisor, started when first asked for, after what dead runs left has been swept away."""
        if self._other_backend is not None:
            return self._other_backend
        with self._starting:
            if not self._started:
                self._begin()
                self._supervisor.start_supervisor()
                self._started = True
                if self._sampling:
                    self._supervisor.begin_sampling()
        return self._supervisor

    def begin_sampling(self) -> None:
        """Have memory and processor time of the run's containers measured while they run, for `samples`."""
        self._sampling = True
        if self._has_backend:
            self.backend.begin_sampling()

    def samples(self) -> dict[str, Samples]:
        """What has been measured of all containers of the run since `begin_sampling`, by their ids."""
        return self.backend.samples() if self._has_backend else {}

    @property
    def _has_backend(self) -> bool:
        return self._started or self._other_backend is not None

    def begin(self) -> None:
        """Have the run's supervisor start meanwhile, since a container will be asked for soon."""
        if self._other_backend is None:
            with self._starting:
                if not self._started:
                    self._begin()

    def _begin(self) -> None:
        if not self._begun:
            self._sweep()
            self._supervisor.begin_supervisor()
            self._begun = True

    # images

    def pull(self, reference: str | ImageName, *, privileged: bool = False) -> Image:
        """The image that *reference* names, from the store or, as the pull policy has it, from its source.

        *privileged* is for containers without a user namespace, whose layers have other owners on disk.
        """
        parsed = parse_name(reference) if isinstance(reference, str) else reference
        try:
            return self._puller.pull(parsed, privileged=privileged)
        except LxContainerError as error:
            self._uses.explain(parsed, error)
            raise

    def images(self) -> list[ImageRecord]:
        """What the store remembers of earlier pulls, the latest first."""
        return self._puller.records()

    def commit(
        self,
        container: Container | Image,
        reference: str,
        *,
        author: str = "",
        message: str = "",
        changes: Sequence[str] = (),
    ) -> Image:
        """Keep *container* with what it has written, running or not, as an image of the store, named *reference*.

        It is the container's image with one layer more, and with what the container was asked to be: command,
        variables, user, directory, labels, ports; then *changes*, in the words of a Dockerfile (``CMD ["redis"]``,
        ``ENV A=1``). Its processes stand still as for `Container.snapshot`. An `Image`, as a snapshot is one, gets no
        layer more. No registry is asked for *reference* from then on, until it is forgotten: ``lxcontainer rmi``.
        """
        name = local_name(reference)
        if isinstance(container, Image):
            source: Container | Image = self._image_for(container, container.privileged)
            privileged = container.privileged
        else:
            source, privileged = container, spec_of(container).privileged
        self._committer.commit(source, name, self.settings.platform, Note.of_now(author, message), changes)
        self._puller.forget(name)
        return replace(self.pull(name, privileged=privileged), privileged=privileged)

    def export(self, image: Image | str | Container | SavedTest, destination: str) -> list[ArchiveReference]:
        """Write *image* into files: ``oci:DIR[:TAG]``, ``oci-archive:FILE[:TAG]`` or ``docker-archive:FILE[:REF]``.

        A layout in a directory is added to; a file is replaced. The image's name there is the one given, else its own
        tag, and in an archive for ``docker load`` its own reference. An OCI image keeps its digests in a layout. Of a
        container it is what `commit` makes; of a saved test all containers, by their names, or the one that is named.
        Returns what names it now, as `pull` and ``--lxc-image`` take it. Raises `ExportError`, and leaves nothing then.
        """
        from .export import destination_of, export, of_saved, tag_of

        to = destination_of(destination)
        images: dict[str, Image | Container]
        if isinstance(image, SavedTest):
            images = {each.name: self._saved_image(each) for each in of_saved(image, to)}
        elif isinstance(image, Container):
            images = {image.name: image}
        else:
            found = self._image_for(image, image.privileged if isinstance(image, Image) else False)
            images = {tag_of(found): found}
        return export(self.layout, self._committer.documents, images, to)

    # what failed tests had

    def save(self, test: str, containers: Sequence[Container], reason: str = "") -> SavedTest:
        """Keep all *containers* of *test* (its node id), which failed for *reason*, as images that belong together.

        Those of more than `saved.KEEP_MOST` tests, and those older than `saved.MAX_AGE`, go then.
        """
        return self._saver.save(test, containers, reason)

    def saved(self) -> list[SavedTest]:
        """The tests whose containers are saved, the latest first."""
        return self._saver.store.list()

    def find_saved(self, text: str) -> SavedTest:
        """The saved test whose id begins with *text*; `ContainerNotFoundError` where there is none, or several."""
        return self._saver.store.find(text)

    def forget_saved(self, saved: SavedTest | str) -> None:
        """Drop a saved test, which may be given by the beginning of its id, and its images."""
        self._saver.forget(self.find_saved(saved) if isinstance(saved, str) else saved)

    def run_saved(self, saved: SavedTest | str, name: str | None = None, *, start: bool = True) -> dict[str, Container]:
        """New containers of all that *saved*'s test had, as they were, by name; the one called *name* first.

        They are in one private group. Their commands are started and not waited for. What had ended, or ends at once,
        is a container in which something only waits: `Container.is_stand_in`. Mounts without a source are left out.
        """
        test = self.find_saved(saved) if isinstance(saved, str) else saved
        first = test.container(name) if name else None
        every = sorted(test.containers, key=lambda each: each is not first)
        group = uuid.uuid4().hex
        if start:
            return start_again(every, lambda each, waits: self._clone_saved(each, group, waits=waits))
        return {each.name: self._clone_saved(each, group, waits=False) for each in every}

    def _clone_saved(self, saved: SavedContainer, group: str, *, waits: bool) -> Container:
        image = self._saved_image(saved)
        spec = spec_again(saved, image, group)
        wanted = ContainerSettings(ready=(), ports=saved.ports, privileged=spec.privileged)
        traits = traits_of(image, wanted, spec, self.settings.timeout, self._observer)
        backend = self.backend
        self._claim(image)
        if waits:
            spec = waiting(spec, self.layout.stand_in(self.identity.run_id))
        container = (StandIn if waits else Container)(backend, spec, image, traits)
        files = self._sandboxes.stack(image.lower_dirs, privileged=spec.privileged)
        self._make_dirs(container, files, (spec.cwd, *spec.volumes), spec.privileged)
        return container

    def _saved_image(self, saved: SavedContainer) -> Image:
        privileged = bool(saved.spec["privileged"])
        if saved.reference not in {each.reference for each in self.images()}:
            raise ImageNotCachedError(f"the image of saved container {saved.name} has been removed: {saved.reference}")
        return replace(self.pull(saved.reference, privileged=privileged), privileged=privileged)

    @property
    def notices(self) -> list[str]:
        """What registries had to say beside their answers: warnings, and that few pulls are left."""
        return list(self._uses.notices)

    def _sweep(self) -> None:
        if not any(self.layout.runs_dir.iterdir()):
            return
        from .store.lock import locked
        from .supervisor.sweep import sweep

        with locked(self.layout.lock("sweep")):
            sweep(self.layout.runs_dir, self._sandboxes.discard)

    # containers

    def clone(
        self,
        image: str | ImageName | Image | Template,
        command: Any = None,
        *,
        name: str | None = None,
        group: str | Sequence[str] | None = None,
        share: Share | None = None,
        coming: int | None = None,
        **settings: Any,
    ) -> Container:
        """A new container of *image* that has its directory and address, and is not started.

        A template is made first where there is none yet, and its settings are the defaults. *name* is the host name.
        Containers of one *group* reach one another and resolve one another by name; several words are a path, and those
        of a group do so with those of the ones that it is in (`supervisor.neighbours`). With *share* it is the one that
        other processes of the run have, or are to have, in common with this (`SharedContainer`). With
        *coming*, so many more that are the same will be asked for soon, and it may be one that was started ahead
        (`PooledContainer`). The rest is as in
        `ContainerSettings`.
        """
        given = {**settings, "command": command}
        wanted = ContainerSettings.of(**(image.with_settings(given) if isinstance(image, Template) else given))
        found = self._image_for(image, wanted.privileged)
        place = (group,) if isinstance(group, str) else tuple(group or (uuid.uuid4().hex,))
        try:
            return self._clone(found, wanted, name, place, share or coming)
        except StoreError:
            if is_there(found):
                raise
        # A prune came before this run could say that it uses the image.
        return self._clone(self._image_for(image, wanted.privileged), wanted, name, place, share or coming)

    def _clone(
        self,
        pulled: Image,
        wanted: ContainerSettings,
        name: str | None,
        group: tuple[str, ...],
        share: Share | int | None,
    ) -> Container:
        begin = time.monotonic()
        files = self._sandboxes.stack(pulled.lower_dirs, privileged=wanted.privileged)
        spec = resolve(pulled, files, wanted, name, group)
        backend = self.backend
        self._claim(pulled)
        traits = traits_of(pulled, wanted, spec, self.settings.timeout, self._observer)
        container: Container
        is_new = True
        if isinstance(share, Share):
            spec = replace(spec, shared=share.key, sharers=share.processes)
            container = SharedContainer(backend, spec, pulled, traits)
            is_new = container.is_first
        elif share is not None and self.settings.pool != 0 and may_be_started_ahead(spec, traits):
            container = PooledContainer(backend, spec, pulled, traits, coming=share, most=self.settings.pool)
            is_new = not container.was_started
        else:
            container = Container(backend, spec, pulled, traits)
        if is_new:
            self._make_dirs(container, files, (spec.cwd, *spec.volumes), wanted.privileged)
        if self._observer is not None:
            waited_for = "clone" if is_new else "share" if isinstance(share, Share) else "pool"
            self._observer(container, waited_for, time.monotonic() - begin)
        return container

    def run(
        self,
        image: str | ImageName | Image | Template,
        command: Any = None,
        *,
        name: str | None = None,
        group: str | Sequence[str] | None = None,
        **settings: Any,
    ) -> Container:
        """`clone`, then start and wait until it is ready; a container that does not get there is destroyed."""
        container = self.clone(image, command, name=name, group=group, **settings)
        try:
            return container.start()
        except BaseException:
            container.destroy()
            raise

    # what stays when the run has ended

    def id_of(self, container: Container) -> str:
        """What a person types for *container* on a command line: unique among those of all runs of the host."""
        return container_id(self.identity.run_id, container.id)

    def let_stay(self, container: Container, *, is_removed: bool = False) -> None:
        """Have *container* outlive this process and its run; with *is_removed*, until its command has ended."""
        self._supervisor.let_stay(container.id, note_of(container), is_removed=is_removed)

    def keep(self, container: Container, test: str) -> None:
        """Have *container* stay as it is, frozen where that can be, since *test* has failed: for a day at most."""
        self._supervisor.keep(container.id, note_of(container), test)

    def forget_kept(self, most: int) -> None:
        """Destroy the containers that were kept for all but the *most* tests that failed last."""
        with Running(self.layout) as running:
            kept = [each for each in running.list() if each.record.kept]
            tests = sorted({(each.record.kept, each.run_id, each.record.test) for each in kept}, reverse=True)
            latest = list(dict.fromkeys((run_id, test) for _, run_id, test in tests))[:most]
            for each in kept:
                if (each.run_id, each.record.test) not in latest:
                    running.container(each).destroy()

    def template(self, template: Template) -> Image:
        """The image that *template*'s containers are clones of; it is prepared now unless the store has it."""
        settings = template.with_settings({})
        base = self._image_for(template.image, bool(settings.get("privileged")))
        return self._templates.image_of(template, base, lambda: self.run(base, **settings))

    def _image_for(self, image: str | ImageName | Image | Template, privileged: bool) -> Image:
        if isinstance(image, Template):
            return _usable(self.template(image), privileged)
        if not isinstance(image, Image):
            return self.pull(image, privileged=privileged)
        if image.snapshot:
            return _usable(image, privileged)
        # No prune takes what this run has claimed.
        is_kept = self._claimed.issuperset(image.lower_dirs) or is_there(image)
        is_right = is_kept and not privileged and not image.privileged
        return image if is_right else self.pull(image.reference, privileged=privileged)

    def _claim(self, image: Image) -> None:
        """Keep a prune from dropping the layers while this run lives; its snapshots are its own."""
        layers_dir = self.layout.layers_dir
        fresh = [path for path in image.lower_dirs if path not in self._claimed and path.parent == layers_dir]
        if fresh:
            from .store.claims import claim_layers

            claim_layers(self.layout, self.identity.run_id, fresh)
            self._claimed.update(fresh)

    def _make_dirs(self, container: Container, files: Stack, paths: Iterable[str], privileged: bool) -> None:
        """Make the directories, the working directory and the volumes, that *files* do not have, as Docker does.

        A volume is a directory of the container's own files: as fresh as they, and with what the image has there.
        """
        lacking = [path for path in paths if files.may_lack(path)]
        if not lacking:
            return
        upper_dir = self.layout.upper_dir(self.identity.run_id, container.id)
        overlay = Overlay(container.image.lower_dirs, upper_dir)
        try:
            for path in lacking:
                self._sandboxes.sandbox(privileged=privileged).make_dirs(overlay, path)
        except BaseException:
            container.destroy()
            raise


def _usable(snapshot: Image, privileged: bool) -> Image:
    """*snapshot*, if it is there and containers of this kind can have its files."""
    if not is_there(snapshot):
        raise SnapshotNotFoundError(f"{snapshot.title} went with the run it was made in")
    if snapshot.privileged != privileged:
        kinds = ("with a user namespace", "without one (privileged)")
        raise InvalidSettingsError(
            f"{snapshot.title} is of a container {kinds[snapshot.privileged]}; its files have other owners elsewhere",
            hint=f"pass privileged={snapshot.privileged}",
        )
    return snapshot
