"""Faults and recordings end with the test that they are for.

A container of a wider scope goes on, and the next test is to find its network whole. What a fixture of such a scope has
broken stays so: that is for all of its tests.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..container.container import Container
    from ..container.network import Network

_NAME = "lxcontainer-network"


class _WideNetworks:
    """Those of containers that several tests have, looked after from the first of them on."""

    def __init__(self) -> None:
        self._containers: list[Container] = []
        self._lasting: dict[int, set[int]] = {}

    def add(self, container: Container) -> None:
        self._containers.append(container)

    def remove(self, container: Container) -> None:
        self._containers.remove(container)
        self._lasting.pop(id(container), None)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
        """Note what fixtures put on that are not one test's."""
        try:
            return (yield)
        finally:
            if request.scope != "function":
                for container, network in self._used():
                    self._lasting.setdefault(id(container), set()).update(network.added)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self) -> None:
        """Take off what the test has put on, before its fixtures need the network for their teardown."""
        for container, network in self._used():
            passing = network.added - self._lasting.get(id(container), set())
            if passing:
                network.take_off(sorted(passing))

    def _used(self) -> list[tuple[Container, Network]]:
        return [(each, network) for each in self._containers if (network := _network_of(each)) is not None]


def look_after(request: pytest.FixtureRequest, container: Container) -> None:
    """Have a container's faults end with the tests that put them on, where it does not end with them itself."""
    if request.scope == "function":
        return
    manager = request.config.pluginmanager
    networks = manager.get_plugin(_NAME)
    if networks is None:
        # Not before: these hooks are called for every fixture of everybody's.
        networks = _WideNetworks()
        manager.register(networks, _NAME)
    networks.add(container)
    request.addfinalizer(lambda: networks.remove(container))


def keep_captures(containers: Iterable[Container]) -> None:
    """Have recordings without a path of the user's outlive their containers: a test has failed."""
    for network in filter(None, map(_network_of, containers)):
        network.keeps_captures = True


def remove_captures(containers: Iterable[Container]) -> None:
    """Remove such recordings of containers that are gone, unless a test has failed."""
    for network in filter(None, map(_network_of, containers)):
        if not network.keeps_captures:
            for capture in network.captures:
                if capture.is_temporary:
                    shutil.rmtree(capture.path.parent, ignore_errors=True)


def faults_of(container: Container) -> list[str]:
    """What is in force in its network, for the report of a failed test."""
    network = _network_of(container)
    return [] if network is None or container.remains is not None else [str(fault) for fault in network.faults]


def captures_of(container: Container) -> list[str]:
    """Files of packets that a test has recorded."""
    network = _network_of(container)
    return [] if network is None else [str(capture.path) for capture in network.captures]


def _network_of(container: Container) -> Network | None:
    """Its network if a test has done anything to it."""
    network: Network | None = vars(container).get("network")
    return network
