"""Each test a fresh container and one command, with this plugin."""

from __future__ import annotations

import os

import pytest

from pytest_lxcontainer import Container


@pytest.mark.container(os.environ["BENCH_IMAGE"], command=["sleep", "infinity"])
@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_exec(container: Container, number: int) -> None:
    assert container.exec(["true"]).exit_code == 0
