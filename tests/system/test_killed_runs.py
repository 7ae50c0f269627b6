"""Runs of which everything is killed at some moment: after the next run nothing is left of them."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

import pytest

from pytest_lxcontainer.provision import Provisioner
from pytest_lxcontainer.settings import Settings
from pytest_lxcontainer.supervisor.owner import Owner

from ..fakes.images import Layer, image
from ..fakes.registry import FakeRegistry
from . import lived, pulled_often
from .conftest import wait_until
from .leaks import Leaks

KILLS = 50
MOST_PAUSE = 0.3
"""Seconds for which what is left may notice that its owner is dead."""


def grow_old(runs_dir: Path) -> None:
    """Have a minute pass, in which what has no owner yet could still be in the making."""
    for path in runs_dir.iterdir():
        os.utime(path, (0, 0))


def none_alive(processes: set[Owner]) -> bool:
    return not any(each.alive for each in processes)


@pytest.mark.exhaustive
def test_nothing_is_left_of_a_run_that_is_killed_once_the_next_has_begun(
    registry: FakeRegistry, busybox_layer: Layer, own_store: Path, leaks: Leaks
) -> None:
    leaks.watch(own_store)
    registry.push(image([busybox_layer], Cmd=["sleep", "60"]), "box", "1")
    reference = f"{registry.host}/box:1"
    seed = random.randrange(1 << 32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    context = pulled_often.context()

    def begun(rounds: int) -> pulled_often.ForkServerProcess:
        process = context.Process(target=lived.live, args=(own_store, reference, rounds))
        process.start()
        return process

    begin = time.monotonic()
    whole = begun(1)
    whole.join(pulled_often.TIMEOUT)
    assert whole.exitcode == 0
    life = time.monotonic() - begin

    for number in range(KILLS):
        process = begun(1000)
        time.sleep(chance.uniform(0, life))
        assert process.pid
        everything = lived.kill_all(process.pid, chance.uniform(0, MOST_PAUSE) if number % 2 else 0.0)
        process.join()
        grow_old(own_store / "runs")
        with Provisioner(Settings(store=own_store)) as provisioner:
            provisioner.run(reference)
        leaks.assert_nothing_new()
        wait_until(partial(none_alive, everything))
