"""The containers that commands name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..container.container import Container
    from ..running import Running
    from ..store.saved import SavedTest
    from ..supervisor.record import Listed

CONTAINER_HELP = "a container's name, or the beginning of its id"


@contextmanager
def running_containers() -> Iterator[Running]:
    """The containers of the store that the environment names."""
    from ..running import Running
    from ..settings import Settings
    from ..store.layout import Layout

    with Running(Layout(Settings.from_environment().store)) as running:
        yield running


@contextmanager
def found_container(text: str) -> Iterator[Container]:
    """The one container that *text* names; `ContainerNotFoundError` where there is none. It stays as it is."""
    with running_containers() as running:
        yield running.container(running.find(text))


def found_anything(running: Running, text: str) -> Listed | SavedTest:
    """The container that *text* names, or the saved test; `ContainerNotFoundError` where there is neither."""
    from ..errors import ContainerNotFoundError
    from ..store.saved import SavedStore

    try:
        return running.find(text)
    except ContainerNotFoundError as no_container:
        if no_container.details:  # there are several
            raise
        try:
            return SavedStore(running.layout).find(text)
        except ContainerNotFoundError as no_test:
            raise (no_test if no_test.details else no_container) from None


@contextmanager
def awake(running: Running, found: Sequence[Listed]) -> Iterator[None]:
    """Those of *found* that were kept go on meanwhile, and stand still again afterwards."""
    from ..errors import LxContainerError

    with ExitStack() as stack:
        for each in found:
            if each.record.kept and each.status.state == "FROZEN":
                container = running.container(each)
                container.unfreeze()
                stack.push(lambda *_, container=container: _freeze(container, LxContainerError))
        yield


def _freeze(container: Container, error: type[Exception]) -> None:
    with suppress(error):  # it has ended, or been removed, meanwhile
        container.freeze()
