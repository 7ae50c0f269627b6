"""Whom containers reach, and by what names."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, PrivateNetwork, Provisioner, Settings
from pytest_lxcontainer.errors import StartFailedError

from .conftest import BUSYBOX, Runner, wait_until
from .leaks import Leaks

SERVES = ["nc", "-ll", "-p", "80", "-e", "echo", "served"]
BACK, FRONT = PrivateNetwork("back"), PrivateNetwork("front")


def reaches(one: Container, other: Container | str) -> bool:
    target = other if isinstance(other, str) else other.ip
    return one.exec(["nc", "-w", "2", target, "80"]).stdout == "served\n"


def answer_of(address: str) -> bytes:
    with socket.create_connection((address, 80), timeout=2) as connection:
        return connection.recv(100)


def serve(run: Runner, *group: str, **settings: object) -> Container:
    box = run(command=SERVES, group=group, **settings)
    box.wait_for(lambda each: reaches(each, "127.0.0.1"), timeout=5)
    return box


def test_those_of_one_group_reach_one_another_and_strangers_do_not(run: Runner) -> None:
    one, two, stranger = serve(run, "g"), serve(run, "g"), serve(run, "h")
    assert reaches(one, two) and reaches(two, one)
    assert not reaches(one, stranger) and not reaches(stranger, one)


def test_who_tries_to_reach_a_stranger_is_told_at_once(run: Runner) -> None:
    one, stranger = run(group="g"), run(group="h")
    refused = one.exec(["nc", "-w", "9", stranger.ip, "80"], timeout=1)
    assert "unreachable" in refused.stderr


def test_what_came_first_reaches_what_comes_later(run: Runner) -> None:
    one = serve(run, "g")
    two = serve(run, "g")
    assert reaches(one, two)
    two.destroy()
    assert serve(run, "h").ip != two.ip
    three = serve(run, "g")
    assert reaches(one, three) and reaches(three, one)


def test_a_group_reaches_those_that_it_is_in_and_those_in_it(run: Runner) -> None:
    everybodys, modules = serve(run, "run", name="everybodys"), serve(run, "run", "m", name="modules")
    one, other = serve(run, "run", "m", "one", name="one"), serve(run, "run", "n", "other", name="other")
    assert reaches(one, everybodys) and reaches(one, "modules")
    assert reaches(modules, "everybodys") and reaches(modules, "one") and reaches(everybodys, "one")
    assert reaches(other, "everybodys")
    assert not reaches(one, other) and not reaches(other, modules) and not reaches(modules, other)


def test_further_networks_reach_their_own_only(run: Runner) -> None:
    web, app = serve(run, "g", name="web", network=FRONT), serve(run, "g", name="app", network=[FRONT, BACK])
    db = serve(run, "g", name="db", network=BACK)
    usual = serve(run, "g", name="usual")
    assert reaches(web, "app") and reaches(app, "web") and reaches(app, "db") and reaches(db, "app")
    assert not reaches(web, db) and not reaches(db, web)
    assert not any(reaches(usual, each) for each in (web, app, db))
    assert "db" not in web.read_text("/etc/hosts").split()


def test_one_may_be_on_the_default_network_too(run: Runner) -> None:
    usual, both, back = serve(run, "g"), serve(run, "g", network=["default", BACK]), serve(run, "g", network=BACK)
    assert reaches(usual, both) and reaches(both, back)
    assert not reaches(usual, back)


def test_a_restart_changes_nothing_of_that(run: Runner) -> None:
    one, two, stranger = serve(run, "g", name="one"), serve(run, "g", name="two", aliases=["second"]), serve(run, "h")
    two.restart()
    two.wait_for(lambda each: reaches(each, "127.0.0.1"), timeout=5)
    assert reaches(one, "second") and reaches(two, "one")
    assert not reaches(two, stranger)


def test_link_local_addresses_lead_to_no_stranger(run: Runner) -> None:
    one, stranger = run(group="g"), run(group="h")
    shown = stranger.check_output("ip -6 addr show dev eth0 scope link")
    if "inet6" not in shown:
        return  # then there are none
    address = shown.split("inet6 ")[1].split("/")[0]
    assert one.exec(["ping", "-6", "-c", "1", "-W", "1", "-I", "eth0", address]).exit_code != 0


def test_the_test_reaches_all_of_them_and_they_reach_it(run: Runner) -> None:
    for box in (serve(run, "g"), serve(run, "h", network=BACK)):
        assert answer_of(box.ip) == b"served\n"


@pytest.mark.parametrize("how", [{"init": False}, {"privileged": True}])
@pytest.mark.needs_root
def test_however_it_is_started(run: Runner, how: dict[str, bool]) -> None:
    one, two, stranger = serve(run, "g", **how), serve(run, "g"), serve(run, "h")
    assert reaches(one, two) and reaches(two, one)
    assert not reaches(one, stranger) and not reaches(stranger, one)


@pytest.fixture
def world() -> Iterator[str]:
    """Somebody beyond the host, who knows the host's address only; yields the other's."""
    with subprocess.Popen(["unshare", "--net", "sleep", "1000"]) as holder:
        try:
            wait_until(lambda: Path(f"/proc/{holder.pid}/comm").read_text() == "sleep\n")
            commands = (
                f"ip link add lxtworld type veth peer name w netns {holder.pid}",
                "ip address add 198.51.100.1/30 dev lxtworld",
                "ip link set lxtworld up",
                f"nsenter --net=/proc/{holder.pid}/ns/net ip address add 198.51.100.2/30 dev w",
                f"nsenter --net=/proc/{holder.pid}/ns/net ip link set w up",
            )
            for command in commands:
                subprocess.run(command.split(), check=True)
            yield "198.51.100.2"
        finally:
            holder.kill()


@pytest.mark.needs_root
def test_they_reach_the_world_as_the_host_where_it_lets_them(run: Runner, world: str) -> None:
    usual, isolated, back = run(group="g"), run(group="g", network="isolated"), run(group="g", network=BACK)
    leads_out = "default" in usual.check_output("ip route")
    assert leads_out == ("default" in back.check_output("ip route"))
    assert "default" not in isolated.check_output("ip route")
    if not leads_out:
        pytest.skip("this host forwards nothing, or drops it")
    assert usual.exec(["ping", "-c", "1", "-W", "2", world]).exit_code == 0
    assert isolated.exec(["ping", "-c", "1", "-W", "2", world]).exit_code != 0
    assert reaches(serve(run, "g", network="isolated"), "127.0.0.1")


@pytest.mark.needs_root
def test_a_container_that_cannot_be_plugged_in_says_why_and_leaves_nothing(settings: Settings, leaks: Leaks) -> None:
    with Provisioner(settings) as provisioner:
        box = provisioner.clone(BUSYBOX)
        subprocess.run(["ip", "link", "delete", f"lxt{provisioner.identity.run_id}-b"], check=True)
        with pytest.raises(StartFailedError, match="network could not be set up: no interface with this name"):
            box.start()
    leaks.assert_nothing_new()


@pytest.mark.parametrize("group", ["first", "second", "third"])
def test_those_that_start_at_the_same_time_reach_one_another(run: Runner, group: str) -> None:
    with ThreadPoolExecutor(6) as threads:
        boxes = list(threads.map(lambda number: run(group=group, name=f"box{number}"), range(6)))
    for box in boxes:
        rules = box.check_output("ip rule")
        others = [other for other in boxes if other is not box]
        assert [other.name for other in others if f"to {other.ip} lookup main" not in rules] == []
