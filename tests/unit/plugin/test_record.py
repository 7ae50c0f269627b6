"""What the processes of a run note, put together."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_lxcontainer.container.stats import Samples
from pytest_lxcontainer.plugin.durations import listed, title_of
from pytest_lxcontainer.plugin.journal import Journal
from pytest_lxcontainer.plugin.record import Operation, Record


def report(when: str, outcome: str = "passed", **more: Any) -> pytest.TestReport:
    fields = {"location": ("", 0, ""), "keywords": {}, "longrepr": None, "duration": 0.5, "start": 100.0, **more}
    return pytest.TestReport("test_it.py::test_it", outcome=outcome, when=when, **fields)  # type: ignore[arg-type]


def record_of(*reports: pytest.TestReport) -> Record:
    record = Record(90.0, 0.0)
    for each in reports:
        record.add_report(each)
    return record


def test_it_takes_next_to_nothing_to_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "test_it.py::test_it (call)")
    journal = Journal("", samples=False)
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(1000):
            journal.note("box:1", "pull", 0.1)
        taken.append((time.perf_counter() - begin) / 1000)
    assert min(taken) < 0.0001


def test_an_operation_is_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "a/test it.py::test_it[x y] (setup)")
    journal = Journal("gw1", samples=False)
    journal.note("box:1", "pull", 0.25)
    batch = journal.take()
    assert batch is not None
    record = Record(0.0, 0.0)
    record.add(batch)
    (operation,) = record.operations
    assert (operation.name, operation.subject, operation.container) == ("pull", "box:1", "")
    assert (operation.test, operation.phase, operation.worker) == ("a/test it.py::test_it[x y]", "setup", "gw1")
    assert operation.seconds == 0.25
    assert journal.take() is None


def test_nothing_is_lost_while_others_note() -> None:
    journal = Journal("", samples=False)
    threads = [threading.Thread(target=lambda: [journal.note("box", "pull", 0.0) for _ in range(2000)]) for _ in "abc"]
    for thread in threads:
        thread.start()
    count = 0
    while any(thread.is_alive() for thread in threads):
        count += len((journal.take() or {"operations": ()})["operations"])
    count += len((journal.take() or {"operations": ()})["operations"])
    assert count == 6000


def test_samples_are_in_the_runs_time() -> None:
    journal = Journal("", samples=True)
    journal.add_samples({"box-1": Samples((12.0, 13.0), (5, 6), (0.0, 0.5))})
    record = Record(0.0, 10.0)
    record.add(journal.take() or {})
    assert record.samples == {"box-1": [[2.0, 3.0], [5, 6], [0.0, 0.5]]}


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([report("setup"), report("call"), report("teardown")], "passed"),
        ([report("setup"), report("call", "failed"), report("teardown")], "failed"),
        ([report("setup", "failed"), report("teardown")], "error"),
        ([report("setup"), report("call"), report("teardown", "failed")], "error"),
        ([report("setup"), report("call", "failed"), report("teardown", "failed")], "error"),
        ([report("setup", "skipped"), report("teardown")], "skipped"),
        ([report("setup"), report("call", "skipped", wasxfail=""), report("teardown")], "xfailed"),
        ([report("setup"), report("call", wasxfail=""), report("teardown")], "xpassed"),
        ([report("???", "failed")], "failed"),
    ],
)
def test_a_test_has_one_outcome(reports: list[pytest.TestReport], outcome: str) -> None:
    (test,) = record_of(*reports).tests.values()
    assert test.outcome == outcome


def test_a_test_that_is_run_again_has_the_last_outcome_and_all_the_time() -> None:
    first = [report("setup"), report("call", "rerun"), report("teardown")]
    (test,) = record_of(*first, report("setup"), report("call"), report("teardown")).tests.values()
    assert (test.outcome, test.reruns, test.phases["call"]) == ("passed", 1, 1.0)
    assert len(test.failures) == 1


def test_a_test_begins_in_the_runs_time() -> None:
    (test,) = record_of(report("setup")).tests.values()
    assert test.begin == 10.0


def test_a_failure_has_the_reports_containers_in_place_of_their_sections() -> None:
    failed = report(
        "call",
        "failed",
        longrepr="first\nE   the last line",
        sections=[("Captured stdout call", "seen"), ("lxc container box (box:1)", "state: RUNNING")],
        lxcontainer=[{"name": "box", "id": "box-1"}],
    )
    (failure,) = record_of(failed).tests["test_it.py::test_it"].failures
    assert failure.sections == [("Captured stdout call", "seen")]
    assert failure.containers == [{"name": "box", "id": "box-1"}]
    assert failure.message == "E   the last line"


def test_without_them_it_has_the_sections() -> None:
    failed = report("call", "failed", longrepr="x", sections=[("lxc container box (box:1)", "state: RUNNING")])
    (failure,) = record_of(failed).tests["test_it.py::test_it"].failures
    assert failure.sections == [("lxc container box (box:1)", "state: RUNNING")]


def test_the_message_is_that_of_the_exception() -> None:
    class Crashed:
        reprcrash = SimpleNamespace(message="AssertionError: assert 1 == 2\n +  where")

        def toterminal(self, writer: Any) -> None:
            writer.line("a traceback")

    failed = report("call", "failed")
    failed.longrepr = Crashed()  # type: ignore[assignment]  # what pytest has there has this
    (failure,) = record_of(failed).tests["test_it.py::test_it"].failures
    assert failure.message == "AssertionError: assert 1 == 2"


def operation(name: str, seconds: float, test: str = "test_it.py::test_it", container: str = "box-1") -> Operation:
    return Operation(name, 0.0, seconds, container, "box:1", test, "setup" if test else "", "", 1)


def test_the_slowest_come_first() -> None:
    operations = [operation("exec", 0.5), operation("pull", 3.214, container=""), operation("start", 1.0)]
    assert list(listed(operations, 2, verbose=False)) == [
        "3.21s pull     box:1          test_it.py::test_it (setup)",
        "1.00s start    box-1 (box:1)  test_it.py::test_it (setup)",
    ]


def test_short_ones_are_hidden_as_pytest_hides_short_tests() -> None:
    operations = [operation("exec", 0.004), operation("start", 1.0)]
    *_, told = listed(operations, 0, verbose=False)
    assert told == "\n(1 operations < 0.005s hidden.  Use -vv to show these operations.)"
    assert len(list(listed(operations, 0, verbose=True))) == 2


def test_what_no_test_waited_for_says_so() -> None:
    assert list(listed([operation("destroy", 1.0, test="")], 0, verbose=False)) == [
        "1.00s destroy  box-1 (box:1)  (outside of tests)"
    ]


def test_the_heading_is_as_pytests() -> None:
    assert title_of(3) == "slowest 3 container operations"
    assert title_of(0) == "slowest container operations"
