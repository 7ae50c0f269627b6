"""What a failed test tells of its containers."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from .aftermath import aftermath_of
from .network import keep_captures, look_after, remove_captures

if TYPE_CHECKING:
    from ..container.container import Container

CONTAINERS = pytest.StashKey[list[Any]]()
DESTROYED = pytest.StashKey[list[Any]]()
"""Containers that went in the teardown under way: its report is made when they are gone."""


def track(request: pytest.FixtureRequest, container: Container) -> None:
    """Report *container* with the failures in its fixture's scope, until its teardown; to be called before others that
    make a finalizer of that.
    """
    live = request.node.stash.setdefault(CONTAINERS, [])
    live.append(container)

    def let_go() -> None:
        live.remove(container)
        request.config.stash.setdefault(DESTROYED, []).append(container)

    request.addfinalizer(let_go)
    look_after(request, container)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section for each container to a failed test's report."""
    report = yield
    destroyed = item.config.stash.setdefault(DESTROYED, [])
    aftermath = aftermath_of(item.config)
    if report.failed:
        live = (container for node in item.listchain() for container in node.stash.get(CONTAINERS, []))
        shown = [*destroyed, *live]
        keep_captures(shown)
        if shown:
            from .telling import tell  # which only who fails needs

            tell(item, report, shown)
    if aftermath is not None and report.when == "teardown":
        aftermath.settle()
    remove_captures(destroyed)
    destroyed.clear()
    return report
