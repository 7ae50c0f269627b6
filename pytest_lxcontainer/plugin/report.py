"""What a failed test tells of its containers."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from .aftermath import aftermath_of
from .network import described, keep_captures, look_after, remove_captures

if TYPE_CHECKING:
    from ..container.backend import Status
    from ..container.container import Container

CONTAINERS = pytest.StashKey[list[Any]]()
DESTROYED = pytest.StashKey[list[Any]]()
"""Containers that went in the teardown under way: its report is made when they are gone."""

_LINES = 50


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
        ways = aftermath.failed(item.nodeid, shown) if aftermath is not None else {}
        report.sections.extend(_section(each, ways.get(id(each), "")) for each in shown)
    if aftermath is not None and report.when == "teardown":
        aftermath.settle()
    remove_captures(destroyed)
    destroyed.clear()
    return report


def _now(container: Container) -> tuple[Status, str]:
    remains = container.remains
    if remains is None:
        return container.status(), container.logs()
    return remains.status, remains.log.decode("utf-8", "replace")


def _section(container: Container, way: str) -> tuple[str, str]:
    """Heading and text: how the container is, and its last log lines."""
    title = f"lxc container {container.name} ({container.image.title})"
    try:
        status, log = _now(container)
        network = described(container)
    except Exception as error:  # a report must not fail where its subject did
        return title, f"nothing could be learnt of it: {error}"
    state = status.state if status.exit_code is None else f"{status.state}, exit code {status.exit_code}"
    reason = f" ({status.reason})" if status.reason else ""
    lines = log.splitlines()
    left_out = [f"... {len(lines) - _LINES} earlier lines"] if len(lines) > _LINES else []
    shown = "\n".join([*left_out, *lines[-_LINES:]]) if lines else "(it wrote nothing)"
    about = [f"state: {state}{reason}; command: {' '.join(container.command)}", *network]
    return title, "\n".join(filter(None, [*about, shown, way]))
