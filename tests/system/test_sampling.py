"""What containers use over time, as the page of a run shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pytest_lxcontainer import MiB
from pytest_lxcontainer.provision import Provisioner, Settings

from .conftest import BUSYBOX, Runner, wait_until


@pytest.fixture
def sampled(settings: Settings, request: pytest.FixtureRequest) -> Iterator[Runner]:
    """A run of the test's own, of which samples are taken."""
    with Provisioner(settings) as provisioner:
        provisioner.begin_sampling()
        yield Runner(provisioner, request)


HOLDS = "x=$(head -c 24000000 /dev/zero | tr '\\0' x); echo holds; sleep 100"
BUSY = "while :; do :; done"


def test_memory_that_a_container_takes_is_seen_after_it_is_gone(sampled: Runner) -> None:
    box = sampled()
    box.exec(HOLDS.replace("sleep 100", "sleep 0.4"))
    box.destroy()
    samples = sampled.provisioner.samples()[box.id]
    assert max(samples.memory) - samples.memory[0] > 15 * MiB


def test_processor_time_grows_where_it_is_spent(sampled: Runner) -> None:
    idle, busy = sampled(), sampled(command=BUSY)
    time.sleep(1)
    spent = {name: each.cpu for name, each in sampled.provisioner.samples().items()}
    assert spent[busy.id][-1] - spent[busy.id][0] > 0.3
    assert spent[idle.id][-1] - spent[idle.id][0] < 0.2
    assert len(spent[busy.id]) > 3


def test_it_goes_on_after_a_restart(sampled: Runner) -> None:
    box = sampled()
    before = len(sampled.provisioner.samples()[box.id].moments)
    box.restart(timeout=0.1)
    wait_until(lambda: len(sampled.provisioner.samples()[box.id].moments) > before)


def test_nothing_is_measured_unless_somebody_asked(run: Runner) -> None:
    box = run()
    time.sleep(0.3)
    assert box.id not in run.provisioner.samples()


def test_many_containers_do_not_slow_the_supervisor_down(sampled: Runner) -> None:
    boxes = [sampled.provisioner.clone(BUSYBOX) for _ in range(20)]
    for box in boxes:
        box.start()
    begin = time.monotonic()
    for _ in range(100):
        boxes[0].status()
    taken = time.monotonic() - begin
    for box in boxes:
        box.destroy()
    assert taken < 1.0
    assert all(box.id in sampled.provisioner.samples() for box in boxes)
