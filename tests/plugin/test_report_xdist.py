"""What a failed test tells of its containers, from a worker to the controller."""

from __future__ import annotations

import json
from textwrap import dedent
from xml.etree import ElementTree

import pytest

from .conftest import Inner
from .test_report import SPEAKS, TELLS, cases, outputs, properties, told

pytestmark = pytest.mark.usefixtures("mirror")


def test_the_controller_has_it_all(inner: Inner) -> None:
    test = r"""
        def test_it(own):
            own.exec("echo x > $(printf '/tmp/\\377'); exit 3")
            own.network.delay("1ms")
            assert 0
    """
    result = inner.run("-n", "1", "--junit-xml=out.xml", conftest=dedent(TELLS) + dedent(SPEAKS), test_it=test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- lxc container own (busybox:latest) -*",
            "state: RUNNING",
            "network faults: delay 1 ms*",
            "  exit code 3, *",
            "  A /tmp/\N{REPLACEMENT CHARACTER} (2 B)",
            "      +x",
            "this is the console",
        ]
    )
    (box,) = told(inner)
    assert (box["name"], box["commands"][0]["exit_code"]) == ("own", 3)
    json.dumps(box).encode("utf-8")
    (case,) = cases(inner)
    (text,) = outputs(case)
    assert "this is the console" in text
    assert properties(case)["lxcontainer.own.state"] == "RUNNING"


def test_each_phase_is_told_in_its_own_test_case(inner: Inner) -> None:
    test = """
        import pytest

        @pytest.fixture
        def falls(own):
            yield
            assert 0, "in teardown"

        @pytest.mark.parametrize("number", range(4))
        def test_both(falls, number): assert 0, "in call"

        def test_set_up(bad): pass
        def test_teardown(falls): pass
    """
    inner.run("-n", "2", "--junit-xml=out.xml", conftest=SPEAKS, test_it=test).assert_outcomes(
        passed=1, failed=4, errors=6
    )
    found = cases(inner)
    assert len(found) == 4 * 2 + 2
    for case in found:
        (text,) = outputs(case)
        assert text.count(" lxc container ") == 1
        assert properties(case)
    suite = ElementTree.parse(inner.path / "out.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("4", "6")


def test_a_container_of_all_workers_is_told_of_by_each(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import lxc_container

        all_have = lxc_container("busybox", scope="run", name="all")

        @pytest.mark.parametrize("number", range(2))
        def test_it(all_have, number):
            all_have.exec(f"exit {40 + number}")
            assert 0
    """
    result = inner.run("-n", "2", test_it=test)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines_random(["  exit code 40, *", "  exit code 41, *"])
    assert result.stdout.str().count("- lxc container all (busybox:latest) -") == 2


def test_all_is_told_with_vv(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        @pytest.mark.container("busybox", command="seq 100; sleep 100", ready=wait.log("^100$"))
        def test_it(container): assert 0
    """
    result = inner.run("-n", "1", "-vv", test_it=test)
    result.stdout.fnmatch_lines(["log:", "1", "2"], consecutive=True)
