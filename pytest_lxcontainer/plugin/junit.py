"""The sections of containers in JUnit files, where pytest's option ``junit_logging`` leaves out all captured output.

pytest writes a test case when its teardown is reported: what is added then goes to the element that it has made.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any
from xml.etree import ElementTree

import pytest

from .evidence import ATTRIBUTE
from .rendering import title_of

_TAG = "system-out"
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""https://www.w3.org/TR/xml/#charsets"""


def register(config: pytest.Config) -> None:
    """See to the JUnit file that is to be written, if this process does that."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Output(config), "lxcontainer-junit")


class _Output:
    """Adds what containers' sections say to the test cases of pytest's own plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Have pytest note the report, and add to that."""
        text = _text(report)
        junit = self._junit() if text or report.when == "teardown" else None
        before: Any = None if junit is None else junit.node_reporter(report)
        cases = 0 if junit is None else len(junit.node_reporters_ordered)
        yield
        if junit is None:
            return
        if report.when != "teardown":
            before.append(_element(text))
            return
        # A teardown that fails after its test has a case of its own.
        is_new = len(junit.node_reporters_ordered) > cases
        case = (junit.node_reporters_ordered[-1] if is_new else before).to_xml()
        if text:
            case.append(_element(text))
        _join(case)

    def _junit(self) -> Any:
        """pytest's plugin, which has no name; ``None`` where it is not as it has been since pytest 8.0."""
        for plugin in self._config.pluginmanager.get_plugins():
            if hasattr(plugin, "node_reporter") and hasattr(plugin, "node_reporters_ordered"):
                return plugin
        return None


def _text(report: pytest.TestReport) -> str:
    titles = {title_of(each) for each in getattr(report, ATTRIBUTE, ())}
    return "\n".join(f"{f' {title} ':-^80}\n{text}\n" for title, text in report.sections if title in titles)


def _element(text: str) -> ElementTree.Element:
    element = ElementTree.Element(_TAG)
    element.text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
    return element


def _join(case: ElementTree.Element) -> None:
    """Make one of several elements, of which some readers take the first for all."""
    found = case.findall(_TAG)
    for other in found[1:]:
        found[0].text = f"{found[0].text}\n{other.text}"
        case.remove(other)
