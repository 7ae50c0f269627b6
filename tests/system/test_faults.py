"""Network faults, measured between two network namespaces that a veth pair joins."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from pytest_lxcontainer.network.faults import DEFAULT_DIRECTION, Abilities, Fault

from .wire import BOX, OTHER, PEER, Echo, Serving, Wire, connected, flooded, ping, round_trip, set_of, throughput

LATE = 0.03
"""Seconds that a busy machine may add to a round trip."""

PLACES = [pytest.param("root", marks=pytest.mark.needs_root), "user"]

pytestmark = pytest.mark.exhaustive


@pytest.fixture(autouse=True)
def _nothing_left() -> None:
    """What these tests make goes with their namespaces."""


@pytest.fixture(scope="module", params=PLACES)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    """In namespaces of root's, and in a user namespace, as containers are."""
    wire = Wire(in_user_namespace=request.param == "user")
    yield wire
    wire.close()


@pytest.fixture(scope="module")
def found(wire: Wire) -> Abilities:
    return wire.box.abilities()


@pytest.fixture
def serving(wire: Wire, abilities: Abilities) -> Iterator[Serving]:
    before = state(wire)
    serving = Serving(wire.box, abilities)
    yield serving
    assert serving.close() == 0
    assert state(wire) == before


@pytest.fixture(params=["shaped", "held"])
def abilities(request: pytest.FixtureRequest, found: Abilities) -> Abilities:
    """All that this host can do, and what is left where it has no traffic control that serves."""
    needed = found.shapes if request.param == "shaped" else found.holds
    if not needed:
        pytest.skip("this host cannot")
    return found if request.param == "shaped" else replace(found, ifb=False)


shaped_only = pytest.mark.parametrize("abilities", ["shaped"], indirect=True)


def fault(kind: Any, amount: float = 0.0, jitter: float = 0.0, **where: Any) -> Fault:
    peers = tuple(map(IPv4Address, where.get("peers", ())))
    direction = where.get("direction", DEFAULT_DIRECTION[kind])
    return Fault(kind, direction, peers, tuple(where.get("ports", ())), amount, jitter)


def state(wire: Wire) -> list[str]:
    """All that could be seen of faults from within."""
    run = wire.box.run
    return [
        run("nft", "list", "ruleset"),
        run("tc", "qdisc", "show"),
        *(run("tc", "filter", "show", "dev", "eth0", hook) for hook in ("root", "ingress", "egress")),
        run("ip", "-o", "link"),
        run("ip", "-4", "-o", "address"),
        run("ip", "route"),
    ]


def median_trip(wire: Wire, target: str = PEER, count: int = 20) -> float:
    replies = ping(wire.box, target, count)
    assert len(replies) == count
    return statistics.median(reply.seconds for reply in replies)


# Delays


@pytest.mark.parametrize("duration", [0.01, 0.1])
@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_delay_is_met_once_on_a_round_trip(wire: Wire, serving: Serving, duration: float, direction: str) -> None:
    serving.set(fault("delay", duration, direction=direction))
    assert duration <= median_trip(wire) < duration + min(LATE, duration / 5)


def test_a_delay_both_ways_is_met_twice(wire: Wire, serving: Serving) -> None:
    serving.set(fault("delay", 0.05, direction="both"))
    assert 0.1 <= median_trip(wire) < 0.12


def test_jitter_is_within_its_range_and_keeps_the_order(wire: Wire, serving: Serving) -> None:
    serving.set(fault("delay", 0.1, 0.02))
    replies = ping(wire.box, PEER, 200)
    times = [reply.seconds for reply in replies]
    assert len(replies) == 200
    assert min(times) >= 0.08 and max(times) < 0.12 + LATE
    assert max(times) - min(times) > 0.01
    assert [reply.number for reply in replies] == sorted(reply.number for reply in replies)


