"""The bridge that containers are on stays who it is, whoever comes and goes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings
from pytest_lxcontainer.network.bridge import PREFIX, SUBNET_PREFIX, USER_BRIDGE

from .conftest import BUSYBOX, wait_until

SET_BY_SOMEBODY = "3"
"""NET_ADDR_SET of the kernel's netdevice.h: the address is nobody's but the interface's own."""

LOWEST = "02:00:00:00:00:01"


class Net:
    """The bridge of a run, as the host sees it."""

    def __init__(self, provisioner: Provisioner) -> None:
        self.provisioner = provisioner
        self._path = Path(f"/sys/class/net/{PREFIX}{provisioner.identity.run_id}-b")

    def __call__(self) -> Container:
        return self.provisioner.run(BUSYBOX)

    @property
    def mac(self) -> str:
        return (self._path / "address").read_text().strip()

    @property
    def kind_of_mac(self) -> str:
        return (self._path / "addr_assign_type").read_text().strip()

    def ports(self) -> set[str]:
        return set(os.listdir(self._path / "brif"))

    def with_lowest_port(self) -> Container:
        """A container whose end on the host has the address that a bridge would choose for itself."""
        before = self.ports()
        container = self()
        (port,) = self.ports() - before
        ip("link", "set", "dev", port, "address", LOWEST)
        return container

    def destroy(self, container: Container) -> None:
        """Until the bridge is rid of it."""
        count = len(self.ports())
        container.destroy()
        wait_until(lambda: len(self.ports()) < count)


def ip(*words: str) -> None:
    subprocess.run(["/sbin/ip", *words], check=True)


def host_as_seen_by(container: Container) -> str:
    """The MAC address by which *container* knows the only other one that it has spoken to."""
    (line,) = container.read_text("/proc/net/arp").splitlines()[1:]
    return line.split()[3]


def gateway_of(container: Container) -> str:
    """The host's address in the container's subnet, which is the first."""
    return str(next(IPv4Network(f"{container.ip}/{SUBNET_PREFIX}", strict=False).hosts()))


def mac_from(address: str) -> str:
    return f"02:1c:{IPv4Address(address).packed.hex(':')}"


@pytest.fixture
def net(settings: Settings) -> Iterator[Net]:
    with Provisioner(settings) as provisioner:
        yield Net(provisioner)


@pytest.mark.needs_root
def test_it_keeps_its_address_while_containers_come_and_go(net: Net) -> None:
    first = net()
    mac = net.mac
    assert (mac, net.kind_of_mac) == (mac_from(gateway_of(first)), SET_BY_SOMEBODY)
    lowest = net.with_lowest_port()
    assert net.mac == mac
    net.destroy(lowest)
    assert net.mac == mac
    net.destroy(first)
    assert net.ports() == set()
    assert (net.mac, net.kind_of_mac) == (mac, SET_BY_SOMEBODY)


@pytest.mark.needs_root
def test_the_first_packet_reaches_the_host_after_others_have_gone(net: Net) -> None:
    container, lowest = net(), net.with_lowest_port()
    # One packet each: with more, the later ones would get through in the end.
    ping = ["ping", "-c", "1", "-W", "20", gateway_of(container)]
    assert container.exec(ping).exit_code == 0
    known = host_as_seen_by(container)
    net.destroy(lowest)
    assert container.exec(ping).exit_code == 0
    assert host_as_seen_by(container) == known == net.mac


# In a network of its own, since other runs use the host's.
APART = 'mount -t sysfs none /sys && exec "$@"'
USER_BRIDGES = """
import subprocess
from pathlib import Path
from pytest_lxcontainer.network.bridge import USER_BRIDGE, make_user_bridge

def ip(words):
    subprocess.run(["/sbin/ip", *words.split()], check=True)

def seen(name):
    bridge = make_user_bridge(name)
    print(bridge.name, bridge.gateway, *((Path("/sys/class/net", name) / file).read_text().strip()
        for file in ("address", "addr_assign_type")))

for name, gateway in ((USER_BRIDGE, "10.70.0.1"), ("other0", "10.71.0.1")):
    ip(f"link add name {name} type bridge")
    ip(f"address add {gateway}/22 dev {name}")
    ip(f"link add name p{name} address LOWEST type veth peer name q{name}")
    ip(f"link set dev p{name} master {name}")
    seen(name)
ip(f"link delete dev {USER_BRIDGE}")
seen(USER_BRIDGE)
seen(USER_BRIDGE)
"""


@pytest.mark.needs_root
def test_the_bridge_of_ordinary_users_gets_an_address_also_where_it_was_there_without_one() -> None:
    program = [sys.executable, "-c", USER_BRIDGES.replace("LOWEST", LOWEST)]
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-ec", APART, "sh", *program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    there, another, made, again = (line.split() for line in done.stdout.splitlines())
    assert there == [USER_BRIDGE, "10.70.0.1", "02:1c:0a:46:00:01", SET_BY_SOMEBODY]
    # Somebody else's is left alone, with the address that the kernel has given it.
    assert another[1] == "10.71.0.1" and another[3] != SET_BY_SOMEBODY
    assert made == again
    assert made[2:] == [mac_from(made[1]), SET_BY_SOMEBODY]
