from __future__ import annotations

import os
from ipaddress import IPv4Address, IPv4Network

import pytest

from pytest_lxcontainer.errors import HostNotReadyError
from pytest_lxcontainer.network.addresses import AddressPool
from pytest_lxcontainer.network.bridge import Bridge


@pytest.fixture
def bridge() -> Bridge:
    """A subnet of six addresses that nobody on the host uses, and that no other test has; one is the gateway's."""
    base = 0xF0000000 + int.from_bytes(os.urandom(3), "big") * 8
    return Bridge("lxttest", IPv4Address(base + 1), IPv4Network((base, 29)))


def test_candidates_are_every_address_but_the_gateway_once(bridge: Bridge) -> None:
    base = int(bridge.subnet.network_address)
    for start in (0, 3, 6, 1000):
        assert sorted(map(int, bridge.candidates(start))) == [base + number for number in range(2, 7)]


def test_candidates_begin_where_they_are_told_to(bridge: Bridge) -> None:
    base = int(bridge.subnet.network_address)
    assert [int(each) - base for each in bridge.candidates(3)] == [4, 5, 6, 2, 3]


def test_no_address_is_held_twice_by_anybody(bridge: Bridge) -> None:
    pools = [AddressPool(bridge), AddressPool(bridge)]
    held = [pools[number % 2].hold() for number in range(5)]
    assert len({each.address for each in held}) == 5
    with pytest.raises(HostNotReadyError, match="are taken"):
        pools[0].hold()
    held[2].release()
    again = pools[1].hold()
    assert again.address == held[2].address
    for each in (*held, again):
        each.release()


def test_an_address_given_back_is_the_last_to_be_handed_out_again(bridge: Bridge) -> None:
    pool = AddressPool(bridge)
    seen = []
    for _ in range(10):
        held = pool.hold()
        seen.append(held.address)
        held.release()
    assert len(set(seen[:5])) == 5
    assert seen[5:] == seen[:5]


def test_mac_and_prefix_follow_from_the_address(bridge: Bridge) -> None:
    held = AddressPool(bridge).hold()
    held.release()
    assert held.with_prefix == f"{held.address}/29 {held.bridge.subnet.broadcast_address}"
    assert held.mac == "02:1c:" + ":".join(f"{int(part):02x}" for part in str(held.address).split("."))
