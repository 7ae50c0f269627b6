"""Who is whose neighbour."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.supervisor.neighbours import Neighbours, addresses_of


@dataclass(eq=False)
class Life:
    """As much of one as neighbours look at."""

    spec: ContainerSpec
    files: Path
    address: Any


class Street:
    """Makes lives, which join when they are made."""

    def __init__(self, directory: Path) -> None:
        self.neighbours = Neighbours()
        self._directory = directory
        self._numbers = count(2)

    def add(self, name: str, group: str, *networks: str, aliases: tuple[str, ...] = ()) -> Any:
        files = self._directory / name
        files.mkdir()
        spec = ContainerSpec(name, tuple(group.split("/")), (), ("x",), aliases=aliases)
        spec = replace(spec, networks=networks or ("default",))
        address = None if networks == ("none",) else IPv4Address(f"10.64.0.{next(self._numbers)}")
        if address is None:
            spec = replace(spec, networks=())
        life: Any = Life(spec, files, SimpleNamespace(address=address) if address else None)
        self.neighbours.join(life)
        return life

    def of(self, life: Any) -> list[str]:
        return [each.spec.hostname for each in self.neighbours.of(life)]


@pytest.fixture
def street(tmp_path: Path) -> Street:
    return Street(tmp_path)


def test_those_of_a_group_are_and_others_are_not(street: Street) -> None:
    one, two = street.add("one", "run/s/a"), street.add("two", "run/s/a")
    other = street.add("other", "run/s/ab")
    assert (street.of(one), street.of(two), street.of(other)) == (["two"], ["one"], [])


def test_those_above_and_below_are_too(street: Street) -> None:
    run, module = street.add("run", "run"), street.add("module", "run/s/m")
    test, sibling = street.add("test", "run/s/m/t"), street.add("sibling", "run/s/m/u")
    worker = street.add("worker", "run/w/m")
    assert sorted(street.of(run)) == ["module", "sibling", "test", "worker"]
    assert sorted(street.of(module)) == ["run", "sibling", "test"]
    assert sorted(street.of(test)) == ["module", "run"] == sorted(street.of(sibling))
    assert street.of(worker) == ["run"]


def test_a_further_network_is_its_groups_own(street: Street) -> None:
    street.add("above", "run")
    usual, both = street.add("usual", "run/t"), street.add("both", "run/t", "default", "back")
    back, elsewhere = street.add("back", "run/t", "back"), street.add("elsewhere", "run/u", "back")
    assert street.of(usual) == ["above", "both"]
    assert street.of(both) == ["above", "usual", "back"]
    assert street.of(back) == ["both"]
    assert street.of(elsewhere) == []


def test_who_has_no_network_has_no_neighbours(street: Street) -> None:
    alone, other = street.add("alone", "run/t", "none"), street.add("other", "run/t")
    assert street.of(alone) == [] == street.of(other)
    assert addresses_of([alone, other]) == [other.address.address]
    street.neighbours.write_hosts(alone)
    assert "alone" not in (alone.files / "hosts").read_text()


def test_who_leaves_is_nobodys_any_more(street: Street) -> None:
    one, two = street.add("one", "run/t"), street.add("two", "run/t")
    assert street.neighbours.has(("run", "t"))
    street.neighbours.leave(one)
    assert street.of(two) == [] and street.of(one) == ["two"]
    street.neighbours.leave(two)
    assert not street.neighbours.has(("run", "t"))


def test_hosts_name_oneself_first_and_then_all_names_of_the_others(street: Street) -> None:
    street.add("one", "run/t", aliases=("first",))
    two = street.add("two", "run/t")
    street.neighbours.write_hosts(two)
    lines = (two.files / "hosts").read_text().splitlines()
    assert lines[-2:] == ["10.64.0.3\ttwo", "10.64.0.2\tone first"]


def test_hosts_are_rewritten_in_place(street: Street) -> None:
    one, two = street.add("one", "run/t"), street.add("two", "run/t")
    street.neighbours.write_hosts(one)
    inode = (one.files / "hosts").stat().st_ino
    street.neighbours.leave(two)
    street.neighbours.write_hosts(one)
    assert (one.files / "hosts").stat().st_ino == inode
    assert "two" not in (one.files / "hosts").read_text()
