"""Containers that stay when their run has ended, and the end of those."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..errors import NotDelegatedError, NotRunningError
from .life import Life
from .loop import Loop, wait
from .record import Listed
from .run import POOL, Run
from .shares import NOBODY

MOST_AGE = 24 * 3600.0
"""Seconds that a container is kept for whoever wants to know why its test has failed."""

_INTERVAL = 0.5
"""Seconds between two looks at whether something is left."""


class Keeping:
    """Which containers of *run* stay, until they are destroyed or have been kept for long enough."""

    def __init__(self, run: Run, loop: Loop) -> None:
        self._run = run
        self._loop = loop
        self._is_watching = False

    @property
    def any(self) -> bool:
        """Whether there is a container that stays."""
        return any(life.record.stays for life in self._run.lives.values())

    def let_stay(self, life: Life, note: Mapping[str, Any], is_removed: bool) -> None:
        """Have *life* go with no process; with *is_removed*, it goes when its command has ended."""
        life.creator = NOBODY
        life.record.stays, life.record.note, life.record.is_removed = True, note, is_removed
        self._watch()

    def keep(self, life: Life, note: Mapping[str, Any], test: str) -> None:
        """Have *life* stay as it is now, since *test* has failed: its processes halt where they can be halted."""
        self.let_stay(life, note, is_removed=False)
        life.record.test, life.record.kept = test, time.time()
        life.notice_end()
        if life.state == "RUNNING":
            try:
                life.freeze(True)
            except (NotDelegatedError, NotRunningError):
                return  # it goes on, or has ended just now

    def list(self) -> list[dict[str, Any]]:
        """Every container that somebody has asked for, as `Listed` has it."""
        lives = [life for life in self._run.lives.values() if life.creator != POOL]
        for life in lives:
            life.notice_end()
        return [Listed(self._run.run_id, life.spec, life.status(), life.record).to_dict() for life in lives]

    async def until_none(self) -> None:
        """Wait until there is no container left that stays."""
        while self.any or not self._run.empty:
            await wait([], _INTERVAL)

    def _watch(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._loop.spawn(self._see_to_ends())

    async def _see_to_ends(self) -> None:
        while self.any:
            await wait([], _INTERVAL)
            for life in list(self._run.lives.values()):
                if _is_over(life):
                    self._run.destroy(life.name)
        self._is_watching = False


def _is_over(life: Life) -> bool:
    record = life.record
    if record.kept:
        return time.time() - record.kept > MOST_AGE
    return record.is_removed and bool(record.ended)
