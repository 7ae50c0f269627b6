"""Limits at start and live, on whatever cgroups this host has, and what the figures say then.

Where this user may make no cgroups (scripts/as-user --no-cgroups), each test shows what is left: one error that names
the delegation, and figures from /proc.
"""

from __future__ import annotations

import pytest

from pytest_lxcontainer import Container, Limits, MiB, wait
from pytest_lxcontainer.errors import (
    ContainerDiedError,
    InvalidSettingsError,
    KernelRefusedError,
    NotDelegatedError,
)

from .conftest import Runner


@pytest.fixture
def delegated(run: Runner) -> bool:
    """Whether containers have cgroups of their own here."""
    return run().stats().source != "proc"


def refusal(run: Runner, **limits: int | float | str) -> NotDelegatedError:
    with pytest.raises(NotDelegatedError) as caught:
        run(limits=Limits(**limits))  # type: ignore[arg-type]  # as given
    return caught.value


def test_limits_are_enforced_and_can_be_read(run: Runner, delegated: bool) -> None:
    asked = Limits(memory="64MiB", cpus=0.5, pids=40, io_read="8MiB", io_write="4MiB", soft_memory="32MiB")
    if not delegated:
        assert "lxcontainer doctor --fix --user" in refusal(run, memory="64MiB").hint
        return
    box = run(limits=asked)
    assert box.limits == asked
    assert box.stats().memory_limit == 64 * MiB
    shown = box.exec("for i in $(seq 60); do sleep 10 & done; wait", timeout=20)
    assert shown.exit_code != 0
    assert "can't fork" in shown.stderr


def test_swap_counts_on_top_of_memory(run: Runner, delegated: bool) -> None:
    if not delegated:
        assert "swap" in refusal(run, memory="64MiB", swap="16MiB").message
        return
    box = run(limits=Limits(memory="64MiB", swap="16MiB"))
    assert (box.limits.memory, box.limits.swap) == (64 * MiB, 16 * MiB)
    assert box.set_limits(memory="128MiB") == Limits(memory="128MiB", swap="16MiB")
    assert box.set_limits(swap=0, memory="32MiB") == Limits(memory="32MiB", swap=0)
    assert box.set_limits(swap=None) == Limits(memory="32MiB")
    assert box.set_limits(memory="256MiB", swap="1GiB").swap == 1024 * MiB


def test_limits_change_while_it_runs_and_are_lifted(run: Runner, delegated: bool) -> None:
    box = run()
    if not delegated:
        with pytest.raises(NotDelegatedError, match="memory"):
            box.set_limits(memory="64MiB")
        assert box.limits == Limits(pids=None)
        return
    assert box.limits == Limits()
    everything = {"memory": "64MiB", "cpus": 1.5, "pids": 30, "io_read": MiB, "io_write": MiB, "soft_memory": MiB}
    assert box.set_limits(**everything) == Limits(**everything)  # type: ignore[arg-type]  # as given
    assert box.set_limits(**dict.fromkeys(everything)) == Limits(pids=None)


def test_changed_limits_hold_after_a_restart(run: Runner, delegated: bool) -> None:
    box = run()
    if not delegated:
        with pytest.raises(NotDelegatedError):
            box.set_limits(pids=30)
        return
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


def test_memory_in_use_cannot_be_taken_away_on_v1(run: Runner, delegated: bool) -> None:
    box = run(command="sleep 1000", tmpfs={"/mem": "size=64m"})
    if not delegated or box.stats().source == "cgroup2":
        return  # v2 ends processes instead, as the next test shows
    box.exec("head -c 32m /dev/zero > /mem/held", check=True)
    with pytest.raises(KernelRefusedError, match=r"memory\.limit_in_bytes") as caught:
        box.set_limits(memory="4MiB")
    assert isinstance(caught.value, OSError)
    assert box.limits.memory is None


