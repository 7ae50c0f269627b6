"""Putting what is known of a failed test's containers into its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from .aftermath import aftermath_of
from .evidence import ATTRIBUTE, SHORT, WHOLE, Evidence, gathered
from .html import add_extras
from .rendering import properties_of, text_of, title_of

if TYPE_CHECKING:
    from ..container.container import Container

_PROPERTY = "lxcontainer."
_VERBOSE = 2


def tell(item: pytest.Item, report: pytest.TestReport, containers: Sequence[Container]) -> None:
    """Have *report*, on a failure of *item*, tell of the *containers* that it had, and of the ways into them."""
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
