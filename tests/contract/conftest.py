"""The backends that the contract holds for: the fake always, the supervisor where containers can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container.backend import Backend, ExecHandle, ExecSpec, Status
from pytest_lxcontainer.container.exec import ExecResult, Pipes, argv, run
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.provision import Provisioner, Settings, parse_mirrors
from tests.fakes.backend import FakeBackend

ENV = (("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),)
CWD = "/tmp"
SLEEP = ("sleep", "1000")


class Bench:
    """A backend under test, with containers that are destroyed after it; all of them have `CWD` to work in."""

    def __init__(self, backend: Backend, lower_dirs: tuple[str, ...]) -> None:
        self.backend = backend
        self.lower_dirs = lower_dirs
        self._made: list[str] = []

    def create(self, command: str | Sequence[str] = SLEEP, **fields: Any) -> Status:
        spec = {"hostname": "box", "group": ("contract",), "env": ENV, "cwd": CWD, **fields}
        status = self.backend.create(ContainerSpec(lower_dirs=self.lower_dirs, command=argv(command), **spec))
        self.will_destroy(status.name)
        return status

    def will_destroy(self, name: str) -> None:
        """Have a container destroyed after the test."""
        self._made.append(name)

    def start(self, command: str | Sequence[str] = SLEEP, **fields: Any) -> str:
        """A container that has been started, by name."""
        name = self.create(command, **fields).name
        self.backend.start(name, timeout=20)
        return name

    def exec(self, name: str, command: str | Sequence[str], **options: Any) -> ExecResult[bytes]:
        return run(self.backend, name, self.spec(command), **options)

    def popen(self, name: str, command: str | Sequence[str]) -> ExecHandle:
        with Pipes(stdin=False) as pipes:
            return self.backend.exec(name, self.spec(command), pipes.theirs)

    def spec(self, command: str | Sequence[str], **fields: Any) -> ExecSpec:
        return ExecSpec(argv(command), env=fields.pop("env", ENV), cwd=CWD, **fields)

    def clear(self) -> None:
        for name in self._made:
            self.backend.destroy(name)


@pytest.fixture(scope="module", params=["fake", pytest.param("supervisor", marks=pytest.mark.system)])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A backend for the module's tests."""
    if request.param == "fake":
        with FakeBackend(tmp_path_factory.mktemp("fake")) as fake:
            yield Bench(fake, ())
        return
    store: Path = request.getfixturevalue("store")
    mirrors = parse_mirrors(request.getfixturevalue("mirror"))
    with Provisioner(Settings(store=store, mirrors=mirrors)) as provisioner:
        image = provisioner.pull("busybox:latest")
        yield Bench(provisioner.backend, tuple(str(path) for path in image.lower_dirs))


@pytest.fixture
def bench(home: Bench) -> Iterator[Bench]:
    """The backend, without containers before and after the test."""
    yield home
    home.clear()


@pytest.fixture
def box(bench: Bench) -> str:
    """A running container."""
    return bench.start()
