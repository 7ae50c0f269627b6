"""Hooks for `--lxc-durations` and `--lxc-report`, registered only where one of them is given.

What a process notes travels with the reports of its tests, so that an interrupted run, or a worker that crashes, loses
no more than the test under way.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from .journal import JOURNAL, Journal
from .options import chosen_durations, chosen_report
from .run import supervisor_of

_BATCH = "lxcontainer_journal"
"""Attribute of a test's report, and key of what a worker tells at its end."""


def note_times(config: pytest.Config) -> None:
    """Have operations noted, if anybody wants to know; `pytest.UsageError` for options that cannot be used."""
    count, path = chosen_durations(config), chosen_report(config)
    if (count is None and path is None) or config.getoption("collectonly"):
        return
    worker = getattr(config, "workerinput", {}).get("workerid")
    config.stash[JOURNAL] = Journal(worker or "", samples=path is not None)
    times = Times(config.stash[JOURNAL]) if worker else Summary(config, count, path)
    config.pluginmanager.register(times, "lxcontainer-times")


class Times:
    """In every process that runs tests: gives what *journal* has to the reports."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the report take along what was noted until now."""
        report = yield
        if batch := self._journal.take():
            setattr(report, _BATCH, batch)
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Tell the controller what was noted after the last report: fixtures that go with an interrupted session."""
        batch = self._journal.take()
        if batch and hasattr(session.config, "workeroutput"):
            session.config.workeroutput[_BATCH] = batch


class Summary(Times):
    """In the process that tells the user: lists the slowest *count* operations, and writes the page to *path*."""

    def __init__(self, config: pytest.Config, count: int | None, path: Path | None) -> None:
        from .record import Record

        super().__init__(config.stash[JOURNAL])
        self._config = config
        self._count = count
        self._path = path
        self._record = Record(time.time(), time.monotonic())
        self._said = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Refuse a path that nothing can be written to before anything is done."""
        if self._path is not None:
            from .page.file import check_writable

            check_writable(self._path)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a test's report brings."""
        batch = report.__dict__.pop(_BATCH, None)
        if batch:
            self._record.add(batch)
        self._record.add_report(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        """Take what a worker of xdist tells at its end, or note that it cannot."""
        output = getattr(node, "workeroutput", None)
        if output is None or error:
            self._record.crashed.append(node.gateway.id)
        elif batch := output.get(_BATCH):
            self._record.add(batch)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the page, however the run ended."""
        if batch := self._journal.take():
            self._record.add(batch)
        if self._path is None:
            return
        self._ask_for_samples(session.config)
        from .page.file import write
        from .page.model import model_of

        ending = "interrupted" if exitstatus == pytest.ExitCode.INTERRUPTED else ""
        model = model_of(self._record, title=self._config.rootpath.name, arguments=_arguments(session), ending=ending)
        try:
            write(self._path, model)
            self._said = f"lxc report: {self._path}"
        except OSError as error:
            self._said = f"lxc report: {self._path} could not be written: {error.strerror}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """List the slowest operations, and say where the page is."""
        if self._count is not None and self._record.operations:
            from .durations import listed, title_of

            terminalreporter.write_sep("=", title_of(self._count))
            verbose = self._config.get_verbosity() > 1
            for line in listed(self._record.shown(), self._count, verbose=verbose):
                terminalreporter.write_line(line)
            for worker in self._record.crashed:
                terminalreporter.write_line(f"({worker} crashed: what it did in its last test is not known.)")
        if self._said:
            terminalreporter.write_sep("-", self._said)

    def _ask_for_samples(self, config: pytest.Config) -> None:
        """Of a run that xdist's workers shared: its supervisor is still there."""
        from ..errors import LxContainerError

        with suppress(LxContainerError, pytest.UsageError):
            client = supervisor_of(config)
            if client is None:
                return
            try:
                self._journal.add_samples(client.samples())
            finally:
                client.close()
            if batch := self._journal.take():
                self._record.add(batch)


def _arguments(session: pytest.Session) -> list[str]:
    return [str(each) for each in session.config.invocation_params.args]
