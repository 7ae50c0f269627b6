"""``--lxc-shell``: a shell in a failed test's container before its teardown, as ``--pdb`` has a debugger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from .report import CONTAINERS

if TYPE_CHECKING:
    from ..container.container import Container

_STDIN = 0
_GO_ON = "q"


def offer_shell(config: pytest.Config) -> None:
    """Have failures lead to a shell where that was asked for; `pytest.UsageError` with xdist's workers."""
    if not config.getoption("lxc_shell"):
        return
    if config.getoption("dist", "no") != "no" or config.getoption("tx", None):
        raise pytest.UsageError(
            "--lxc-shell needs the terminal, and cannot be used with -n: leave that out, or pass -n0"
        )
    config.pluginmanager.register(ShellOnFailure(config), "lxcontainer-shell")


class ShellOnFailure:
    """Stops at each failure of a test that has containers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._has_complained = False

    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector, report: Any) -> None:
        """Show the failure, and let the user look around."""
        # The last started first: that is the one under test more often than what it needs.
        live = [each for one in node.listchain() for each in one.stash.get(CONTAINERS, [])][::-1]
        if not live or not isinstance(report, pytest.TestReport):
            return
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if capture is not None:
            capture.suspend_global_capture(in_=True)
        writer = self._config.get_terminal_writer()
        writer.line()
        if not os.isatty(_STDIN):
            self._complain(writer)
            return
        writer.sep(">", f"lxc shell: {node.nodeid} ({report.when})")
        _show(report, writer, self._config.getoption("showcapture", "all"))
        Visit(live, writer).begin()
        writer.sep(">", "going on with the teardown")

    def _complain(self, writer: Any) -> None:
        if not self._has_complained:
            writer.line("--lxc-shell: stdin is no terminal, so there is no shell for what fails", yellow=True)
            self._has_complained = True


def _show(report: pytest.TestReport, writer: Any, captured: str) -> None:
    """What pytest shows of a failure at the end of the run."""
    report.toterminal(writer)
    for name, content in report.sections:
        if captured == "all" or captured in name:
            writer.sep("-", name)
            writer.line(content.removesuffix("\n"))


class Visit:
    """A person's visit to *containers*, of which there is at least one."""

    def __init__(self, containers: Sequence[Container], writer: Any) -> None:
        self._containers = containers
        self._writer = writer

    def begin(self) -> None:
        """Show each container that is chosen from the inside, until the person goes on; the only one, once."""
        if len(self._containers) == 1:
            self._enter(self._containers[0])
            return
        chosen: Container | None
        while (chosen := self._chosen()) is not None:
            self._enter(chosen)

    def _chosen(self) -> Container | None:
        """Ask for one, by number or name."""
        for number, container in enumerate(self._containers, 1):
            self._writer.line(f"  {number}  {_told(container)}")
        while True:
            answer = self._answer(f"shell in which? number or name [1], {_GO_ON} goes on with the teardown: ")
            if answer == _GO_ON:
                return None
            for number, container in enumerate(self._containers, 1):
                if answer in (str(number), container.name) or (not answer and number == 1):
                    return container
            self._writer.line(f"there is no {answer!r}")

    def _answer(self, question: str) -> str:
        self._writer.flush()
        try:
            return input(question).strip()
        except EOFError:
            self._writer.line()
            return _GO_ON

    def _enter(self, container: Container) -> None:
        from ..errors import LxContainerError

        try:
            if not container.running:
                self._writer.line(f"no shell in container {_told(container)}: it does not run")
                return
            self._writer.sep(">", f"container {_told(container)}; leave with exit or Ctrl-D")
            self._writer.flush()
            with _thawed(container):
                container.shell()
        except LxContainerError as error:
            self._writer.line(str(error), red=True)


@contextmanager
def _thawed(container: Container) -> Iterator[None]:
    """Let its processes go on meanwhile, if it is frozen."""
    if container.state != "FROZEN":
        yield
        return
    container.unfreeze()
    yield
    if container.running:
        container.freeze()


def _told(container: Container) -> str:
    """Name, image and state, in a line."""
    status = container.status()
    end = "" if status.exit_code is None else f", exit code {status.exit_code}"
    return f"{container.name} ({container.image.title}, {status.state}{end})"
