"""A pytest file whose tests measure one container's life each, when the benchmark asks for it.

Not collected by anything: lifecycle.py runs it in a real pytest, with the plugin and nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_lxcontainer import Container

_CYCLES = int(os.environ["BENCH_CYCLES"])
_IMAGE = os.environ["BENCH_IMAGE"]
_BALLAST_BYTES = int(os.environ["BENCH_BALLAST"])


@pytest.fixture(scope="session")
def benchmark_socket() -> Iterator[Any]:
    with socket.socket(fileno=int(os.environ["BENCH_FD"])) as connection, connection.makefile("rw") as stream:
        yield stream


@pytest.fixture(scope="session")
def ballast() -> bytearray:
    """Memory that is really there, as a test process that has loaded a model or a data set holds it."""
    held = bytearray(_BALLAST_BYTES)
    held[::4096] = b"x" * len(held[::4096])
    return held


@pytest.fixture
def stamps(benchmark_socket: Any, ballast: bytearray) -> Iterator[dict[str, float]]:
    """Set up right before the container, and so torn down right after it: what passes in between is its teardown."""
    benchmark_socket.readline()
    stamps = {"requested": time.perf_counter()}
    yield stamps
    stamps["gone"] = time.perf_counter()
    spans = {
        "start": stamps["usable"] - stamps["requested"],
        "exec": stamps["executed"] - stamps["usable"],
        "teardown": stamps["gone"] - stamps["over"],
    }
    benchmark_socket.write(json.dumps(spans) + "\n")
    benchmark_socket.flush()


@pytest.fixture
def measured(stamps: dict[str, float], container: Container) -> Iterator[None]:
    stamps["usable"] = time.perf_counter()
    result = container.exec(["true"])
    stamps["executed"] = time.perf_counter()
    assert result.exit_code == 0
    yield
    stamps["over"] = time.perf_counter()


@pytest.mark.container(_IMAGE, command=["sleep", "infinity"])
@pytest.mark.parametrize("cycle", range(_CYCLES))
def test_cycle(stamps: dict[str, float], container: Container, measured: None, cycle: int) -> None:
    pass
