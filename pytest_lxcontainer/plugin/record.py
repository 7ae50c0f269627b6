"""What is known of a run in the end: its tests, and the operations that they waited for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from .journal import Batch

PHASES = ("setup", "call", "teardown")
_TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Operation:
    """One on a *container* (its id), or on an image (then that is empty) whose title is *subject*.

    *begin* is in seconds since the run's own begin. *test* (a node id) and *phase* are whose time it took, empty where
    it was no test's; *thread* is that of *worker*, in which operations contain others.
    """

    name: str
    begin: float
    seconds: float
    container: str
    subject: str
    test: str
    phase: str
    worker: str
    thread: int

    @property
    def end(self) -> float:
        """In seconds since the run's begin."""
        return self.begin + self.seconds


@dataclass(slots=True)
class Failure:
    """Why a test failed in *phase*: pytest's *text*, captured output, and the report's containers, as plain values."""

    phase: str
    message: str
    text: str
    sections: list[tuple[str, str]]
    containers: list[dict[str, Any]]


@dataclass(slots=True)
class TestRecord:
    """A test, with the seconds that its phases took; run again, they add up."""

    __test__ = False  # for pytest, which takes it for tests

    node_id: str
    worker: str
    begin: float
    outcome: str = ""
    phases: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    reruns: int = 0


class Record:
    """A run that began at *began_at* (seconds since the epoch), when the host's monotonic clock was at *clock*."""

    def __init__(self, began_at: float, clock: float) -> None:
        self.began_at = began_at
        self._clock = clock
        self.tests: dict[str, TestRecord] = {}
        self.operations: list[Operation] = []
        self.containers: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.samples: dict[str, list[list[float]]] = {}
        self.crashed: list[str] = []
        """Workers of xdist of which what they noted last is lost."""

    def add(self, batch: Batch) -> None:
        """Take what a process noted."""
        worker = batch["worker"]
        for name, begin, seconds, container, subject, test, thread in batch["operations"]:
            node_id, _, phase = test.rpartition(" ")
            about = (container, subject, node_id, phase.strip("()"), worker, thread)
            self.operations.append(Operation(name, begin - self._clock, seconds, *about))
        for each in batch["containers"]:
            self.containers.setdefault(each["id"], {**each, "worker": worker})
        for each in batch["images"]:
            self.images.setdefault(each["key"], each)
        self.add_samples(batch["samples"])

    def add_samples(self, samples: dict[str, list[list[float]]]) -> None:
        """Take what was measured of containers; see `Journal.add_samples`."""
        for name, (moments, memory, cpu) in samples.items():
            self.samples[name] = [[moment - self._clock for moment in moments], memory, cpu]

    def add_report(self, report: pytest.TestReport) -> None:
        """Take what pytest says of one phase of a test."""
        worker = str(getattr(report, "worker_id", ""))
        begin = getattr(report, "start", self.began_at) - self.began_at
        test = self.tests.setdefault(report.nodeid, TestRecord(report.nodeid, worker, begin))
        if report.when == "setup" and report.when in test.phases:
            test.outcome = ""
        phase = report.when if report.when in PHASES else "call"
        if not hasattr(report, "context"):  # else it is a subtest's, whose time is the test's
            test.phases[phase] = test.phases.get(phase, 0.0) + report.duration
        outcome = _outcome(report)
        if outcome == "rerun":
            test.reruns += 1
        elif _weight(outcome) >= _weight(test.outcome):
            test.outcome = outcome
        if outcome in ("failed", "error", "rerun"):
            test.failures.append(_failure(report, report.when or "call"))

    def shown(self) -> list[Operation]:
        """The operations without those that are part of another: of a wait, the commands that it ran.

        Preparing a template has parts that are shown as well.
        """
        return [each for each, within in self._with_whole() if within in ("", _TEMPLATE)]

    def outermost(self) -> list[Operation]:
        """The operations without any that are part of another."""
        return [each for each, within in self._with_whole() if not within]

    def _with_whole(self) -> Iterator[tuple[Operation, str]]:
        """Each operation, the last first, with the name of the one that it is part of, if it is.

        In one thread parts end, and so are noted, before their whole.
        """
        under_way: dict[tuple[str, int], list[Operation]] = defaultdict(list)
        for each in reversed(self.operations):
            wholes = under_way[each.worker, each.thread]
            while wholes and wholes[-1].begin >= each.begin + each.seconds / 2:
                wholes.pop()
            yield each, wholes[-1].name if wholes else ""
            wholes.append(each)


_OUTCOMES = ("", "passed", "skipped", "xfailed", "xpassed", "failed", "error")
"""The later counts, where a test's phases have several."""


def _weight(outcome: str) -> int:
    return _OUTCOMES.index(outcome) if outcome in _OUTCOMES else 0


def _outcome(report: pytest.TestReport) -> str:
    """In pytest's words; a set-up or teardown that fails is an error."""
    if hasattr(report, "wasxfail") and report.outcome in ("passed", "skipped"):
        return "xpassed" if report.outcome == "passed" else "xfailed"
    if report.outcome == "failed" and report.when in ("setup", "teardown"):
        return "error"
    return str(report.outcome)


def _failure(report: pytest.TestReport, phase: str) -> Failure:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = report.longreprtext
    message = crash.message if crash is not None else text.strip().rpartition("\n")[2]
    containers = [dict(each) for each in getattr(report, "lxcontainer", [])]
    said = [(str(title), str(text)) for title, text in report.sections]
    # Of containers there is more in `report.lxcontainer`.
    sections = [each for each in said if not (containers and each[0].startswith("lxc container"))]
    return Failure(phase, message.partition("\n")[0], text, sections, containers)
