"""What pytest-html's page shows of a failed test's containers."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from ..docs.markdown import ROOT
from .conftest import Inner
from .test_report import SPEAKS

pytestmark = pytest.mark.usefixtures("mirror")

TESTS = """
    import pytest

    @pytest.fixture
    def falls(own):
        yield
        assert 0

    def test_call(own):
        own.exec("echo '<b>x</b>' > /tmp/new")
        assert 0

    def test_set_up(bad): pass
    def test_teardown(falls): pass
    def test_ok(own): pass
"""


def page(inner: Inner) -> dict[str, list[dict[str, Any]]]:
    """The data of the page's tests, by id."""
    text = (inner.path / "out.html").read_text()
    match = re.search(r'data-jsonblob="([^"]*)"', text)
    assert match
    tests: dict[str, list[dict[str, Any]]] = json.loads(html.unescape(match[1]))["tests"]
    return tests


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_failed_tests_show_their_containers(inner: Inner, workers: list[str]) -> None:
    if workers:
        pytest.importorskip("xdist")
    result = inner.run(*workers, "--html=out.html", "--self-contained-html", conftest=SPEAKS, test_it=TESTS)
    result.assert_outcomes(passed=2, failed=1, errors=2)
    tests = page(inner)
    words = {"test_call": "this is the console", "test_set_up::setup": "last words", "test_teardown::teardown": "own"}
    for name, said in words.items():
        entry = next(each for each in tests[f"test_it.py::{name.partition('::')[0]}"] if each["testId"].endswith(name))
        (extra,) = entry["extras"]
        assert extra["format_type"] == "html" and said in extra["content"]
        assert said in html.unescape(entry["log"])
    (call,) = tests["test_it.py::test_call"]
    assert "+&lt;b&gt;x&lt;/b&gt;" in call["extras"][0]["content"]
    (passed,) = tests["test_it.py::test_ok"]
    assert passed["extras"] == []


def test_what_tests_add_themselves_stays(inner: Inner) -> None:
    test = """
        def test_it(own, extras):
            extras.append({"name": "mine", "format_type": "url", "content": "http://x", "mime_type": None,
                           "extension": None})
            assert 0
    """
    inner.run("--html=out.html", conftest=SPEAKS, test_it=test).assert_outcomes(failed=1)
    (entry,) = page(inner)["test_it.py::test_it"]
    assert sorted(each["format_type"] for each in entry["extras"]) == ["html", "url"]


def test_without_it_all_is_as_ever(inner: Inner) -> None:
    result = inner.run("-p", "no:html", conftest=SPEAKS, test_it="def test_it(own): assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- lxc container own (busybox:latest) -*", "this is the console"])


def test_it_is_never_imported() -> None:
    plugin = ROOT / "pytest_lxcontainer" / "plugin"
    assert [
        path for path in plugin.rglob("*.py") if re.search(r"(?m)^\s*(import|from) pytest_html", path.read_text())
    ] == []
