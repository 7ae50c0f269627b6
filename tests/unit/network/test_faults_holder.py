"""When packets that wait go on."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Any

import pytest

from pytest_lxcontainer.network.faults import Fault
from pytest_lxcontainer.network.faults.holder import Holder, with_a_wrong_bit
from pytest_lxcontainer.network.faults.nfqueue import Packet, accepted, dropped

OWN, A, B = IPv4Address("10.64.0.2"), IPv4Address("10.64.0.3"), IPv4Address("10.64.0.4")
QUEUE = 5


def packet(number: int, way: Any = "out", peer: IPv4Address = A, ports: tuple[int, int] = (1000, 80)) -> Packet:
    ends = OWN.packed + peer.packed if way == "out" else peer.packed + OWN.packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, 17, 0) + ends
    return Packet(number, QUEUE, way, memoryview(header + struct.pack("!HHHH", *ports, 8, 0)))


def holder(*faults: Fault) -> Holder:
    made = Holder()
    made.set(faults)
    return made


def test_a_packet_goes_on_when_its_delay_is_over() -> None:
    held = holder(Fault("delay", "out", amount=0.1))
    held.take(packet(1), 10.0)
    held.take(packet(2), 10.05)
    assert held.due(10.09) == []
    assert held.due(10.1) == [accepted(packet(1))]
    assert held.due(20.0) == [accepted(packet(2))]
    assert held.timeout() is None


@pytest.mark.parametrize(
    ("each", "waits"),
    [
        (packet(1), True),
        (packet(1, peer=B), False),
        (packet(1, ports=(80, 9)), True),
        (packet(1, ports=(1, 2)), False),
        (packet(1, "in"), False),
    ],
)
def test_only_what_a_fault_is_for_waits(each: Packet, waits: bool) -> None:
    held = holder(Fault("delay", "out", (A,), (80,), 0.1))
    held.take(each, 10.0)
    assert held.due(10.0) == ([] if waits else [accepted(each)])


def test_jitter_keeps_the_order() -> None:
    held = holder(Fault("delay", "out", amount=0.1, jitter=0.1))
    for number in range(200):
        held.take(packet(number), 10 + number / 10_000)
    assert held.due(9.99) == []
    assert held.due(20.0) == [accepted(packet(number)) for number in range(200)]


def test_what_overtakes_goes_at_once() -> None:
    held = holder(Fault("delay", "out", amount=0.1), Fault("reorder", "out", amount=0.5))
    for number in range(400):
        held.take(packet(number), 10.0)
    assert 140 <= len(held.due(10.0)) <= 260


def test_what_is_lost_never_goes_on() -> None:
    held = holder(Fault("partition", "both", (A,)))
    held.take(packet(1), 10.0)
    held.take(packet(2, "in"), 10.0)
    assert held.due(10.0) == [dropped(packet(1)), dropped(packet(2))]


def test_all_goes_on_as_it_came_when_there_are_no_faults_any_more() -> None:
    held = holder(Fault("delay", "out", (A,), amount=5), Fault("delay", "out", amount=1))
    for number, peer in enumerate([A, B, A, B]):
        held.take(packet(number, peer=peer), 10.0)
    held.set(())
    assert held.due(10.0) == [accepted(packet(number)) for number in range(4)]


def test_a_wrong_bit_is_behind_the_header() -> None:
    content = packet(1).content
    for _ in range(100):
        changed = with_a_wrong_bit(content)
        assert changed[:20] == bytes(content[:20])
        assert sum((a ^ b).bit_count() for a, b in zip(changed, content, strict=True)) == 1
    assert with_a_wrong_bit(content[:20]) == bytes(content[:20])


def test_a_verdict_is_as_the_kernel_reads_it() -> None:
    # Length, type (queue's verdict), flags, sequence, port; family, version, queue; then verdict and number.
    assert accepted(packet(258)) == struct.pack("=IHHII", 32, 0x301, 1, 0, 0) + bytes(2) + struct.pack(
        "!H", QUEUE
    ) + struct.pack("=HH", 12, 2) + struct.pack("!II", 1, 258)
