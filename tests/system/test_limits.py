"""Limits at start and live, on whatever cgroups this host has, and what the figures say then.

Where this user may make no cgroups (scripts/as-user --no-cgroups) the tests at the end show what is left: one error
that names the delegation, and figures from /proc.
"""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lxcontainer import Limits, MiB, Stats, wait
from pytest_lxcontainer.errors import (
    ContainerDiedError,
    InvalidSettingsError,
    KernelRefusedError,
    NotDelegatedError,
)

from .conftest import Runner


@pytest.mark.needs_cgroups
def test_limits_are_enforced_and_can_be_read(run: Runner) -> None:
    asked = Limits(memory="64MiB", cpus=0.5, pids=40, io_read="8MiB", io_write="4MiB", soft_memory="32MiB")
    box = run(limits=asked)
    assert box.limits == asked
    assert box.stats().memory_limit == 64 * MiB
    shown = box.exec("for i in $(seq 60); do sleep 10 & done; wait", timeout=20)
    assert shown.exit_code != 0
    assert "can't fork" in shown.stderr


@pytest.mark.needs_cgroups
def test_swap_counts_on_top_of_memory(run: Runner) -> None:
    box = run(limits=Limits(memory="64MiB", swap="16MiB"))
    assert (box.limits.memory, box.limits.swap) == (64 * MiB, 16 * MiB)
    assert box.set_limits(memory="128MiB") == Limits(memory="128MiB", swap="16MiB")
    assert box.set_limits(swap=0, memory="32MiB") == Limits(memory="32MiB", swap=0)
    assert box.set_limits(swap=None) == Limits(memory="32MiB")
    assert box.set_limits(memory="256MiB", swap="1GiB").swap == 1024 * MiB


@pytest.mark.needs_cgroups
def test_limits_change_while_it_runs_and_are_lifted(run: Runner) -> None:
    box = run()
    assert box.limits == Limits()
    everything = {"memory": "64MiB", "cpus": 1.5, "pids": 30, "io_read": MiB, "io_write": MiB, "soft_memory": MiB}
    assert box.set_limits(**everything) == Limits(**everything)  # type: ignore[arg-type]  # as given
    assert box.set_limits(**dict.fromkeys(everything)) == Limits(pids=None)


@pytest.mark.needs_cgroups
def test_changed_limits_hold_after_a_restart(run: Runner) -> None:
    box = run()
    box.set_limits(memory="64MiB", pids=30)
    box.restart(timeout=0.1)
    assert box.limits == Limits(memory="64MiB", pids=30)
    box.stop(timeout=0.1)
    assert box.set_limits(pids=50) == Limits(memory="64MiB", pids=50)
    box.start()
    assert box.limits == Limits(memory="64MiB", pids=50)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"memory": "much"}, "no size"), ({"cpus": 0}, "above 0"), ({"ram": 1}, "ram"), ({"swap": 1}, "on top of memory")],
)
def test_what_is_no_limit_is_refused_and_changes_nothing(run: Runner, changes: dict[str, object], says: str) -> None:
    box = run()
    before = box.limits
    with pytest.raises(InvalidSettingsError, match=says):
        box.set_limits(**changes)  # type: ignore[arg-type]  # that is the point
    assert box.limits == before


@pytest.mark.needs_cgroups(version=1)
def test_memory_in_use_cannot_be_taken_away_on_v1(run: Runner) -> None:
    box = run(command="sleep 1000", tmpfs={"/mem": "size=64m"})
    box.exec("head -c 32m /dev/zero > /mem/held", check=True)
    with pytest.raises(KernelRefusedError, match=r"memory\.limit_in_bytes") as caught:
        box.set_limits(memory="4MiB")
    assert isinstance(caught.value, OSError)
    assert box.limits.memory is None


@pytest.mark.needs_cgroups
def test_an_oom_kill_of_its_command_is_told(run: Runner) -> None:
    limits = Limits(memory="16MiB", swap=0)
    with pytest.raises(ContainerDiedError, match=r"out of memory, its limit is 16\.0 MiB") as caught:
        run(command=["sh", "-c", "sleep 0.1; exec tail -c 100m /dev/zero"], limits=limits, ready=wait.port(9))
    assert caught.value.exit_code == 137


@pytest.mark.needs_cgroups
@pytest.mark.parametrize("memory", ["8MiB", "16MiB", "64MiB"])
def test_an_oom_kill_of_another_process_is_counted(run: Runner, memory: str) -> None:
    """Not of LXC's init, though that is larger than what the smaller limits leave room for."""
    box = run(limits=Limits(memory=memory, swap=0))
    assert box.stats().oom_kills == 0
    assert box.exec(["tail", "-c", "100m", "/dev/zero"]).exit_code == -9
    assert box.stats().oom_kills == 1
    assert box.check_output(["echo", "still there"]) == "still there"
    box.stop(timeout=5)
    limit = f"{memory[:-3]}.0 MiB"
    assert box.status().reason.endswith(f"processes of it were killed: out of memory, its limit is {limit}")


