"""What was run in a container: its commands, by which test ran them, as far as a report has use for them.

A few microseconds for each command: what is remembered is what is there anyway, and no more than some dozens of them.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ExecTimeoutError
from .exec import ExecResult

FIRST, LAST = 5, 50
"""How many commands are remembered: of more than both together those between the first and the last are not."""

OUTPUT_KEPT = 2000
"""Characters of a failed command's output that are remembered, of each stream the last."""

_CURRENT_TEST = "PYTEST_CURRENT_TEST"
"""https://docs.pytest.org/en/stable/example/simple.html#pytest-current-test-environment-variable"""


@dataclass(slots=True)
class Ran:
    """One command: *args*, the *test* (its node id) that ran it, and when it *began* (seconds since the epoch).

    *exit_code* is ``None`` while it runs, and of one that was given up; then *problem* says why. *output* is the end of
    what a command that failed has written, as far as `exec` collected it. A command that was run several *times* in a
    row with one outcome, as those are that something is waited for with, is remembered once; *seconds* are the last
    one's.
    """

    args: tuple[str, ...]
    test: str
    began: float
    exit_code: int | None = None
    seconds: float | None = None
    output: str = ""
    problem: str = ""
    times: int = 1

    @property
    def succeeded(self) -> bool:
        """Whether it ended, and with 0."""
        return self.exit_code == 0


class History:
    """The commands of one container, in the order in which they began; usable from several threads."""

    def __init__(self) -> None:
        self._ran: list[Ran] = []
        self._lock = threading.Lock()
        self._late = ("", "")
        self.left_out = 0
        """How many were between the first and the last."""

    @property
    def ran(self) -> Sequence[Ran]:
        """What is remembered."""
        with self._lock:
            return tuple(self._ran)

    def begin(self, args: tuple[str, ...]) -> Ran:
        """Note that a command begins."""
        ran = Ran(args, current_test(), time.time())
        with self._lock:
            self._ran.append(ran)
            if len(self._ran) > FIRST + LAST:
                del self._ran[FIRST]
                self.left_out += 1
        return ran

    def ended(self, ran: Ran, result: ExecResult[bytes]) -> None:
        """Note how a command that was run to its end has ended."""
        ran.exit_code, ran.seconds = result.exit_code, result.duration
        if result.exit_code:
            ran.output = _tails(result.stdout, result.stderr)
        with self._lock:
            self._join(ran)

    @staticmethod
    def left(ran: Ran, error: BaseException) -> None:
        """Note that *error* kept a command from its end, or from its beginning."""
        ran.seconds = time.time() - ran.began
        ran.problem = getattr(error, "message", "") or type(error).__name__
        if isinstance(error, ExecTimeoutError):
            ran.problem = f"killed after {error.timeout:g} s"
            ran.output = _tails(error.stdout, error.stderr)

    @staticmethod
    def told(ran: Ran, exit_code: int) -> None:
        """Note that the end of a command that went on by itself has been noticed."""
        ran.exit_code, ran.seconds = exit_code, time.time() - ran.began

    def note_late(self, what: str) -> None:
        """Note that something was waited for in vain: *what* says it."""
        self._late = (current_test(), what)

    def late_in(self, test: str) -> str:
        """What *test* last waited for in vain, if it did."""
        return self._late[1] if self._late[0] == test else ""

    def _join(self, ran: Ran) -> None:
        """Have one command stand for two in a row that are alike."""
        if len(self._ran) < 2 or self._ran[-1] is not ran:
            return
        before = self._ran[-2]
        if (before.args, before.test, before.exit_code) == (ran.args, ran.test, ran.exit_code):
            before.seconds, before.output = ran.seconds, ran.output
            before.times += 1
            self._ran.pop()


def current_test() -> str:
    """The node id of the test that this process runs, as pytest tells its children; empty without pytest."""
    return os.environ.get(_CURRENT_TEST, "").rpartition(" ")[0]


def _tails(stdout: str | bytes, stderr: str | bytes) -> str:
    return "\n".join(filter(None, (_tail(stdout), _tail(stderr))))


def _tail(output: str | bytes) -> str:
    end = output[-OUTPUT_KEPT:]
    return (end if isinstance(end, str) else end.decode("utf-8", "replace")).strip("\n")
