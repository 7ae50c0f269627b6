"""What every backend promises of a container's network."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_lxcontainer.errors import ContainerError, DestroyedError, KernelRefusedError, NotRunningError
from pytest_lxcontainer.network.faults import Fault

from .conftest import Bench

DELAY, LOSS = Fault("delay", "out", amount=0.1).to_dict(), Fault("loss", "in", ports=(80,), amount=0.3).to_dict()


def test_faults_are_told_with_numbers_in_their_order(bench: Bench) -> None:
    name = bench.start()
    assert bench.backend.faults(name) == []
    first, second = bench.backend.add_faults(name, [DELAY, LOSS])
    (third,) = bench.backend.add_faults(name, [DELAY])
    assert bench.backend.faults(name) == [(first, DELAY), (second, LOSS), (third, DELAY)]
    bench.backend.remove_faults(name, [second])
    assert bench.backend.faults(name) == [(first, DELAY), (third, DELAY)]
    bench.backend.remove_faults(name, [second, 12345])
    bench.backend.remove_faults(name, None)
    assert bench.backend.faults(name) == []


def test_faults_can_be_put_on_before_it_runs_and_outlive_a_stop(bench: Bench) -> None:
    name = bench.create().name
    numbers = bench.backend.add_faults(name, [DELAY])
    bench.backend.start(name, timeout=20)
    bench.backend.stop(name, timeout=5)
    assert bench.backend.faults(name) == [(*numbers, DELAY)]


def test_connections_are_reset_while_it_runs(bench: Bench) -> None:
    name = bench.create().name
    with pytest.raises(NotRunningError):
        bench.backend.reset_connections(name, [], [])
    bench.backend.start(name, timeout=20)
    bench.backend.reset_connections(name, ["192.0.2.1"], [80])


def test_a_recording_is_a_new_file(bench: Bench, tmp_path: Path) -> None:
    name, path = bench.start(), tmp_path / "x.pcap"
    number = bench.backend.begin_capture(name, str(path))
    assert bench.backend.end_capture(name, number) is not None
    assert bench.backend.end_capture(name, number) is None
    assert path.read_bytes()[:4] == b"\x4d\x3c\xb2\xa1"
    with pytest.raises(KernelRefusedError, match="cannot be made: File exists"):
        bench.backend.begin_capture(name, str(path))


def test_without_a_network_nothing_can_be_broken(bench: Bench, tmp_path: Path) -> None:
    name = bench.start(networks=())
    for attempt in (
        lambda: bench.backend.add_faults(name, [DELAY]),
        lambda: bench.backend.reset_connections(name, [], []),
        lambda: bench.backend.begin_capture(name, str(tmp_path / "x")),
    ):
        with pytest.raises(ContainerError, match="no network but the loopback"):
            attempt()
    assert bench.backend.faults(name) == []
    bench.backend.remove_faults(name, None)


def test_of_a_destroyed_one_nothing_is_known(bench: Bench) -> None:
    name = bench.start()
    bench.backend.destroy(name)
    with pytest.raises(DestroyedError):
        bench.backend.faults(name)
