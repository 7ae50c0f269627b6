from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_lxcontainer.container.container import Container
from pytest_lxcontainer.container.exec import argv
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.container.traits import Readiness, Traits
from pytest_lxcontainer.image import Image, ImageConfig, Reference
from pytest_lxcontainer.image.digest import sha256_of
from tests.fakes.backend import FakeBackend

Make = Callable[..., Container]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[FakeBackend]:
    with FakeBackend(tmp_path / "containers") as backend:
        yield backend


@pytest.fixture
def make(backend: FakeBackend) -> Make:
    """Makes containers that run a shell command on this host; *ready* and what else `Traits` takes by keyword."""

    def make(command: Any = ("sleep", "1000"), *, ready: Any = (), timeout: float = 20, **traits: Any) -> Container:
        spec = ContainerSpec(
            hostname="box",
            group=(),
            lower_dirs=(),
            command=argv(command),
            env=(("PATH", "/usr/bin:/bin"), ("HOME", "/root")),
            cwd="/desk",
            labels=(("from", "test"),),
            networks=traits.pop("networks", ("default",)),
        )
        digest = sha256_of(b"")
        image = Image(Reference.parse("box"), digest, digest, ImageConfig(labels={"from": "image", "a": "b"}), 0, ())
        return Container(backend, spec, image, Traits(Readiness(tuple(ready), timeout), **traits))

    return make


@pytest.fixture
def box(make: Make) -> Container:
    """A running container."""
    return make().start()