def test_what_overtakes_does_not_wait(wire: Wire, serving: Serving) -> None:
    serving.set(fault("delay", 0.1), fault("reorder", 0.25))
    replies = ping(wire.box, PEER, 200)
    early = [reply for reply in replies if reply.seconds < 0.1]
    assert len(replies) == 200
    assert 18 <= len(early) <= 90
    assert [reply.number for reply in replies] != sorted(reply.number for reply in replies)


def test_delays_add_up_where_both_are_for_a_packet(wire: Wire, serving: Serving) -> None:
    serving.set(fault("delay", 0.05), fault("delay", 0.03, peers=[OTHER]))
    assert 0.05 <= median_trip(wire, PEER) < 0.07
    assert 0.08 <= median_trip(wire, OTHER) < 0.1


def test_what_waits_goes_on_when_a_delay_ends(wire: Wire, serving: Serving, abilities: Abilities) -> None:
    if abilities.netem and abilities.shapes:
        pytest.skip("what is in the kernel's queues is lost")
    serving.set(fault("delay", 3))
    with wire.box.socket(socket.SOCK_DGRAM) as sock, contextlib.closing(Echo(wire.peer, PEER, 7001)):
        sock.sendto(b"first", (PEER, 7001))
        sock.sendto(b"second", (PEER, 7001))
        time.sleep(0.05)
        serving.set()
        sock.settimeout(1)
        assert [sock.recv(10), sock.recv(10)] == [b"first", b"second"]


def test_bulk_tcp_is_fast_under_a_delay(wire: Wire, serving: Serving, record_property: Callable[..., None]) -> None:
    serving.set(fault("delay", 0.01))
    for name, ends in (
        ("out", connected(wire.box, wire.peer, PEER, 7201)),
        ("in", connected(wire.box, wire.peer, PEER, 7202)[::-1]),
    ):
        rate = throughput(*ends, duration=1)
        record_property(f"{name} Mbit/s", round(rate / 1e6))
        assert rate > 50e6


# Losses


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_share_is_lost(wire: Wire, serving: Serving, direction: str) -> None:
    serving.set(fault("loss", 0.3, direction=direction))
    lost = 400 - len(ping(wire.box, PEER, 400))
    # Five standard deviations: wrong once in two millions.
    assert 120 - 46 <= lost <= 120 + 46


def test_losses_compound(wire: Wire, serving: Serving) -> None:
    serving.set(fault("loss", 0.5), fault("loss", 0.5, peers=[PEER]))
    lost = 400 - len(ping(wire.box, PEER, 400))
    assert 300 - 44 <= lost <= 300 + 44


def test_a_loss_in_one_direction_is_not_in_the_other(wire: Wire, serving: Serving) -> None:
    with contextlib.closing(Echo(wire.box, BOX, 7001)):
        serving.set(fault("loss", 1.0, direction="in"))
        assert round_trip(wire.peer, (BOX, 7001), timeout=0.2) is None
    with wire.peer.socket(socket.SOCK_DGRAM) as there, wire.box.socket(socket.SOCK_DGRAM) as here:
        there.bind((PEER, 7003))
        here.sendto(b"hello", (PEER, 7003))
        assert there.recv(10) == b"hello"


def test_who_sends_what_is_lost_is_not_told(wire: Wire, serving: Serving) -> None:
    serving.set(fault("partition"))
    with wire.box.socket(socket.SOCK_DGRAM) as sock:
        assert sock.sendto(b"hello", (PEER, 7001)) == 5


# What else can happen to a packet


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_share_comes_twice(wire: Wire, serving: Serving, direction: str) -> None:
    serving.set(fault("duplicate", 0.5, direction=direction, peers=[PEER]))
    replies = ping(wire.box, PEER, 200, most=400)
    assert 60 <= len(replies) - 200 <= 140
    assert {reply.number for reply in replies} == set(range(200))
    assert len(ping(wire.box, OTHER, 50, most=100, patience=0.1)) == 50


