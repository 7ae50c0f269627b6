"""A container's files at one moment: kept, compared, and brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ..errors import InvalidSettingsError, SnapshotNotFoundError
from ..image.image import Image
from .backend import Backend
from .commands import Commands
from .spec import ContainerSpec
from .traits import Traits
from .units import ByteSize

Kind = Literal["added", "changed", "deleted"]


@dataclass(frozen=True, slots=True)
class Change:
    """One *path* that differs, and how; *size* is that of the regular file that is there now, else 0."""

    kind: Kind
    path: str
    size: ByteSize

    def __str__(self) -> str:
        """As ``docker diff`` prints it: ``A /path``, ``C /path`` or ``D /path``."""
        return f"{self.kind[0].upper()} {self.path}"


class Snapshots(Commands):
    """Snapshots, and what has changed since them."""

    def __init__(self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits = Traits()) -> None:
        super().__init__(backend, spec, image, traits)
        self._snapshots: list[Image] = []

    @property
    def snapshots(self) -> Sequence[Image]:
        """What `snapshot` has made here, in order."""
        return tuple(self._snapshots)

    def snapshot(self, name: str | None = None) -> Image:
        """Its files as they are now, as an image to make containers of: its layers and one more.

        The image has the configuration of the container's own, and its title with ``+name``. Running processes stand
        still while what was written is copied, and go on; without cgroups of the container's own they do not stand
        still. Volumes of the image are part of it; mounts, tmpfs and memory are not. It goes with the run, not with the
        container. A *name* given again is the new one's from then on.
        """
        if name is not None and (not name or not name.isprintable()):
            raise InvalidSettingsError(f"{name!r} cannot be a snapshot's name", hint="use letters and digits")
        lower_dirs = self._timed("snapshot", partial(self._backend.snapshot, self.id))
        made = replace(
            self.image,
            lower_dirs=tuple(map(Path, lower_dirs)),
            snapshot=name or self._free_name(),
            privileged=self._spec.privileged,
        )
        self._snapshots.append(made)
        return made

    def _free_name(self) -> str:
        taken = {each.snapshot for each in self._snapshots}
        numbers = range(len(self._snapshots) + 1, 2 * len(self._snapshots) + 2)
        return next(name for number in numbers if (name := f"snapshot{number}") not in taken)

    def diff(self, since: Image | str | None = None) -> list[Change]:
        """What has changed since *since* (default: the image it was made of), by path: a snapshot of its own, which may
        be given by its name, or any image.

        A file counts by its content, owner, mode, attributes and time, a directory by its own and not by what is in
        it. What was in a deleted directory is not listed, nor what was made for mounts. What is mounted is left out.
        """
        image = self._named(since) if isinstance(since, str) else since or self.image
        lower_dirs = [str(path) for path in image.lower_dirs]
        found = self._timed("diff", partial(self._backend.diff, self.id, lower_dirs))
        return [Change(_kind(kind), path, ByteSize(size)) for kind, path, size in found]

    def _put_back(self, image: Image | str | None) -> None:
        """Give it the files of *image* and no others; it does not run then."""
        wanted = self._named(image) if isinstance(image, str) else image or self.image
        if wanted not in (self.image, *self._snapshots):
            raise self._not_found(wanted.title)
        lower_dirs = [str(path) for path in wanted.lower_dirs]
        self._last = self._timed("restore", partial(self._backend.restore, self.id, lower_dirs))

    def _named(self, name: str) -> Image:
        found = next((each for each in reversed(self._snapshots) if each.snapshot == name), None)
        if found is None:
            raise self._not_found(repr(name))
        return found

    def _not_found(self, what: str) -> SnapshotNotFoundError:
        names = [each.snapshot for each in self._snapshots]
        return SnapshotNotFoundError(
            f"{what} is no snapshot of container {self.name}",
            details=f"its snapshots: {', '.join(names)}" if names else "it has none",
            container=self.name,
            hint="restore what its own snapshot() returned, or its image; run a new container of any other",
        )


def _kind(word: str) -> Kind:
    return "added" if word == "added" else "changed" if word == "changed" else "deleted"


def changes_of(container: Snapshots, bounds: Mapping[str, Any]) -> dict[str, Any]:
    """What has changed in *container* since the image it was made of, in *bounds*; see `rootfs.changes`."""
    lower_dirs = [str(path) for path in container.image.lower_dirs]
    return container._backend.changes(container.id, lower_dirs, bounds)


def seal(container: Snapshots, directory: Path) -> tuple[Path, ...]:
    """Copy what *container* has written into *directory*, which is empty, as a layer above those of its image.

    Returns all its layers then, base first, *directory* last.
    """
    sealed = container._timed("snapshot", partial(container._backend.snapshot, container.id, str(directory)))
    return tuple(map(Path, sealed))
