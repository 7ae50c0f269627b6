"""Noticing that memory was used up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_lxcontainer.supervisor.loop import Loop
from pytest_lxcontainer.supervisor.oom import MemoryGuard, OomWatch, oom_kills_below, spare


def test_v2_counts_in_the_directory_above(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert oom_kills_below(tmp_path) == 2
    assert oom_kills_below(tmp_path / "gone") == 0


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    directory = tmp_path / "memory"
    directory.mkdir()
    (directory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    (directory / "cgroup.event_control").touch()
    return directory


class Kernel:
    """Signals the eventfd that was registered, as the kernel does."""

    def __init__(self, cgroup: Path) -> None:
        self.cgroup = cgroup
        self.watch = OomWatch(cgroup)

    def event(self) -> None:
        os.eventfd_write(self.watch.fd, 1)

    def remove(self) -> None:
        for path in self.cgroup.iterdir():
            path.unlink()
        self.cgroup.rmdir()
        self.event()


def test_the_eventfd_is_registered_for_oom_control(cgroup: Path) -> None:
    watch = OomWatch(cgroup)
    assert (cgroup / "cgroup.event_control").read_text().split()[0] == str(watch.fd)
    watch.close()


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize(
    ("happens", "noticed_in_time", "tells"),
    [([], False, False), (["remove"], False, False), (["event"], True, True), (["event", "remove"], False, True)],
)
def test_an_event_is_told_from_the_removal(
    cgroup: Path, killed: bool, happens: list[str], noticed_in_time: bool, tells: bool
) -> None:
    kernel = Kernel(cgroup)
    for each in happens:
        getattr(kernel, each)()
        if noticed_in_time:
            kernel.watch.take()
    assert kernel.watch.tells(killed) is tells
    assert kernel.watch.removed == ("remove" in happens)
    kernel.watch.close()


def test_a_cgroup_that_is_gone_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OomWatch(tmp_path / "gone")


def test_a_guard_watches_from_its_beginning_to_its_end(cgroup: Path) -> None:
    guard, loop = MemoryGuard(None), Loop()
    monitor, theirs = os.pipe()
    guard.begin({"memory": cgroup})
    os.eventfd_write(int((cgroup / "cgroup.event_control").read_text().split()[0]), 1)

    async def look() -> None:
        os.close(theirs)  # the monitor's end
        await guard.watch(monitor)
        loop.stop()

    loop.spawn(look())
    loop.run()
    os.close(monitor)
    assert guard.end(killed=False)
    assert not guard.end(killed=False)


def test_a_guard_without_limits_asks_the_cgroup_above(tmp_path: Path) -> None:
    guard = MemoryGuard(tmp_path)
    guard.begin({"pids": tmp_path})
    assert not guard.end(killed=True)
    (tmp_path / "memory.events").write_text("oom_kill 1\n")
    assert guard.end(killed=True)


@pytest.mark.parametrize(("controller", "entry"), [("memory", "tasks"), ("", "cgroup.procs")])
def test_init_is_spared_by_going_where_the_monitor_is(tmp_path: Path, controller: str, entry: str) -> None:
    own, monitors = tmp_path / "payload", tmp_path / "monitor"
    monitors.mkdir()
    spare(4711, {controller: own, "pids": own}, {controller: monitors, "pids": monitors})
    assert {path.name: path.read_text() for path in monitors.iterdir()} == {entry: "4711"}


def test_where_memory_is_shared_with_others_init_stays(tmp_path: Path) -> None:
    spare(4711, {"pids": tmp_path}, {"memory": tmp_path, "pids": tmp_path})
    assert list(tmp_path.iterdir()) == []
