"""Cgroup files, LXC's configuration, devices and interfaces of a running container."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Limits
from pytest_lxcontainer.errors import (
    KernelRefusedError,
    NotDelegatedError,
    NotPermittedError,
    NotRunningError,
    UnknownItemError,
)

from .conftest import Runner, as_root, wait_until


@pytest.mark.needs_cgroups
def test_cgroup_files_are_read_and_written_by_the_kernels_names(box: Container) -> None:
    memory = "memory.limit_in_bytes" if box.stats().source == "cgroup1" else "memory.max"
    box.set_cgroup_item(memory, 64 << 20)
    assert box.cgroup_item(memory) == str(64 << 20)
    assert box.limits.memory == 64 << 20
    assert box.cgroup_item("pids.max") == str(Limits().pids)
    assert box.pid is not None and str(box.pid) in box.cgroup_item("cgroup.procs").split()


@pytest.mark.needs_no_cgroups
def test_without_cgroups_of_its_own_there_are_no_files_of_theirs(box: Container) -> None:
    with pytest.raises(NotDelegatedError, match=r"pids\.max"):
        box.cgroup_item("pids.max")
    with pytest.raises(NotDelegatedError, match=r"pids\.max"):
        box.set_cgroup_item("pids.max", "many")


@pytest.mark.needs_cgroups
def test_a_cgroup_file_that_is_not_there_is_a_key_error_that_lists_those_that_are(box: Container) -> None:
    with pytest.raises(UnknownItemError, match=r"memory\.stat") as caught:
        box.cgroup_item("memory.no_such_thing")
    assert isinstance(caught.value, KeyError)
    for key in ("../memory.stat", "/etc/passwd", "", ".."):
        with pytest.raises(UnknownItemError):
            box.cgroup_item(key)


@pytest.mark.needs_cgroups
def test_what_the_kernel_does_not_take_says_so(box: Container) -> None:
    with pytest.raises(KernelRefusedError, match=r"pids\.max does not take 'many': Invalid argument") as caught:
        box.set_cgroup_item("pids.max", "many")
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("running", [True, False])
def test_configuration_is_as_lxc_has_it(run: Runner, running: bool) -> None:
    box = run() if running else run.clone()
    assert box.lxc_config_item("lxc.uts.name") == box.hostname
    assert box.lxc_config_item("lxc.net.0.type") == ("empty" if as_root() else "veth")
    assert len(box.lxc_config_item("lxc.mount.entry").splitlines()) > 2
    assert box.lxc_config_item("lxc.hook.stop") == ""
    assert {"lxc.uts.name", "lxc.mount.entry"} <= set(box.lxc_config_keys())
    with pytest.raises(UnknownItemError, match=r"lxc\.no\.such\.key"):
        box.lxc_config_item("lxc.no.such.key")


@pytest.mark.needs_user
def test_only_root_may_add_devices(box: Container) -> None:
    with pytest.raises(NotPermittedError, match="only root may"):
        box.add_device("/dev/zero", "/dev/nothing")
    with pytest.raises(NotPermittedError, match="only root may"):
        box.remove_device("/dev/nothing")


@pytest.mark.needs_root
def test_a_device_of_the_hosts_can_be_used_inside(run: Runner) -> None:
    box = run()
    box.add_device("/dev/zero", "/dev/deep/nothing")
    for user in ("root", "1000"):
        assert box.exec(["head", "-c", "3", "/dev/deep/nothing"], user=user, text=False).stdout == b"\0\0\0"
    box.remove_device("/dev/deep/nothing")
    assert not box.exists("/dev/deep/nothing")
    with pytest.raises(UnknownItemError, match="/dev/deep/nothing"):
        box.remove_device("/dev/deep/nothing")


@pytest.mark.needs_root
def test_a_device_keeps_its_path_where_none_is_given(run: Runner) -> None:
    box = run()
    box.add_device(Path("/dev/net/tun"))
    assert box.check_output(["stat", "-c", "%t:%T", "/dev/net/tun"]) == "a:c8"
    assert box.exec(["dd", "if=/dev/net/tun", "count=1"]).stderr.startswith("dd: ")  # open, not bound: EBADFD


@pytest.mark.needs_root
def test_a_device_in_a_privileged_container_is_allowed_there(run: Runner) -> None:
    box = run(privileged=True)
    box.check_output("mknod /dev/other c 10 200")
    assert "Operation not permitted" in box.exec(["dd", "if=/dev/other", "count=1"]).stderr
    box.add_device("/dev/net/tun", "/dev/mine")
    assert "bad state" in box.exec(["dd", "if=/dev/mine", "count=1"]).stderr  # open, and bound to no interface


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("host_path", "path", "says"),
    [
        ("/dev/no-such-device", "/dev/x", "No such file"),
        ("/etc/hostname", "/dev/x", "it is no device"),
        ("/dev/zero", "/dev/null", "File exists"),
    ],
)
def test_a_device_that_cannot_be_added_says_why(run: Runner, host_path: str, path: str, says: str) -> None:
    box = run()
    with pytest.raises(KernelRefusedError, match=says):
        box.add_device(host_path, path)


@pytest.mark.needs_root
def test_an_added_device_is_gone_after_a_restart(run: Runner) -> None:
    box = run()
    box.add_device("/dev/zero", "/dev/mine")
    box.restart(timeout=0.1)
    assert not box.exists("/dev/mine")
    box.add_device("/dev/zero", "/dev/mine")


@pytest.mark.needs_root
def test_several_devices_are_added_at_once_and_hold_nobody_up(run: Runner) -> None:
    box, other = run(), run()
    with ThreadPoolExecutor(8) as pool:
        added = [pool.submit(box.add_device, "/dev/zero", f"/dev/deep/{number}") for number in range(16)]
        assert [other.check_output("echo here") for _ in range(5)] == ["here"] * 5
        for each in added:
            each.result()
    assert box.listdir("/dev/deep") == sorted(map(str, range(16)))
    for number in range(16):
        box.remove_device(f"/dev/deep/{number}")
    assert box.listdir("/dev/deep") == []


@pytest.mark.needs_root
def test_a_device_behind_a_link_is_inside(run: Runner, tmp_path: Path) -> None:
    box = run()
    box.exec(f"mkdir -p {tmp_path}; ln -s {tmp_path} /dev/elsewhere", check=True)
    box.add_device("/dev/zero", "/dev/elsewhere/mine")
    assert box.exec(["head", "-c", "3", f"{tmp_path}/mine"], text=False).stdout == b"\0\0\0"
    assert os.listdir(tmp_path) == []


@pytest.fixture
def veth() -> Iterator[tuple[str, str]]:
    """A pair of interfaces on the host."""
    names = f"k{os.getpid()}a"[:15], f"k{os.getpid()}b"[:15]
    command = ["ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1]]
    subprocess.run(command, check=True)
    yield names
    subprocess.run(["ip", "link", "delete", names[1]], check=False, capture_output=True)


def on_host(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


class TestInterfaces:
    @pytest.mark.needs_user
    def test_only_root_may(self, box: Container) -> None:
        with pytest.raises(NotPermittedError):
            box.attach_interface("eth0")
        with pytest.raises(NotPermittedError):
            box.detach_interface("eth0")

    @pytest.mark.needs_root
    def test_one_that_is_attached_is_the_containers(self, box: Container, request: pytest.FixtureRequest) -> None:
        ours, peer = request.getfixturevalue("veth")
        box.attach_interface(ours, "wan0", address="192.0.2.2/30")
        assert not on_host(ours)
        assert box.interfaces() == ["lo", "eth0", "wan0"]
        subprocess.run(["ip", "link", "set", peer, "up"], check=True)
        shown = box.check_output(["ip", "-4", "address", "show", "dev", "wan0"])
        assert "192.0.2.2/30" in shown
        assert ",UP" in shown
        box.detach_interface("wan0")
        assert box.interfaces() == ["lo", "eth0"]
        assert on_host(ours)

    @pytest.mark.needs_root
    def test_one_may_come_back_under_another_name(self, box: Container, request: pytest.FixtureRequest) -> None:
        ours, _ = request.getfixturevalue("veth")
        box.attach_interface(ours)
        assert ours in box.interfaces()
        box.detach_interface(ours, f"{ours}x"[-15:])
        assert on_host(f"{ours}x"[-15:])

    @pytest.mark.needs_root
    def test_a_virtual_one_ends_with_the_container(self, run: Runner, request: pytest.FixtureRequest) -> None:
        ours, peer = request.getfixturevalue("veth")
        box = run()
        box.attach_interface(ours, "wan0")
        box.destroy()
        wait_until(lambda: not on_host(peer))

    @pytest.mark.needs_root
    def test_what_is_not_there_or_not_attached_is_an_error(self, box: Container) -> None:
        for name in ("no-such-if", "../eth0"):
            with pytest.raises(UnknownItemError, match="no network interface"):
                box.attach_interface(name)
        with pytest.raises(UnknownItemError, match="eth0"):
            box.detach_interface("eth0")

    @pytest.mark.needs_root
    def test_a_name_that_is_taken_inside_is_refused(self, box: Container, request: pytest.FixtureRequest) -> None:
        ours, _ = request.getfixturevalue("veth")
        with pytest.raises(KernelRefusedError, match="eth0") as caught:
            box.attach_interface(ours, "eth0")
        assert caught.value.errno == errno.EEXIST
        assert on_host(ours)


def test_what_does_not_run_has_no_cgroup_devices_or_interfaces(run: Runner) -> None:
    box = run.clone()
    for operation in (
        lambda: box.cgroup_item("pids.max"),
        lambda: box.add_device("/dev/zero"),
        lambda: box.attach_interface("lo"),
    ):
        with pytest.raises(NotRunningError):
            operation()
