"""Containers from a `Provisioner`, as a program without pytest would have them."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container.container import Container
from pytest_lxcontainer.image import Digest
from pytest_lxcontainer.provision import Provisioner, Settings, parse_mirrors

from ..conftest import made_store, remove_tree
from ..fakes.images import OCI_LAYER, Entry, Layer, image, layer, push
from ..fakes.registry import FakeRegistry
from .command import Command
from .leaks import Leaks, supervisor_of
from .trees import Viewer

BUSYBOX = "busybox:latest"
Make = Callable[..., Container]


@pytest.fixture(autouse=True)
def _nothing_left(leaks: Leaks) -> None:
    """Every test here leaves the host as it was."""


@pytest.fixture(scope="session")
def settings(store: Path, mirror: str) -> Settings:
    return Settings(store=store, mirrors=parse_mirrors(mirror))


@pytest.fixture(scope="session")
def provisioner(settings: Settings) -> Iterator[Provisioner]:
    """One run for all tests of this process; it has had containers, so that what containers share is there.

    With *init*, and without: then LXC makes its cgroups, in whatever hierarchies there are.
    """
    with Provisioner(settings) as provisioner:
        for init in (True, False):
            first = provisioner.run(BUSYBOX, "sleep 1000", init=init)
            directory = provisioner.layout.run_dir(provisioner.identity.run_id) / first.id
            first.destroy()
            wait_until(directory_is_gone(directory))
        provisioner.backend.tools()
        yield provisioner


def directory_is_gone(path: Path) -> Callable[[], bool]:
    return lambda: not path.exists()


class Runner:
    """`Provisioner.run` with every container destroyed after the test, however it ended."""

    def __init__(self, provisioner: Provisioner, request: pytest.FixtureRequest) -> None:
        self.provisioner = provisioner
        self._request = request

    def __call__(self, image: Any = BUSYBOX, command: Any = None, **settings: Any) -> Container:
        return self.clone(image, command, **settings).start()

    def clone(self, image: Any = BUSYBOX, command: Any = None, **settings: Any) -> Container:
        container = self.provisioner.clone(image, command, **settings)
        self._request.addfinalizer(container.destroy)
        return container


@pytest.fixture
def run(provisioner: Provisioner, request: pytest.FixtureRequest) -> Runner:
    return Runner(provisioner, request)


@pytest.fixture
def box(run: Runner) -> Container:
    """A running busybox."""
    return run()


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of the test's own; what it holds is named ``{registry.host}/repository:tag``."""
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture(scope="session")
def busybox_layer(provisioner: Provisioner) -> Layer:
    """The busybox image as one layer of an image to be made."""
    config = provisioner.pull(BUSYBOX).config
    manifest = json.loads(provisioner.layout.blob(provisioner.pull(BUSYBOX).digest).read_bytes())
    (descriptor,) = manifest["layers"]
    blob = provisioner.layout.blob(Digest.parse(descriptor["digest"])).read_bytes()
    return Layer(blob, config.diff_ids[0], OCI_LAYER + "+gzip")


@pytest.fixture
def build(registry: FakeRegistry, busybox_layer: Layer) -> Callable[..., str]:
    """Makes an image of busybox and *entries* with a configuration, and returns its reference."""
    count = 0

    def build(entries: dict[str, Entry] | None = None, *, base: bool = True, **config: Any) -> str:
        nonlocal count
        count += 1
        layers = [*([busybox_layer] if base else []), *([layer(entries)] if entries else [])]
        push(image(layers, **config), registry.url, "app", str(count))
        return f"{registry.host}/app:{count}"

    return build


@pytest.fixture
def boot(build: Callable[..., str], run: Runner) -> Make:
    """Runs an image made of *entries* and a configuration; *settings* are the container's."""

    def boot(
        entries: dict[str, Entry] | None = None, settings: dict[str, Any] | None = None, **config: Any
    ) -> Container:
        return run(build(entries, **{"Cmd": ["sleep", "600"], **config}), **(settings or {}))

    return boot


def wait_until(condition: Any, timeout: float = 5.0) -> None:
    """Poll until *condition* holds; fails after *timeout* seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout:g} s"
        time.sleep(0.01)


def lxc_log_of(provisioner: Provisioner, name: str) -> Path:
    """What LXC has written of container *name*: root's is in memory, where the run's supervisor sees it."""
    run_id = provisioner.identity.run_id
    if as_root():
        return Path(f"/proc/{supervisor_of(run_id)}/root/run/lxt{run_id}/c/{name}/lxc.log")
    return provisioner.layout.run_dir(run_id) / name / "lxc.log"


def is_alive(pid: int) -> bool:
    """Whether process *pid* runs; one that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def as_root() -> bool:
    return os.geteuid() == 0


@pytest.fixture(scope="module")
def command_store() -> Iterator[Path]:
    """A module's own: in the store of all tests, others would take runs that are nobody's for what they have left."""
    path = made_store(Path(f"/var/tmp/lxcontainer-command-{os.getpid()}-{os.urandom(3).hex()}"))
    yield path
    remove_tree(path)


@pytest.fixture
def lxcontainer(command_store: Path, mirror: str, leaks: Leaks) -> Iterator[Command]:
    """The command, in a store of the module's; nothing of its containers is left behind."""
    leaks.watch(command_store)
    command = Command(command_store, mirror)
    yield command
    command.clear()


@pytest.fixture
def where() -> Iterator[Path]:
    """A directory of the test's own that root's tools may use."""
    path = own_directory()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory for trees of any owner, on a file system that keeps extended attributes."""
    path = own_directory(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def viewer(scratch: Path) -> Iterator[Viewer]:
    (scratch / "mount").mkdir()
    with Viewer(scratch / "mount") as viewer:
        yield viewer
    assert "lxcontainer-test" not in Path("/proc/self/mounts").read_text()


def own_directory(mode: int = 0o777) -> Path:
    path = Path(f"/var/tmp/lxcontainer-test-{os.getpid()}-{os.urandom(3).hex()}")
    path.mkdir(mode)
    return path
