"""What every `Backend` does when a container is asked for of which more are coming."""

from __future__ import annotations

import pytest

from pytest_lxcontainer.container.demand import Demand, Preparation
from pytest_lxcontainer.container.spec import ContainerSpec

from .conftest import CWD, ENV, SLEEP, Bench


@pytest.mark.parametrize("most", [None, 0, 1])
def test_each_is_another_container_that_runs_or_can_be_started(bench: Bench, most: int | None) -> None:
    names, ips = [], []
    for coming in (2, 1, 0):
        spec = ContainerSpec("box", f"group-{coming}", bench.lower_dirs, SLEEP, env=ENV, cwd=CWD)
        preparation = Preparation([["File", "/"]], 20, ["/bin/sh", "-c"], "/root", None)
        status, is_ready = bench.backend.take(spec, Demand(coming, most, preparation))
        bench.will_destroy(status.name)
        assert (status.state == "RUNNING") == is_ready
        if not is_ready:
            assert status.state == "STOPPED"
            status = bench.backend.start(status.name, 20)
        assert status.state == "RUNNING" and bench.backend.status(status.name) == status
        assert bench.exec(status.name, "echo hello").stdout == b"hello\n"
        names.append(status.name)
        ips.append(status.ips)
        assert bench.backend.names().keys() >= set(names)
    assert len(set(names)) == len(set(ips)) == 3
