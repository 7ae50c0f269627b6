"""Memory and processor time of each container over time, for who asks.

Until somebody does, it costs nothing. Then each is looked at a few times a second, in a small part of the time that the
supervisor has, however many there are. What is kept of one is bounded, and outlives it until the end of the run.
"""

from __future__ import annotations

import time
from array import array

from ..container.stats import Processes, read_usage
from .life import Life
from .loop import Loop, wait
from .run import Run

INTERVAL = 0.1
"""Seconds from one look at a container to the next, where there is time for that."""

PART = 0.02
"""How much of its time the supervisor spends on looking."""

_AT_A_TIME = 0.0005
"""Seconds of looking after which requests come first."""

MOST = 240
"""Samples that are kept of a container: when there are more, each two are made one, and half as many taken."""


class Series:
    """Samples of one container: moments (monotonic seconds), bytes of memory, and seconds of processor time so far."""

    def __init__(self) -> None:
        self._moments, self._memory, self._cpu = array("d"), array("q"), array("d")
        self._step = 1
        self._skipped = 0

    def note(self, moment: float, memory: int, cpu: float, *, last: bool = False) -> None:
        """Add a sample, unless it is one of those that are left out; the *last* is not."""
        self._skipped += 1
        if self._skipped < self._step and not last:
            return
        self._skipped = 0
        if len(self._cpu) > 1 and self._is_still(memory, cpu):
            self._moments[-1] = moment
            return
        self._moments.append(moment)
        self._memory.append(memory)
        self._cpu.append(cpu)
        if len(self._cpu) > MOST:
            self._thin_out()

    def _is_still(self, memory: int, cpu: float) -> bool:
        """Whether nothing has changed for two samples: all of a pause is told by its first and its last."""
        return all(self._memory[at] == memory and self._cpu[at] == cpu for at in (-1, -2))

    def _thin_out(self) -> None:
        """Make each two samples one, with the more memory of both: a peak stays. The first is left as it is."""
        peaks = [max(pair) for pair in zip(self._memory[1::2], self._memory[2::2], strict=True)]
        self._memory = array("q", [self._memory[0], *peaks])
        self._moments = self._moments[::2]
        self._cpu = self._cpu[::2]
        self._step *= 2

    def to_plain(self) -> list[list[float]]:
        """``[moments, memory, cpu]`` for JSON."""
        return [list(self._moments), list(self._memory), [round(seconds, 6) for seconds in self._cpu]]


class Sampling:
    """The series of all containers of *run*, from `begin` on."""

    def __init__(self, run: Run, loop: Loop) -> None:
        self._run = run
        self._loop = loop
        self._series: dict[str, Series] = {}
        self._begun = False

    def begin(self) -> None:
        """Look at all containers from now on."""
        if not self._begun:
            self._begun = True
            self._loop.spawn(self._look_again_and_again())

    def note(self, life: Life, *, last: bool = False) -> None:
        """Look at one that runs, now; with *last* it is about to end."""
        if not self._begun:
            return
        usage = _usage(life)
        if usage is not None:
            self._series.setdefault(life.name, Series()).note(time.monotonic(), *usage, last=last)

    def to_plain(self) -> dict[str, list[list[float]]]:
        """By the name of the container; see `Series.to_plain`."""
        return {name: series.to_plain() for name, series in self._series.items()}

    async def _look_again_and_again(self) -> None:
        while True:
            spent = 0.0
            for life in list(self._run.lives.values()):
                begin = time.monotonic()
                self.note(life)
                spent += time.monotonic() - begin
                if spent > _AT_A_TIME:
                    await wait([], spent / PART)
                    spent = 0.0
            await wait([], INTERVAL)


def _usage(life: Life) -> tuple[int, float] | None:
    """Bytes and seconds of a container; ``None`` unless it runs."""
    boot = life.boot
    if boot is None or not boot.executed or boot.init is None or boot.entry is None:
        return None
    try:
        return read_usage(Processes(boot.init, boot.entry, boot.spent), boot.cgroups, life.host.limits_apply)
    except OSError:  # it has ended just now
        return None