@pytest.mark.needs_cgroups
def test_an_oom_kill_of_another_process_under_a_limit_set_later_spares_the_container(run: Runner) -> None:
    box = run()
    box.set_limits(memory="8MiB", swap=0)
    assert box.exec(["tail", "-c", "100m", "/dev/zero"]).exit_code == -9
    assert box.check_output(["echo", "still there"]) == "still there"
    assert box.stats().oom_kills == 1


@pytest.mark.needs_cgroups
def test_an_oom_kill_under_a_limit_set_later_is_told(run: Runner) -> None:
    box = run(command="while [ ! -e /go ]; do sleep 0.02; done; exec tail -c 100m /dev/zero")
    box.set_limits(memory="16MiB", swap=0)
    box.write_text("/go", "")
    box.wait("STOPPED", timeout=20)
    assert box.exit_code == 137
    assert "out of memory" in box.status().reason


@pytest.mark.parametrize(
    "limits", [Limits(), pytest.param(Limits(memory="64MiB"), marks=pytest.mark.needs_cgroups)], ids=["none", "memory"]
)
def test_a_kill_by_the_test_is_no_oom_kill(run: Runner, limits: Limits) -> None:
    box = run(limits=limits)
    box.kill()
    box.wait("STOPPED")
    assert box.status().reason == "killed by SIGKILL"


@pytest.mark.parametrize(
    "limits", [Limits(), pytest.param(Limits(memory="64MiB"), marks=pytest.mark.needs_cgroups)], ids=["none", "memory"]
)
def test_a_kill_from_inside_is_no_oom_kill(run: Runner, limits: Limits) -> None:
    box = run(command="sleep 0.1; kill -KILL $$", limits=limits, ready=wait.exit(137))
    assert box.status().reason == "killed by SIGKILL"


@pytest.fixture
def busy(run: Runner) -> Stats:
    """The figures of a container that has computed something."""
    box = run(command="i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo busy; sleep 1000", ready=wait.log("busy"))
    return box.stats()


def test_the_figures_are_complete(busy: Stats) -> None:
    assert busy.memory_usage > 0
    assert busy.cpu_time > 0
    assert busy.cpu_user is not None and busy.cpu_system is not None
    assert busy.pids >= 1


@pytest.mark.needs_cgroups(version=1)
def test_the_figures_of_v1_tell_more(busy: Stats) -> None:
    assert sum(busy.cpu_time_per_cpu) == pytest.approx(busy.cpu_time, rel=0.01)
    assert busy.memory_peak is not None and busy.memory_peak >= 0


@pytest.mark.needs_no_cgroups
def test_without_delegation_the_figures_are_those_of_proc(busy: Stats) -> None:
    assert busy.source == "proc"
    assert (busy.memory_limit, busy.swap_limit, busy.oom_kills) == (None, None, None)


def test_traffic_is_counted_as_the_container_sees_it(run: Runner) -> None:
    box, sink = run(group="g"), run(command="while :; do nc -l -p 7000 >> /got; done", group="g")
    before = (box.stats().networks["eth0"], sink.stats().networks["eth0"])
    box.wait_for(lambda each: each.exec(f"head -c 300000 /dev/zero | nc -w 1 {sink.ip} 7000").exit_code == 0)
    after = (box.stats().networks["eth0"], sink.stats().networks["eth0"])
    assert after[0].tx_bytes - before[0].tx_bytes > 300_000 > after[0].rx_bytes - before[0].rx_bytes
    assert after[1].rx_bytes - before[1].rx_bytes > 300_000 > after[1].tx_bytes - before[1].tx_bytes


@pytest.mark.needs_no_cgroups
@pytest.mark.parametrize("limits", [{"memory": "64MiB"}, {"memory": "64MiB", "swap": "16MiB"}, {"pids": 30}])
def test_without_delegation_limits_are_refused_before_the_start(run: Runner, limits: dict[str, Any]) -> None:
    with pytest.raises(NotDelegatedError, match=", ".join(limits)) as caught:
        run(limits=Limits(**limits))
    assert caught.value.container
    assert "lxcontainer doctor --fix --user" in caught.value.hint


@pytest.mark.needs_no_cgroups
def test_without_delegation_one_error_names_it(run: Runner) -> None:
    box = run()
    for operation in (box.freeze, lambda: box.set_limits(pids=5), lambda: box.cgroup_item("pids.max")):
        with pytest.raises(NotDelegatedError) as caught:
            operation()
        assert "cgroups" in caught.value.message
        assert "lxcontainer doctor --fix --user" in caught.value.hint
    assert box.limits == Limits(pids=None)