@pytest.mark.parametrize("direction", ["out", "in"])
def test_what_comes_twice_is_delayed_twice(wire: Wire, serving: Serving, direction: str) -> None:
    serving.set(fault("duplicate", 1.0, direction=direction), fault("delay", 0.05, direction=direction))
    replies = ping(wire.box, PEER, 20, most=40)
    assert len(replies) == 40
    assert min(reply.seconds for reply in replies) >= 0.05
    assert statistics.median(reply.seconds for reply in replies) < 0.05 + LATE


def test_tcp_gets_through_duplication(wire: Wire, serving: Serving) -> None:
    serving.set(fault("duplicate", 0.5, direction="both"))
    for ends in (connected(wire.box, wire.peer, PEER, 7301), connected(wire.peer, wire.box, BOX, 7302)):
        assert carried(*ends, size=1_000_000)


def test_a_share_comes_with_a_wrong_bit(wire: Wire, serving: Serving) -> None:
    serving.set(fault("corrupt", 0.5))
    content = bytes(1000)
    with wire.box.socket(socket.SOCK_DGRAM) as here, wire.peer.socket(socket.SOCK_DGRAM) as there:
        here.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_NO_CHECK", 11), 1)
        there.bind((PEER, 7004))
        there.settimeout(0.3)
        came = []
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                here.sendto(content, (PEER, 7004))
                came.append(there.recv(2000))
        for _ in range(200 - len(came)):
            here.sendto(content, (PEER, 7004))
            with contextlib.suppress(TimeoutError):
                came.append(there.recv(2000))
    wrong = [each for each in came if each != content]
    assert 60 <= len(wrong) <= 140
    # Where the bit was one of UDP's length, the datagram is shorter.
    whole = [each for each in wrong if len(each) == len(content)]
    assert len(whole) >= len(wrong) - 5
    assert all(sum(byte.bit_count() for byte in each) == 1 for each in whole)


def test_tcp_gets_through_corruption_with_what_was_sent(wire: Wire, serving: Serving) -> None:
    serving.set(fault("corrupt", 0.05))
    assert carried(*connected(wire.box, wire.peer, PEER, 7205), size=300_000)


def carried(here: socket.socket, there: socket.socket, size: int) -> bool:
    """Whether *there* gets what *here* sends; closes both."""
    sent = os.urandom(size)
    with here, there:
        here.settimeout(30)
        there.settimeout(30)
        sending = threading.Thread(target=here.sendall, args=(sent,))
        sending.start()
        came = b""
        while len(came) < size:
            came += there.recv(1 << 18)
        sending.join()
    return came == sent


# Rates


@shaped_only
@pytest.mark.parametrize("rate", [1e6, 20e6])
def test_a_rate_limits_datagrams_both_ways(wire: Wire, serving: Serving, rate: float) -> None:
    serving.set(fault("rate", rate))
    assert flooded(wire.box, wire.peer, (PEER, 7301)) == pytest.approx(rate, rel=0.1)
    assert flooded(wire.peer, wire.box, (BOX, 7302)) == pytest.approx(rate, rel=0.1)


@shaped_only
@pytest.mark.parametrize("rate", [10e6, 100e6])
def test_a_rate_limits_tcp_both_ways(wire: Wire, serving: Serving, rate: float) -> None:
    serving.set(fault("rate", rate))
    on_the_wire = 1514 / 1448
    out = throughput(*connected(wire.box, wire.peer, PEER, 7206), duration=2) * on_the_wire
    into = throughput(*connected(wire.box, wire.peer, PEER, 7207)[::-1], duration=2) * on_the_wire
    assert out == pytest.approx(rate, rel=0.1)
    assert into == pytest.approx(rate, rel=0.1)


