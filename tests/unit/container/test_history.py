"""What a container remembers of the commands that were run in it."""

from __future__ import annotations

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.container.history import FIRST, LAST, OUTPUT_KEPT, Ran
from pytest_lxcontainer.errors import ExecTimeoutError, NotRunningError, WaitTimeoutError


def told(ran: Ran) -> tuple[str, int | None, str, str]:
    return ran.args[-1], ran.exit_code, ran.output, ran.problem


def test_a_command_is_remembered_with_its_end(box: Container) -> None:
    box.exec("true")
    box.exec("echo out; echo err >&2; exit 3")
    first, second = box.history.ran
    assert told(first) == ("true", 0, "", "")
    assert told(second) == ("echo out; echo err >&2; exit 3", 3, "out\nerr", "")
    assert first.succeeded and not second.succeeded
    assert first.seconds is not None and 0 < first.seconds < 10


def test_one_that_was_killed_after_its_time_is_told_with_what_it_wrote(box: Container) -> None:
    with pytest.raises(ExecTimeoutError):
        box.exec("echo so far; sleep 100", timeout=0.2)
    (ran,) = box.history.ran
    assert told(ran) == ("echo so far; sleep 100", None, "so far", "killed after 0.2 s")


def test_one_that_could_not_begin_says_why(box: Container) -> None:
    box.stop()
    with pytest.raises(NotRunningError):
        box.exec("true")
    (ran,) = box.history.ran
    assert "not running" in ran.problem and ran.exit_code is None


def test_one_that_goes_on_is_still_running_until_its_end_is_noticed(box: Container) -> None:
    with box.popen("read line; exit 4") as process:
        (ran,) = box.history.ran
        assert (ran.exit_code, ran.problem) == (None, "")
        process.stdin.write(b"\n")
        process.wait(10)
        assert ran.exit_code == 4


def test_the_same_with_the_same_end_in_a_row_is_remembered_once(box: Container) -> None:
    for _ in range(3):
        box.exec("false")
    box.exec("true")
    box.exec("false")
    assert [(ran.args[-1], ran.times) for ran in box.history.ran] == [("false", 3), ("true", 1), ("false", 1)]


def test_of_many_the_first_and_the_last_are_remembered(box: Container) -> None:
    for number in range(FIRST + LAST + 7):
        ran = box.history.begin((str(number),))
        ran.exit_code = 0
    assert box.history.left_out == 7
    numbers = [int(ran.args[0]) for ran in box.history.ran]
    assert numbers == [*range(FIRST), *range(FIRST + 7, FIRST + LAST + 7)]


def test_of_much_output_the_end_is_remembered(box: Container) -> None:
    box.exec("seq 10000; exit 1")
    (ran,) = box.history.ran
    assert len(ran.output) <= OUTPUT_KEPT and ran.output.endswith("9999\n10000")


def test_each_is_the_tests_that_pytest_runs(box: Container, request: pytest.FixtureRequest) -> None:
    box.exec("true")
    assert box.history.ran[0].test == request.node.nodeid


def test_what_was_waited_for_in_vain_is_remembered_for_its_test(box: Container, request: pytest.FixtureRequest) -> None:
    with pytest.raises(WaitTimeoutError):
        box.wait_for(wait.file("/no/such"), timeout=0.1)
    assert box.history.late_in(request.node.nodeid) == "file /no/such, not so after 0.1 s: False"
    assert box.history.late_in("another") == ""