def test_an_oom_kill_of_its_command_is_told(run: Runner, delegated: bool) -> None:
    if not delegated:
        assert refusal(run, memory="16MiB").container
        return
    limits = Limits(memory="16MiB", swap=0)
    with pytest.raises(ContainerDiedError, match=r"out of memory, its limit is 16\.0 MiB") as caught:
        run(command=["sh", "-c", "sleep 0.1; exec tail -c 100m /dev/zero"], limits=limits, ready=wait.port(9))
    assert caught.value.exit_code == 137


def test_an_oom_kill_of_another_process_is_counted(run: Runner, delegated: bool) -> None:
    if not delegated:
        assert run().stats().oom_kills is None
        return
    box = run(limits=Limits(memory="16MiB", swap=0))
    assert box.stats().oom_kills == 0
    assert box.exec(["tail", "-c", "100m", "/dev/zero"]).exit_code == -9
    assert box.stats().oom_kills == 1
    assert box.running
    box.stop(timeout=5)
    assert box.status().reason.endswith("processes of it were killed: out of memory, its limit is 16.0 MiB")


def test_an_oom_kill_under_a_limit_set_later_is_told(run: Runner, delegated: bool) -> None:
    box = run(command="while [ ! -e /go ]; do sleep 0.02; done; exec tail -c 100m /dev/zero")
    if not delegated:
        return
    box.set_limits(memory="16MiB", swap=0)
    box.write_text("/go", "")
    box.wait("STOPPED", timeout=20)
    assert box.exit_code == 137
    assert "out of memory" in box.status().reason


def test_a_kill_by_the_test_is_no_oom_kill(run: Runner, delegated: bool) -> None:
    box = run(limits=Limits(memory="64MiB") if delegated else Limits())
    box.kill()
    box.wait("STOPPED")
    assert box.status().reason == "killed by SIGKILL"


def test_a_kill_from_inside_is_no_oom_kill(run: Runner, delegated: bool) -> None:
    limits = Limits(memory="64MiB") if delegated else Limits()
    box = run(command="sleep 0.1; kill -KILL $$", limits=limits, ready=wait.exit(137))
    assert box.status().reason == "killed by SIGKILL"


def test_the_figures_are_complete(run: Runner, delegated: bool) -> None:
    box = run(command="i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; echo busy; sleep 1000", ready=wait.log("busy"))
    stats = box.stats()
    assert stats.memory_usage > 0
    assert stats.cpu_time > 0
    assert stats.cpu_user is not None and stats.cpu_system is not None
    assert stats.pids >= 1
    if not delegated:
        assert stats.source == "proc"
        assert (stats.memory_limit, stats.swap_limit, stats.oom_kills) == (None, None, None)
    if stats.source == "cgroup1":
        assert sum(stats.cpu_time_per_cpu) == pytest.approx(stats.cpu_time, rel=0.01)
        assert stats.memory_peak is not None and stats.memory_peak >= 0


def test_traffic_is_counted_as_the_container_sees_it(box: Container, run: Runner) -> None:
    sink = run(command="while :; do nc -l -p 7000 >> /got; done")
    before = (box.stats().networks["eth0"], sink.stats().networks["eth0"])
    box.wait_for(lambda each: each.exec(f"head -c 300000 /dev/zero | nc -w 1 {sink.ip} 7000").exit_code == 0)
    after = (box.stats().networks["eth0"], sink.stats().networks["eth0"])
    assert after[0].tx_bytes - before[0].tx_bytes > 300_000 > after[0].rx_bytes - before[0].rx_bytes
    assert after[1].rx_bytes - before[1].rx_bytes > 300_000 > after[1].tx_bytes - before[1].tx_bytes


def test_without_delegation_one_error_names_it(run: Runner, delegated: bool) -> None:
    box = run()
    if delegated:
        box.freeze()
        box.unfreeze()
        assert box.cgroup_item("cgroup.procs")
        return
    for operation in (box.freeze, lambda: box.set_limits(pids=5), lambda: box.cgroup_item("pids.max")):
        with pytest.raises(NotDelegatedError) as caught:
            operation()
        assert "cgroups" in caught.value.message
        assert "lxcontainer doctor --fix --user" in caught.value.hint
