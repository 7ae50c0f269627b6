"""Each test a fresh container and one command, with testcontainers."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from testcontainers.core.container import DockerContainer


@pytest.fixture
def container() -> Iterator[DockerContainer]:
    with DockerContainer(os.environ["BENCH_IMAGE"], command=["sleep", "infinity"]) as container:
        yield container


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_exec(container: DockerContainer, number: int) -> None:
    assert container.exec(["true"]).exit_code == 0
