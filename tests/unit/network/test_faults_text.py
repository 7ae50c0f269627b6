"""Faults as tc(8), nft(8), ss(8) and the kernel's filters read them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

import pytest

from pytest_lxcontainer.errors import InvalidSettingsError
from pytest_lxcontainer.network.faults import Fault
from pytest_lxcontainer.network.faults.classifier import ALL, Instruction, any_of, class_of, text
from pytest_lxcontainer.network.faults.fault import Selection
from pytest_lxcontainer.network.faults.reset import selecting as selecting_sockets
from pytest_lxcontainer.network.faults.rules import foundation, selecting
from pytest_lxcontainer.network.faults.treatment import Treatment
from pytest_lxcontainer.network.faults.tree import build, netem, redirect

OWN, A, B = IPv4Address("10.64.0.2"), IPv4Address("10.64.0.3"), IPv4Address("10.64.0.4")
ICMP, TCP, UDP = 1, 6, 17
MARK, RANDOM = 0xFFFFF000 + 20, 0xFFFFF000 + 56


def frame(target: IPv4Address = A, protocol: int = TCP, ports: tuple[int, int] = (1, 2), **header: int) -> bytes:
    """What the container sends."""
    size = header.get("words", 5)
    ip = struct.pack("!BBHHHBBH", 0x40 | size, 0, 40, 0, header.get("fragment", 0), 64, protocol, 0)
    ip += OWN.packed + target.packed + bytes(4 * size - 20)
    return bytes(12) + struct.pack("!H", header.get("ethertype", 0x0800)) + ip + struct.pack("!HH", *ports)


def run(program: Sequence[Instruction], data: bytes, random: int = 0, mark: int = 0) -> int:
    """What the kernel comes to; see linux/bpf_common.h."""
    at = accumulator = index = 0
    memory: dict[int, int] = {}
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        loads = {0x20: ("!I", constant), 0x28: ("!H", constant), 0x30: ("!B", constant), 0x48: ("!H", index + constant)}
        tests = {
            0x15: accumulator == constant,
            0x35: accumulator >= constant,
            0x45: bool(accumulator & constant),
        }
        if code in (0x06, 0x16):
            return constant if code == 0x06 else accumulator
        if code == 0x20 and constant in (RANDOM, MARK):
            accumulator = random if constant == RANDOM else mark
        elif code in loads:
            (accumulator,) = struct.unpack_from(*loads[code][:1], data, loads[code][1])
        elif code in tests:
            at += if_true if tests[code] else if_false
        elif code == 0xB1:
            index = (data[constant] & 0xF) * 4
        elif code == 0x02:
            memory[constant] = accumulator
        else:
            accumulator = {0x00: constant, 0x60: memory.get(constant, 0), 0x44: accumulator | constant}[code]


def fault(
    kind: Any = "loss", amount: float = 1.0, *, peers: Any = (), ports: Any = (), direction: Any = "out"
) -> Fault:
    return Fault(kind, direction, tuple(peers), tuple(ports), amount)


@pytest.mark.parametrize(
    ("chosen", "seen", "expected"),
    [
        (fault(), frame(), True),
        (fault(), frame(ethertype=0x0806), False),
        (fault("down", 0), frame(ethertype=0x0806), False),
        (fault(peers=[A, B]), frame(B), True),
        (fault(peers=[B]), frame(A), False),
        (fault(peers=[A], direction="in"), frame(A), False),
        (fault(peers=[OWN], direction="in"), frame(A), True),
        (fault(ports=[80]), frame(ports=(80, 5)), True),
        (fault(ports=[79, 80]), frame(ports=(5, 80), protocol=UDP), True),
        (fault(ports=[80]), frame(ports=(5, 80), words=7), True),
        (fault(ports=[80]), frame(ports=(5, 81)), False),
        (fault(ports=[80]), frame(ports=(5, 80), protocol=ICMP), False),
        (fault(ports=[80]), frame(ports=(5, 80), fragment=1), False),
        (fault(peers=[A], ports=[80]), frame(B, ports=(5, 80)), False),
        (fault(peers=[A], ports=range(1, 101)), frame(A, ports=(500, 100)), True),
        (fault(peers=[IPv4Address(n) for n in range(99)] + [A], ports=range(1, 101)), frame(A, ports=(1, 500)), True),
    ],
)
def test_a_filter_matches_what_the_fault_is_for(chosen: Fault, seen: bytes, expected: bool) -> None:
    assert run(any_of([fault(peers=[IPv4Address("1.2.3.4")]), chosen], way_of(chosen)), seen) == (
        ALL if expected else 0
    )


def way_of(chosen: Fault) -> Any:
    return "in" if chosen.direction == "in" else "out"


def test_a_packet_gets_the_class_of_all_that_it_is_selected_by() -> None:
    selections = [Selection((A,)), Selection((), (80,)), Selection()]
    program = class_of([fault(peers=[B], amount=0.25)], selections, "out", 0x1FFFF)
    assert run(program, frame(A, ports=(80, 1))) == 0x1_0007
    assert run(program, frame(A)) == 0x1_0005
    assert run(program, frame(A, ethertype=0x0806)) == 0x1_0000
    assert run(program, frame(B), random=(1 << 30) - 1) == 0x1_FFFF
    assert run(program, frame(B), random=1 << 30) == 0x1_0004


def test_what_has_the_mark_is_lost() -> None:
    assert run(any_of([], "out", mark=4), frame(), mark=6) == ALL
    assert run(any_of([], "out", mark=4), frame(), mark=2) == 0
    assert run(class_of([], [Selection()], "out", 0x1FFFF, mark=4), frame(), mark=6) == 0x1_FFFF
    assert run(class_of([], [Selection()], "out", 0x1FFFF, mark=4), frame(), mark=2) == 0x1_0001


def test_a_program_reads_as_tc_has_it() -> None:
    assert text([Instruction(0x28, 0, 0, 12), Instruction(6, 0, 0, ALL)]) == "2,40 0 0 12,6 0 0 4294967295"


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        (Treatment(delay=0.1), "limit 100000 delay 100000us"),
        (Treatment(delay=0.1, jitter=0.01), "limit 100000 delay 100000us 10000us rate 100gbit"),
        (Treatment(delay=0.1, overtaking=0.25), "limit 100000 delay 100000us reorder 25%"),
        (Treatment(overtaking=0.25, corrupted=0.01), "limit 100000 corrupt 1%"),
        (Treatment(delay=0.1, rate=1e8), "limit 2916 delay 100000us"),
    ],
)
def test_netem_is_told_of_delays_and_corruption(treatment: Treatment, expected: str) -> None:
    assert netem(treatment) == expected


def test_a_tree_has_a_class_for_each_combination() -> None:
    faults = [fault("rate", 1e6), fault("delay", 0.02, peers=[A]), fault(amount=0.5)]
    lines = build("dev0", faults, "out")
    assert lines[:-1] == [
        "qdisc add dev dev0 root handle 1: htb",
        "class add dev dev0 parent 1: classid 1:ffff htb rate 100gbit quantum 60000",
        "qdisc add dev dev0 parent 1:ffff blackhole",
        "class add dev dev0 parent 1: classid 1:8001 htb rate 1000000bit ceil 1000000bit quantum 3000",
        "class add dev dev0 parent 1:8001 classid 1:1 htb rate 500000bit ceil 1000000bit quantum 3000",
        "qdisc add dev dev0 parent 1:1 tbf rate 1000000bit burst 3000 limit 32768",
        "class add dev dev0 parent 1: classid 1:2 htb rate 100gbit quantum 60000",
        "qdisc add dev dev0 parent 1:2 netem limit 100000 delay 20000us",
        "class add dev dev0 parent 1:8001 classid 1:3 htb rate 500000bit ceil 1000000bit quantum 3000",
        "qdisc add dev dev0 parent 1:3 netem limit 22 delay 20000us",
    ]
    assert lines[-1].startswith('filter add dev dev0 parent 1: protocol all prio 1 bpf bytecode "')


def test_there_are_at_most_eight_choices_at_a_time() -> None:
    with pytest.raises(InvalidSettingsError, match="9 different choices"):
        build("dev0", [fault("rate", 1e6, ports=[port]) for port in range(1, 10)], "out")
    assert build("dev0", [fault("loss", 0.5, ports=[port]) for port in range(1, 100)], "out")


def test_packets_go_through_a_device_of_ours() -> None:
    line = redirect("eth0 egress pref 7", "dev0", [fault("down", 0)], "out")
    assert line == (
        "filter add dev eth0 egress pref 7 protocol all "
        'bpf bytecode "4,40 0 0 12,21 1 0 2054,6 0 0 4294967295,6 0 0 0" action mirred egress redirect dev dev0'
    )


def test_rules_say_which_packets_are_held_and_which_come_twice() -> None:
    held = [fault("delay", 0.1, peers=[A]), fault("corrupt", 0.1, ports=[80], direction="in")]
    lines = selecting(held, [fault("duplicate", 0.25), fault("duplicate", 1, direction="in")], "eth0", swallows=True)
    lines = lines.splitlines()
    is_port = "ip frag-off & 0x1fff == 0 ip protocol { tcp, udp } th"
    assert rules_of(lines, "copy") == [
        "meta mark set meta mark | 0x40000000",
        'dup to ip daddr device "eth0"',
        "meta mark set meta mark & 0xbfffffff",
        "meta mark set meta mark | 0x20000000",
    ]
    assert rules_of(lines, "out") == [
        'oifname != "eth0" return',
        "meta mark & 0x40000000 == 0x40000000 goto copied-out",
        "numgen random mod 1000000 < 250000 jump copy-out",
        "ip daddr { 10.64.0.3 } goto copy",
    ]
    assert rules_of(lines, "in") == [
        'iifname "lo" meta mark & 0x40000000 == 0x40000000 goto copied-in',
        'iifname != "eth0" return',
        "jump copy-in",
        f"{is_port} sport {{ 80 }} goto rewrite",
        f"{is_port} dport {{ 80 }} goto rewrite",
        f"{is_port} sport {{ 80 }} goto hold",
        f"{is_port} dport {{ 80 }} goto hold",
    ]


def rules_of(lines: Sequence[str], chain: str) -> list[str]:
    start = f"add rule ip lxt-faults {chain} "
    return [line.removeprefix(start) for line in lines if line.startswith(start)]


def test_only_the_queue_without_a_reader_loses_packets() -> None:
    lines = foundation(with_queues=True).splitlines()
    assert [line.strip() for line in lines if "queue" in line] == [
        "queue num 27741 bypass",
        "queue num 27742 bypass",
        "queue num 27743",
    ]
    assert "queue" not in foundation(with_queues=False)


def test_sockets_are_chosen_by_peer_and_either_port() -> None:
    loopback = "( not dst 127.0.0.0/8 and not dst [::1] )"
    assert selecting_sockets([], []) == loopback
    assert (
        selecting_sockets([A, B], [80])
        == f"{loopback} and ( dst 10.64.0.3 or dst 10.64.0.4 ) and ( sport = :80 or dport = :80 )"
    )
