from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from pytest_lxcontainer.cli.doctor.network import check_faults, check_user_world, check_world
from pytest_lxcontainer.network.bridge import Bridge
from pytest_lxcontainer.network.faults import Abilities
from pytest_lxcontainer.network.world import Obstacles

BRIDGE = Bridge("lxtusr0", IPv4Address("10.64.4.1"), IPv4Network("10.64.4.0/22"))
ANEW = "ip link delete lxtusr0 && lxcontainer doctor --fix --user ann"

EVERYTHING = Abilities(**dict.fromkeys(Abilities().to_dict(), True))
IN_KERNEL = Abilities(
    netem=True, htb=True, tbf=True, ifb=True, redirects=True, nftables=True, copies=True, destroys=True
)
IN_PROCESS = Abilities(nftables=True, copies=True, nfqueue=True, queue_statement=True, destroys=True)


@pytest.mark.parametrize(
    ("what", "why", "command"),
    [
        (Obstacles(lacks_nft=True, forwards_nothing=True), "nft is not installed", "apt-get install -y nftables"),
        (Obstacles(forwards_nothing=True), "it forwards no packets", "sysctl -w net.ipv4.ip_forward=1"),
        (Obstacles(has_no_route=True), "it has no default route itself", ""),
        (
            Obstacles(dropping=("ip filter FORWARD",)),
            "its firewall drops what is forwarded (ip filter FORWARD)",
            "nft 'add chain ip filter FORWARD { policy accept; }'",
        ),
    ],
)
def test_what_keeps_containers_from_the_world_is_a_note_with_what_mends_it(
    what: Obstacles, why: str, command: str
) -> None:
    finding = check_world(what)
    assert (finding.verdict, finding.command) == ("note", command)
    assert finding.found == f"containers reach no further than the host: {why}"
    assert check_world(Obstacles()).verdict == "ok"


def test_the_bridge_of_users_is_to_be_made_anew_when_there_is_a_way() -> None:
    closed = check_user_world(BRIDGE, Obstacles(forwards_nothing=True), "ann")
    assert closed.command == f"sysctl -w net.ipv4.ip_forward=1 && {ANEW}"
    assert check_user_world(BRIDGE, Obstacles(), "ann").command == ANEW
    assert check_user_world(replace(BRIDGE, leads_out=True), Obstacles(), "ann").verdict == "ok"


def test_a_bridge_of_somebody_elses_is_left_as_it_is() -> None:
    finding = check_user_world(replace(BRIDGE, name="lxcbr0"), Obstacles(forwards_nothing=True), "ann")
    assert finding.command == "sysctl -w net.ipv4.ip_forward=1"


def found(abilities: Abilities, *lacking: str) -> list[tuple[str, str, str]]:
    findings = check_faults(abilities, *[lambda name: name not in lacking] * 2)
    return [(each.verdict, each.found, each.command) for each in findings]


def test_a_host_with_both_ways_has_all_faults() -> None:
    assert [verdict for verdict, _, _ in found(EVERYTHING)] == ["ok"] * 3


def test_a_kernel_without_netem_has_a_process_do_what_takes_it() -> None:
    everything, kernel, process = found(replace(EVERYTHING, netem=False))
    assert everything[:2] == ("ok", "all") and process[0] == "ok"
    assert kernel == ("note", "not loaded: sch_netem", "modprobe -a sch_netem")
    assert found(replace(EVERYTHING, netem=False), "sch_netem")[1] == ("note", "not in this kernel: sch_netem", "")


def test_the_one_way_that_there_is_tells_what_cannot_be() -> None:
    assert found(IN_KERNEL)[0][:2] == ("ok", "all")
    assert found(IN_PROCESS)[0][:2] == ("note", "all but rate")
    assert found(replace(EVERYTHING, destroys=False))[0][:2] == ("note", "all but reset")


def test_either_form_of_the_rule_that_queues_will_do() -> None:
    assert found(replace(IN_PROCESS, queue_statement=False, queue_target=True))[2][0] == "ok"
    assert found(replace(IN_PROCESS, queue_statement=False))[2][2] == "modprobe -a nft_queue"


def test_a_host_without_the_programs_is_told_of_their_packages() -> None:
    everything, kernel, process = found(Abilities(), "tc", "nft")
    assert everything[:2] == ("note", "none; see below")
    assert (kernel[2], process[2]) == ("apt-get install -y iproute2", "apt-get install -y nftables")
