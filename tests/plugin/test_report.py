"""What a failed test tells of its containers."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from .conftest import Inner, lines

pytestmark = pytest.mark.usefixtures("mirror")

SPEAKS = """
    import pytest
    from pytest_lxcontainer import lxc_container, wait

    speaking = dict(command="echo this is the console; sleep 100", ready=wait.log("console"))
    shared = lxc_container("busybox", scope="module", name="shared", **speaking)
    own = lxc_container("busybox", name="own", **speaking)
    dying = dict(command="echo last words; exit 3", ready=wait.log("never"))
    bad = lxc_container("busybox", name="bad", **dying)
    bad_shared = lxc_container("busybox", name="badshared", scope="module", **dying)
"""


@pytest.mark.parametrize("fixture", ["own", "shared"])
def test_a_failed_call_shows_the_console(inner: Inner, fixture: str) -> None:
    result = inner.run(conftest=SPEAKS, test_it=f"def test_it({fixture}): assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"*- lxc container {fixture} (busybox:latest) -*", "state: RUNNING", "this is the console"]
    )


@pytest.mark.parametrize(("fixture", "name"), [("bad", "bad"), ("bad_shared", "badshared")])
def test_a_failed_set_up_shows_the_console(inner: Inner, fixture: str, name: str) -> None:
    result = inner.run(conftest=SPEAKS, test_it=f"def test_it({fixture}): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [f"*- lxc container {name} (busybox:latest) -*", "state: STOPPED, exit code 3", "last words"]
    )


@pytest.mark.parametrize("fixture", ["own", "shared"])
def test_a_failed_teardown_shows_the_console(inner: Inner, fixture: str) -> None:
    test = f"""
        import pytest

        @pytest.fixture
        def falls({fixture}):
            yield
            assert 0, "in teardown"

        def test_it(falls): pass
    """
    result = inner.run(conftest=SPEAKS, test_it=test)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*in teardown*", "*- lxc container " + fixture + " (busybox:latest) -*", "this is the console"]
    )


def test_passing_tests_are_silent(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own, shared): pass")
    result.assert_outcomes(passed=1)
    assert "lxc container" not in lines(result)
    assert "this is the console" not in lines(result)


def test_another_tests_container_is_not_shown(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_one(own): pass\ndef test_two(): assert 0")
    result.assert_outcomes(passed=1, failed=1)
    assert "lxc container" not in lines(result)


def test_several_containers_have_a_section_each(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own, shared): assert 0")
    assert lines(result).count("this is the console\n") == 2


def test_a_long_log_is_cut_to_its_end(inner: Inner) -> None:
    test = """
        import pytest
        from pytest_lxcontainer import wait

        COUNTS = "for n in $(seq 1000); do echo line-$n; done; sleep 100"

        @pytest.mark.container("busybox", command=COUNTS, ready=wait.log("line-1000"))
        def test_it(container): assert 0
    """
    result = inner.run(test_it=test)
    result.stdout.fnmatch_lines(["... * earlier lines", "*", "line-1000"])
    assert "line-100\n" not in lines(result)


def test_a_silent_container_says_so(inner: Inner) -> None:
    result = inner.run("--lxc-image=busybox", test_it="def test_it(container): assert 0")
    result.stdout.fnmatch_lines(["*- lxc container busybox (busybox:latest) -*", "log: (it wrote nothing)"])


def test_the_section_is_there_after_the_test_destroyed_its_container(inner: Inner) -> None:
    result = inner.run(conftest=SPEAKS, test_it="def test_it(own):\n    own.destroy()\n    assert 0")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- lxc container own (busybox:latest) -*"])


def test_the_console_is_in_the_junit_file(inner: Inner) -> None:
    options = ("--junit-xml=out.xml", "-o", "junit_logging=all")
    result = inner.run(*options, conftest=SPEAKS, test_it="def test_it(own): assert 0\ndef test_ok(own): pass")
    result.assert_outcomes(passed=1, failed=1)
    suite = ElementTree.parse(inner.path / "out.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert suite[0].find("failure") is not None
