"""What a failed test tells of its containers."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from .aftermath import aftermath_of
from .evidence import ATTRIBUTE, SHORT, WHOLE, Evidence, gathered
from .html import add_extras
from .network import keep_captures, look_after, remove_captures
from .rendering import properties_of, text_of, title_of

if TYPE_CHECKING:
    from ..container.container import Container

CONTAINERS = pytest.StashKey[list[Any]]()
DESTROYED = pytest.StashKey[list[Any]]()
"""Containers that went in the teardown under way: its report is made when they are gone."""

_PROPERTY = "lxcontainer."
_VERBOSE = 2


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
            _tell(item, report, shown)
    if aftermath is not None and report.when == "teardown":
        aftermath.settle()
    remove_captures(destroyed)
    destroyed.clear()
    return report


def _tell(item: pytest.Item, report: pytest.TestReport, containers: Sequence[Container]) -> None:
    whole = item.config.get_verbosity() >= _VERBOSE
    # As pytest writes it into the environment, where a container's history has it from.
    test = item.nodeid.replace("\x00", "(null)")
    evidence = gathered(containers, test, WHOLE if whole else SHORT)
    aftermath = aftermath_of(item.config)
    if aftermath is not None:
        ways = aftermath.failed(item.nodeid, containers)
        for each, container in zip(evidence, containers, strict=True):
            each.update(ways.get(id(container), {}))
    vars(report)[ATTRIBUTE] = evidence
    sections = [(title_of(each), text_of(each, whole=whole)) for each in evidence]
    report.sections.extend(sections)
    _add_properties(item, report, evidence)
    add_extras(item.config, report, sections)


def _add_properties(item: pytest.Item, report: pytest.TestReport, evidence: Sequence[Evidence]) -> None:
    """For JUnit files; also to the item, since only the last report's are written, which is that of the teardown."""
    names = [each["name"] for each in evidence]
    named = {
        f"{_PROPERTY}{each['name'] if names.count(each['name']) == 1 else each['id']}.{name}": value
        for each in evidence
        for name, value in properties_of(each).items()
    }
    for properties in (item.user_properties, report.user_properties):
        # Those of an earlier failure: of the same test run again, or of its call before its teardown.
        properties[:] = [each for each in properties if each[0] not in named]
        properties.extend(named.items())
