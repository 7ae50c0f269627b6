"""What one wait for a container keeps from one look at it to the next."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from .backend import LogHandle, Status
from .matches import Matches

if TYPE_CHECKING:
    from .container import Container

SHORTEST_POLL = 0.001
LONGEST_POLL = 0.02
SHORTEST_COMMAND = 0.1


class Watch:
    """A wait for *container* until *deadline* (monotonic seconds, ``None``: for as long as a look takes)."""

    def __init__(self, container: Container, deadline: float | None = None) -> None:
        self.container = container
        self._deadline = deadline
        self._logs: dict[re.Pattern[str], tuple[LogHandle, Matches]] = {}
        self._bell: LogHandle | None = None
        self._pid: int | None = None
        self.has_ended = False
        self._pause = SHORTEST_POLL

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for handle, _ in self._logs.values():
            handle.close()
        self._logs.clear()
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def notice(self, status: Status) -> None:
        """Look at another log, from its beginning, where the container has been started again."""
        self.has_ended = status.state == "STOPPED"
        if status.pid is not None:
            if self._pid not in (None, status.pid):
                self.__exit__()
            self._pid = status.pid

    @property
    def for_command(self) -> float | None:
        """Seconds that a command may take: not beyond the deadline, and long enough to do something."""
        return None if self._deadline is None else max(SHORTEST_COMMAND, self._left(self._deadline))

    def count(self, pattern: re.Pattern[str], enough: int) -> int:
        """How often *pattern* is in the log of the container's last start; looks no further than for *enough*."""
        if pattern not in self._logs:
            self._logs[pattern] = (self.container._follow_this_start(), Matches(pattern))
        handle, matches = self._logs[pattern]
        while matches.count < enough and not self._is_late and (data := handle.read()):
            matches.feed(data)
        return matches.count

    @property
    def _is_late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline + SHORTEST_COMMAND

    def poll(self) -> bool:
        """Let some time pass, the longer the more often; false where the deadline comes first."""
        if self._deadline is not None and time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(LONGEST_POLL, self._pause * 1.5)
        return True

    def until_told(self) -> bool:
        """Wait for more in the log, or the container's end; false once the deadline has come."""
        if self._left(self._deadline) <= 0:
            return False
        if self._bell is None:
            self._bell = self.container._follow_this_start()
        else:
            self._bell.wait(self._left(self._deadline))
        time.sleep(SHORTEST_POLL)  # what is written bit by bit is looked at once
        return True

    @staticmethod
    def _left(deadline: float | None) -> float:
        return 0.0 if deadline is None else max(0.0, deadline - time.monotonic())
