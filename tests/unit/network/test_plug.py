"""Messages that plug a container in, as bytes; that the kernel heeds them, every system test shows."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from pytest_lxcontainer.network.addresses import HeldAddress
from pytest_lxcontainer.network.bridge import Bridge
from pytest_lxcontainer.network.plug import Plug

BRIDGE = Bridge("lo", IPv4Address("10.64.4.1"), IPv4Network("10.64.4.0/22"))  # an interface that is everywhere
LEASE: Any = None


def plug(*, leads_out: bool) -> Plug:
    return Plug(HeldAddress(IPv4Address("10.64.4.7"), BRIDGE, LEASE), "lxt1", leads_out)


def kinds(messages: tuple[bytes, ...]) -> list[int]:
    return [int.from_bytes(each[4:6], "little") for each in messages]


def test_the_pair_is_made_with_its_other_end_inside_before_it_is_switched_on() -> None:
    made, quiet, up = plug(leads_out=False).outside(namespace=9)
    assert kinds((made, quiet, up)) == [16, 16, 16]
    assert b"lxt1\0" in made and b"veth" in made and b"eth0\0" in made
    assert bytes.fromhex("021c0a400407") in made
    assert (9).to_bytes(4, "little") in made
    assert [each[24] & 1 for each in (made, quiet, up)] == [0, 0, 1]


@pytest.mark.parametrize(("leads_out", "expected"), [(False, [16, 20, 16]), (True, [16, 20, 16, 24])])
def test_inside_there_is_a_way_to_everybody_else_only_where_it_leads_out(leads_out: bool, expected: list[int]) -> None:
    messages = plug(leads_out=leads_out).inside(index=2)
    assert kinds(messages) == expected
    assert IPv4Address("10.64.4.7").packed in messages[1] and IPv4Address("10.64.7.255").packed in messages[1]
    if leads_out:
        assert IPv4Address("10.64.4.1").packed in messages[3]
