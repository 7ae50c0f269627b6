"""Saving what failed tests had: all containers of one as images, with what it takes to run them again as they were."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .commit import Committer, Note
from .container.record import spec_of
from .container.spec import ContainerSpec
from .errors import InvalidSettingsError, StoreError
from .image import Image, Platform
from .store.images import ImageStore
from .store.lock import locked, pulling
from .store.prune import forget_saved
from .store.saved import SavedContainer, SavedStore, SavedTest, saved_name

if TYPE_CHECKING:
    from .container.container import Container
    from .rootfs.sandboxes import Sandboxes
    from .store.layout import Layout

SETTLED = 0.3
"""Seconds in which a command that cannot go on from what was saved has ended."""

_AT_A_TIME = 4
_POLL = 0.02  # seconds

Clone = Callable[[SavedContainer, bool], "Container"]
"""A new container of a saved one; true: with something that only waits in place of its command."""


class Saver:
    """Saves tests into the store, and forgets them."""

    def __init__(self, layout: Layout, sandboxes: Sandboxes, committer: Committer, platform: Platform) -> None:
        self._layout = layout
        self._sandboxes = sandboxes
        self._committer = committer
        self._platform = platform
        self.store = SavedStore(layout)

    def save(self, test: str, containers: Sequence[Container], reason: str) -> SavedTest:
        """Make an image of each of *containers*, and record them together; nothing is left where one cannot be had."""
        if not containers:
            raise InvalidSettingsError(f"{test} has no containers to save")
        with pulling(self._layout):
            with locked(self._layout.lock("saved")):
                saved_id = self.store.new_id()
            named = list(zip(_names(containers), containers, strict=True))
            try:
                with ThreadPoolExecutor(_AT_A_TIME, "lxcontainer-save") as threads:
                    made = tuple(
                        threads.map(lambda each: self._saved(saved_id, each[0], each[1], reason or test), named)
                    )
            except BaseException:
                for name, _ in named:
                    ImageStore(self._layout).remove(saved_name(saved_id, name), self._platform)
                raise
            saved = SavedTest(saved_id, test, time.time(), made, reason)
            self.store.add(saved)
        self._forget_expired()
        return saved

    def forget(self, saved: SavedTest) -> None:
        """Drop *saved*, its images and what only these needed."""
        forget_saved(self._layout, self._sandboxes.sandbox(), [saved])

    def _saved(self, saved_id: str, name: str, container: Container, message: str) -> SavedContainer:
        status = container.status()
        reference = saved_name(saved_id, name)
        self._committer.commit(container, reference, self._platform, Note.of_now("", message), ())
        return SavedContainer(
            name=name,
            reference=reference,
            image=container.image.title,
            spec={**spec_of(container).to_dict(), "lower_dirs": ()},
            ports=container.ports,
            state=status.state,
            exit_code=status.exit_code,
            reason=status.reason,
        )

    def _forget_expired(self) -> None:
        """Drop what is too old, unless somebody is pulling: then who saves next does, or a prune."""
        if expired := self.store.expired():
            with suppress(StoreError):
                forget_saved(self._layout, self._sandboxes.sandbox(), expired, patience=0)


def spec_again(saved: SavedContainer, image: Image, group: str) -> ContainerSpec:
    """What *saved* was, with its files as *image* has them, in *group*; without mounts whose source is gone."""
    spec = ContainerSpec.from_dict({**saved.spec, "lower_dirs": [str(path) for path in image.lower_dirs]})
    mounts = tuple(mount for mount in spec.mounts if Path(mount[0]).exists())
    return replace(spec, group=(group,), mounts=mounts, shared="", sharers=1)


def start_again(saved: Iterable[SavedContainer], clone: Clone) -> dict[str, Container]:
    """Start a container for each of *saved*, by name; what had ended, or ends at once, is stood in for."""
    made: dict[str, Container] = {}
    running: dict[str, SavedContainer] = {}
    try:
        for each in saved:
            made[each.name] = clone(each, not each.ran)
            made[each.name].launch()
            if each.ran:
                running[each.name] = each
        for name in _ended(made, running):
            made[name].destroy()
            made[name] = clone(running[name], True)
            made[name].launch()
    except BaseException:
        for container in made.values():
            container.destroy()
        raise
    return made


def _ended(made: dict[str, Container], running: Iterable[str]) -> list[str]:
    """Those whose command has ended after a moment."""
    waited_for = list(running)
    ended: list[str] = []
    deadline = time.monotonic() + SETTLED
    while waited_for and time.monotonic() < deadline:
        ended += [name for name in waited_for if not made[name].running]
        waited_for = [name for name in waited_for if name not in ended]
        time.sleep(_POLL)
    return ended


def _names(containers: Sequence[Container]) -> list[str]:
    """A name for each: its host name, with a number where another has that one."""
    names: list[str] = []
    for container in containers:
        taken, number = container.name, 2
        while taken in names:
            taken, number = f"{container.name}-{number}", number + 1
        names.append(taken)
    return names
