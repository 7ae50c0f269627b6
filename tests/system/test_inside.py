"""What a process in a container finds around itself."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pytest_lxcontainer import Container

from .conftest import Runner, wait_until


@pytest.fixture
def limited(run: Runner) -> Container:
    """With 64 MiB and 20 processes."""
    return run(limits={"memory": "64MiB", "pids": 20})


def test_it_finds_itself_in_etc_hosts(box: Container) -> None:
    lines = [line.split() for line in box.read_text("/etc/hosts").splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert [box.ip, box.hostname] in lines
    assert box.check_output(["hostname"]) == box.read_text("/etc/hostname").strip() == box.hostname == "busybox"


def test_its_name_servers_are_the_hosts(box: Container) -> None:
    ours = [line for line in Path("/etc/resolv.conf").read_text().splitlines() if "nameserver" in line]
    reachable = [line for line in ours if "127.0.0." not in line]
    assert set(reachable) <= set(box.read_text("/etc/resolv.conf").splitlines())


def test_shared_memory_is_there_for_everyone(box: Container) -> None:
    assert box.check_output("echo x > /dev/shm/a && cat /dev/shm/a", user="nobody") == "x"
    assert "tmpfs /dev/shm tmpfs rw,nosuid,nodev" in box.check_output(["cat", "/proc/mounts"])


@pytest.mark.parametrize(
    "name", ["null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd", "pts", "ptmx"]
)
def test_the_usual_devices_are_there(box: Container, name: str) -> None:
    assert name in box.listdir("/dev")


def test_no_disk_of_the_hosts_is_there(box: Container) -> None:
    assert box.check_output("find /dev -type b") == ""
    assert box.exec("mknod /tmp/disk b 8 0 && cat /tmp/disk").exit_code != 0


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/panic", "/proc/sys/vm/swappiness", "/sys/kernel/uevent_helper", "/sys/x"]
)
def test_the_hosts_kernel_is_not_its_to_change(box: Container, path: str) -> None:
    before = Path(path).read_bytes() if Path(path).exists() else None
    assert box.exec(f"echo 1 > {path}").exit_code != 0
    assert (Path(path).read_bytes() if Path(path).exists() else None) == before


def test_it_sees_its_own_processes_only(box: Container) -> None:
    assert box.pid is not None
    pids = [int(name) for name in box.listdir("/proc") if name.isdigit()]
    assert 1 in pids and max(pids) < 100
    assert box.exec(["kill", "-0", str(os.getpid())]).exit_code != 0


def test_its_root_is_nobody_on_the_host(box: Container) -> None:
    assert box.pid is not None
    uids = next(line for line in Path(f"/proc/{box.pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    assert "0" not in uids.split()[1:]
    assert box.check_output(["id", "-u"]) == "0"


def test_it_has_namespaces_of_its_own(box: Container) -> None:
    for name in ("user", "mnt", "pid", "net", "uts", "ipc"):
        assert box.check_output(["readlink", f"/proc/self/ns/{name}"]) != os.readlink(f"/proc/self/ns/{name}")


def host_address(container: Container) -> str:
    """The address by which *container* reaches the host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((container.ip, 9))
        return str(probe.getsockname()[0])


def test_it_has_its_address_and_reaches_the_host(box: Container) -> None:
    assert f"inet {box.ip}/" in box.check_output(["ip", "address", "show", "dev", "eth0"])
    assert box.exec(["ping", "-c", "1", "-W", "5", host_address(box)]).exit_code == 0
    assert box.interfaces() == ["lo", "eth0"]


def test_without_a_network_there_is_a_loopback(run: Runner) -> None:
    container = run(network="none")
    assert container.ips == ()
    assert container.exec(["ping", "-c", "1", "-W", "5", "127.0.0.1"]).exit_code == 0
    assert "eth0" not in container.check_output(["ip", "link"])


def test_peers_of_a_group_resolve_one_another_and_strangers_do_not(run: Runner) -> None:
    one, two = run(name="one", group="g"), run(name="two", group="g")
    stranger = run(name="three", group="h")
    assert f"({two.ip})" in one.check_output(["ping", "-c", "1", "-W", "5", "two"])
    assert f"({one.ip})" in two.check_output(["ping", "-c", "1", "-W", "5", "one"])
    assert "two" not in stranger.read_text("/etc/hosts")
    two.destroy()
    wait_until(lambda: "two" not in one.read_text("/etc/hosts"))


def test_a_mount_shows_the_hosts_file(run: Runner, store: Path) -> None:
    source = store / "tmp" / f"shown-{os.getpid()}"
    source.write_text("from the host")
    source.chmod(0o644)
    try:
        container = run(mounts=[f"{source}:/mnt/file with space:ro"])
        assert container.read_text("/mnt/file with space") == "from the host"
        assert container.exec("echo x > '/mnt/file with space'").exit_code != 0
    finally:
        source.unlink()


def test_a_tmpfs_is_empty_and_writable(run: Runner) -> None:
    container = run(tmpfs={"/scratch": "size=1m"})
    assert container.listdir("/scratch") == []
    assert container.exec("head -c 2000000 /dev/zero > /scratch/x").exit_code != 0


@pytest.mark.needs_cgroups
def test_a_memory_limit_is_shown_and_kept(limited: Container) -> None:
    stats = limited.stats()
    assert stats.memory_limit == 64 << 20
    assert str(stats.memory_limit) == "64.0 MiB"
    assert 0 < stats.memory_usage < stats.memory_limit
    # `tail` keeps the line it has not seen the end of.
    limited.exec("head -c 200000000 /dev/zero | tail > /dev/null; true")
    after = limited.stats()
    assert after.oom_kills is not None and after.oom_kills > 0
    assert limited.running


@pytest.mark.needs_cgroups
def test_a_limit_of_processes_is_kept(limited: Container) -> None:
    result = limited.exec("for i in $(seq 40); do sleep 5 & done; wait")
    assert result.exit_code != 0
    assert "fork" in result.stderr


def test_its_figures_grow_with_use(box: Container) -> None:
    before = box.stats()
    box.exec("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
    box.check_output(["ping", "-c", "1", "-W", "5", host_address(box)])
    after = box.stats()
    assert after.cpu_time > before.cpu_time
    assert after.pids >= 2
    assert after.networks["eth0"].tx_bytes > 0
