"""The fixtures: few lines each over the `Provisioner`."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .aftermath import part_with
from .asked import answered, check_names
from .choice import Choice, marked, param_of, with_param
from .images import hand_over
from .options import chosen_images, on_failure_of
from .pool import coming_after
from .provisioning import close, provisioner_of
from .report import track
from .run import EVERYBODY, end_run, group_of

if TYPE_CHECKING:
    from ..container.container import Container
    from ..container.faults import Partition
    from ..container.private_network import PrivateNetwork
    from ..container.shared import Share
    from ..image.image import Image
    from ..provision import Provisioner
    from ..store.images import ImageRecord


@pytest.fixture(scope="session")
def _lxc_provisioner(request: pytest.FixtureRequest) -> Generator[Provisioner, None, None]:
    """The run's `Provisioner`."""
    config = request.config
    with _host_ready(config):
        provisioner = provisioner_of(config)
    yield provisioner
    # What the last test leaves is settled when the report on its teardown is made.
    if on_failure_of(config) == "destroy":
        close(config)
    hand_over(config)


@pytest.fixture
def container(request: pytest.FixtureRequest, _lxc_provisioner: Provisioner) -> Container:
    """A fresh, started, ready container, destroyed after the test.

    Its image and settings are its parameter's, else the nearest ``@pytest.mark.container(image, **settings)``'s, else
    ``--lxc-image``, ``LXCONTAINER_IMAGE``, ini ``lxc_image``, else ``alpine:latest``.
    """
    image, settings = with_param(marked(request.node), param_of(request, chosen_images(request.config)))
    if image is None:
        image = chosen_images(request.config)[0]
    return started(request, _lxc_provisioner, answered(request, (image, settings)), coming=coming_after(request))


@pytest.fixture
def containers(request: pytest.FixtureRequest, _lxc_provisioner: Provisioner) -> Containers:
    """Makes containers that resolve one another by name, all destroyed after the test."""
    return Containers(request, _lxc_provisioner)


@pytest.fixture(scope="session")
def lxc_images(_lxc_provisioner: Provisioner) -> Images:
    """Pulls and lists images."""
    return Images(_lxc_provisioner)


class Containers:
    """What the `containers` fixture gives."""

    def __init__(self, request: pytest.FixtureRequest, provisioner: Provisioner) -> None:
        self._request = request
        self._provisioner = provisioner
        self._networks: dict[str, PrivateNetwork] = {}

    def run(self, image: Any, command: Any = None, *, name: str | None = None, **settings: Any) -> Container:
        """Start a container of *image* (a reference or an `Image`) and wait until it is ready.

        Its peers of the test resolve it by *name*; *settings* are those of `ContainerSettings`.
        """
        settings = {**settings, "command": command, "name": name}
        return started(self._request, self._provisioner, (image, self._with_networks(settings)))

    def network(self, name: str) -> PrivateNetwork:
        """A further network of the test, for ``network=``, which then takes its *name* too; the same each time."""
        from ..container.private_network import PrivateNetwork

        return self._networks.setdefault(name, PrivateNetwork(name))

    def _with_networks(self, settings: dict[str, Any]) -> dict[str, Any]:
        """*settings* with the test's networks for their names."""
        given = settings.get("network")
        if not self._networks or given is None or callable(given):
            return settings
        several = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
        return {**settings, "network": tuple(self._networks.get(each, each) for each in several)}

    @staticmethod
    def partition(*groups: Container | Iterable[Container]) -> Partition:
        """Let nothing through between containers of different *groups*, until it is undone or left as a ``with``."""
        from ..container.faults import Partition

        return Partition(groups)

    def run_all(self, wanted: Mapping[str, Mapping[str, Any]]) -> dict[str, Container]:
        """Start several at once: ``{name: {"image": ..., **settings}}``; returns them by name when all are ready.

        All addresses are known before the first starts, so that each resolves the others from its first moment.
        """
        # Here, since every project that has the plugin pays for what is imported above.
        from concurrent.futures import ThreadPoolExecutor

        made = {
            name: _made(self._request, self._provisioner, self._image_and_settings(name, settings))
            for name, settings in wanted.items()
        }
        with ThreadPoolExecutor(max(1, len(made)), "lxcontainer-start") as threads:
            for started in [threads.submit(container.start) for container in made.values()]:
                started.result()
        return made

    def _image_and_settings(self, name: str, settings: Mapping[str, Any]) -> Choice:
        rest = self._with_networks({**settings, "name": name})
        if "image" not in rest:
            raise pytest.UsageError(f"containers.run_all: {name!r} names no image")
        return rest.pop("image"), rest


class Images:
    """What the `lxc_images` fixture gives."""

    def __init__(self, provisioner: Provisioner) -> None:
        self._provisioner = provisioner

    def pull(self, reference: str) -> Image:
        """The image of *reference*, pulled unless the store has it."""
        return self._provisioner.pull(reference)

    def list(self) -> list[ImageRecord]:
        """What the store has, the latest pulled first."""
        return self._provisioner.images()


def started(
    request: pytest.FixtureRequest,
    provisioner: Provisioner,
    choice: Choice,
    share: Share | None = None,
    coming: int | None = None,
) -> Container:
    """A container that is ready, and goes with *request*; the one of *share*, where several processes have it."""
    __tracebackhide__ = True
    return _made(request, provisioner, choice, share, coming).start()


def _made(
    request: pytest.FixtureRequest,
    provisioner: Provisioner,
    choice: Choice,
    share: Share | None = None,
    coming: int | None = None,
) -> Container:
    """A container that is not started, but known to the report and to its removal.

    Not a ``with`` around its start: that would destroy a container that fails to start before pytest asks for the
    report that should show why.
    """
    __tracebackhide__ = True
    image, settings = choice
    check_names(settings)
    with _host_ready(request.config):
        group = (EVERYBODY,) if share else group_of(request)
        container = provisioner.clone(image, group=group, share=share, coming=coming, **settings)
    track(request, container)
    request.addfinalizer(lambda: part_with(request.config, container))
    return container


@contextmanager
def _host_ready(config: pytest.Config) -> Iterator[None]:
    """End the whole run where the host lacks something: no test with a container could pass."""
    from ..errors import HostNotReadyError

    try:
        yield
    except HostNotReadyError as error:
        end_run(config, f"{error}\nsee also: lxcontainer doctor")