@shaped_only
def test_all_who_are_limited_share_one_rate(wire: Wire, serving: Serving) -> None:
    serving.set(fault("rate", 10e6), fault("delay", 0.01, peers=[OTHER]))
    rates = {}

    def flood(target: str) -> None:
        rates[target] = flooded(wire.box, wire.peer, (target, 7303))

    threads = [threading.Thread(target=flood, args=(target,)) for target in (PEER, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(rates.values()) == pytest.approx(10e6, rel=0.1)


@shaped_only
def test_a_delay_and_a_rate_are_in_force_together(wire: Wire, serving: Serving) -> None:
    serving.set(fault("rate", 10e6), fault("delay", 0.05), fault("delay", 0.02, peers=[OTHER]))
    assert 0.05 <= median_trip(wire, PEER) < 0.07
    assert 0.07 <= median_trip(wire, OTHER) < 0.09
    rate = throughput(*connected(wire.box, wire.peer, PEER, 7208), duration=2, settle=1) * 1514 / 1448
    assert rate == pytest.approx(10e6, rel=0.1)


# Who and where


def test_a_partition_is_from_one_peer_only_and_both_ways(wire: Wire, serving: Serving) -> None:
    serving.set(fault("partition", peers=[PEER]))
    assert ping(wire.box, PEER, patience=0.2) == []
    assert ping(wire.peer, BOX, patience=0.2, bind=PEER) == []
    assert len(ping(wire.box, OTHER)) == 1
    assert len(ping(wire.peer, BOX, bind=OTHER)) == 1
    serving.set()
    assert len(ping(wire.box, PEER)) == 1


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_fault_of_a_port_leaves_others(wire: Wire, serving: Serving, direction: str) -> None:
    with contextlib.closing(Echo(wire.peer, PEER, 7001)), contextlib.closing(Echo(wire.peer, PEER, 7002)):
        serving.set(fault("delay", 0.1, ports=[7001], peers=[PEER], direction=direction))
        assert 0.1 <= (round_trip(wire.box, (PEER, 7001)) or 0) < 0.1 + LATE
        assert 0.1 <= (round_trip(wire.box, (PEER, 7002), own_port=7001) or 0) < 0.1 + LATE
        assert (round_trip(wire.box, (PEER, 7002)) or 1) < LATE
        assert median_trip(wire) < LATE


def test_a_partition_of_a_port_leaves_others(wire: Wire, serving: Serving) -> None:
    with contextlib.closing(Echo(wire.peer, PEER, 7001)), contextlib.closing(Echo(wire.peer, PEER, 7002)):
        serving.set(fault("partition", ports=[7001, 7009]))
        assert round_trip(wire.box, (PEER, 7001), timeout=0.2) is None
        assert round_trip(wire.box, (PEER, 7002)) is not None
        assert median_trip(wire) < LATE


def test_nothing_but_loopback_is_there_while_it_is_down(wire: Wire, serving: Serving) -> None:
    serving.set(fault("down"))
    assert ping(wire.box, PEER, patience=0.2) == ping(wire.peer, BOX, patience=0.2) == []
    assert len(ping(wire.box, "127.0.0.1")) == 1
    serving.set()
    assert len(ping(wire.box, PEER)) == len(ping(wire.peer, BOX)) == 1


def test_a_fault_is_never_lifted_while_others_come(wire: Wire, serving: Serving) -> None:
    partition = fault("partition", peers=[PEER])
    serving.set(partition)
    with wire.peer.socket(socket.SOCK_DGRAM) as there, wire.box.socket(socket.SOCK_DGRAM) as here:
        there.bind((PEER, 7003))
        there.settimeout(0.1)
        for count in range(10):
            serving.begin(set_of(partition, fault("loss", 0.1 * (count % 2), ports=[9])))
            for _ in range(100):
                here.sendto(b"hello", (PEER, 7003))
                time.sleep(0.0005)
            assert serving.answer() == {"ok": None}
        with pytest.raises(TimeoutError):
            there.recv(10)


# Connections


@shaped_only
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_both_ends_notice_a_reset_at_once(wire: Wire, serving: Serving, found: Abilities, family: int) -> None:
    if not found.destroys:
        pytest.skip("this kernel ends no connections from outside")
    here, there = connected(wire.box, wire.peer, PEER, 7210)
    others = connected(wire.box, wire.peer, PEER, 7211)
    asked = connected(wire.peer, wire.box, BOX, 7212, family)
    assert serving.ask({"do": "reset", "peers": [PEER], "ports": [7210, 7212]}) == {"ok": None}
    for end in (here, there, *asked):
        end.settimeout(0.1)
        with end, pytest.raises(ConnectionError):
            end.recv(1)
    for end in others:
        end.sendall(b".")
    for end in others:
        with end:
            assert end.recv(1) == b"."
    assert serving.ask({"do": "reset", "peers": [], "ports": []}) == {"ok": None}


# What is left


def test_nothing_is_made_before_the_first_fault(wire: Wire, serving: Serving) -> None:
    before = state(wire)
    serving.set()
    assert state(wire) == before


OF_ALL_KINDS = [
    fault("loss", 0.1),
    fault("delay", 0.01, 0.001, peers=[PEER]),
    fault("corrupt", 0.01, direction="both"),
    fault("partition", peers=[OTHER]),
]


OWN_TABLE = """
table ip own {
  chain c {
    type filter hook output priority 0;
    counter
  }
}
"""


def test_what_the_container_itself_has_survives(wire: Wire, abilities: Abilities) -> None:
    wire.box.run("nft", "-f", "-", text=OWN_TABLE)
    wire.box.run(
        "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1gbit", "burst", "100k", "latency", "50ms"
    )
    wire.box.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    own = ["u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", "lo"]
    wire.box.run("tc", "filter", "add", "dev", "eth0", "egress", "protocol", "ip", "pref", "5", *own)
    try:
        before = [no_counts(each) for each in state(wire)]
        serving = Serving(wire.box, abilities)
        serving.set(*OF_ALL_KINDS)
        assert "rate 1Gbit" in wire.box.run("tc", "qdisc", "show", "dev", "eth0")
        assert serving.close() == 0
        assert [no_counts(each) for each in state(wire)] == before
    finally:
        for kind in ("root", "clsact"):
            wire.box.run("tc", "qdisc", "del", "dev", "eth0", kind)
        wire.box.run("nft", "delete", "table", "ip", "own")


STATEFUL = """
table ip own {
  chain c {
    type filter hook input priority 0; policy drop
    ct state established accept
  }
}
"""


@shaped_only
def test_answers_pass_a_firewall_of_the_container_that_tracks_connections(wire: Wire, serving: Serving) -> None:
    serving.set(fault("delay", 0.01), fault("duplicate", 0.2))
    wire.box.run("nft", "-f", "-", text=STATEFUL)
    try:
        assert carried(*connected(wire.box, wire.peer, PEER, 7305)[::-1], size=100_000)
    finally:
        wire.box.run("nft", "delete", "table", "ip", "own")


def no_counts(text: str) -> str:
    """*text* without what counts packets."""
    return re.sub(r"packets \d+ bytes \d+", "", text)


def test_one_that_is_killed_leaves_a_network_that_the_next_clears(wire: Wire, abilities: Abilities) -> None:
    before = state(wire)
    killed = Serving(wire.box, abilities)
    killed.set(fault("delay", 0.2), fault("loss", 0.01), fault("corrupt", 0.01, direction="both"))
    os.kill(killed.pid, signal.SIGKILL)
    assert killed.close() == signal.SIGKILL
    assert len(ping(wire.box, PEER, 50)) > 30
    following = Serving(wire.box, abilities)
    following.set()
    assert state(wire) == before
    assert following.close() == 0


def test_what_cannot_be_is_answered_and_changes_nothing(wire: Wire, serving: Serving) -> None:
    serving.set(fault("partition", peers=[PEER]))
    for request in (
        {"do": "set", "faults": [{"kind": "delay", "direction": "sideways"}]},
        set_of(*(fault("rate", 1e6, ports=[port]) for port in range(1, 10))),
        {"do": "dance"},
        [],
    ):
        answer = serving.ask(request)
        assert list(answer) == ["error"] and "\n" not in answer["error"]
    assert ping(wire.box, PEER, patience=0.2) == []
    assert len(ping(wire.box, OTHER)) == 1
