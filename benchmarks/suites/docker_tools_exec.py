"""Each test a fresh container and one command, with pytest-docker-tools."""

from __future__ import annotations

import os
from typing import Any

import pytest
from pytest_docker_tools import container

box = container(image=os.environ["BENCH_IMAGE"], command=["sleep", "infinity"])


@pytest.mark.parametrize("number", range(int(os.environ["BENCH_TESTS"])))
def test_exec(box: Any, number: int) -> None:
    assert box.exec_run(["true"]).exit_code == 0
