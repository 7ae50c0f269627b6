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


def saved_tests() -> list[SavedTest]:
    """The failed tests whose containers are saved in the store that the environment names, the latest first."""
    from ..settings import Settings
    from ..store.layout import Layout
    from ..store.saved import SavedStore

    return SavedStore(Layout(Settings.from_environment().store)).list()


def saved_test(text: str) -> SavedTest | None:
    """The one whose id begins with *text*; `ContainerNotFoundError` where there are several."""
    from ..store.saved import chosen

    return chosen(saved_tests(), text)


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
