"""Rules by which a container reaches whom it should, as bytes; that the kernel heeds them, system tests show."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from pytest_lxcontainer.network.bridge import Bridge
from pytest_lxcontainer.network.isolation import admit, confine, expel

OURS = Bridge("lxt0", IPv4Address("10.64.4.1"), IPv4Network("10.64.4.0/22"))
THEIRS = Bridge("lxcbr0", IPv4Address("10.0.3.1"), IPv4Network("10.0.3.0/24"))


def rule(text: bytes) -> tuple[int, int, int, bytes, int]:
    """Kind of message, prefix length, action, destination, preference."""
    kind = int.from_bytes(text[4:6], "little")
    prefix, action = text[17], text[23]
    size = int.from_bytes(text[28:30], "little") - 4
    return kind, prefix, action, text[32 : 32 + size], int.from_bytes(text[-4:], "little")


def test_the_host_can_be_reached_and_no_other_bridge_of_ours() -> None:
    assert list(map(rule, confine(OURS))) == [
        (32, 32, 1, IPv4Address("10.64.4.1").packed, 1000),
        (32, 10, 7, IPv4Address("10.64.0.0").packed, 2000),
        (32, 10, 7, b"\xfe\x80" + bytes(14), 2000),
    ]


def test_on_another_bridge_its_own_subnet_is_out_of_reach_too() -> None:
    assert (32, 24, 7, IPv4Address("10.0.3.0").packed, 2000) in map(rule, confine(THEIRS))


def test_who_is_expelled_is_who_was_admitted() -> None:
    addresses = [IPv4Address("10.64.4.7"), IPv4Address("10.64.4.8")]
    admitted, expelled = list(map(rule, admit(addresses))), list(map(rule, expel(addresses)))
    assert [each[0] for each in admitted] == [32, 32] and [each[0] for each in expelled] == [33, 33]
    assert [each[1:] for each in admitted] == [each[1:] for each in expelled]
