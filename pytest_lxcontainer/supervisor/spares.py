"""The pool's clones: containers that run, are ready and stand still until somebody takes them."""

from __future__ import annotations

import select
import time
from dataclasses import replace
from typing import Any

from ..container.demand import Preparation
from ..container.spec import ContainerSpec
from ..errors import NotRunningError
from .life import Life
from .loop import Loop, wait
from .run import POOL, Run
from .snapshots import Snapshots
from .start import start
from .warmer import Warmer

_UNHURRIED = 0.003
"""Seconds; a look costs a tenth of a millisecond of the time in which requests are not answered."""


class Spares:
    """Makes clones of *run* for its `Pool`."""

    def __init__(self, run: Run, snapshots: Snapshots, loop: Loop) -> None:
        self._run = run
        self._snapshots = snapshots
        self._loop = loop
        self._warmer = Warmer(run.run_id, run.directory.parent)
        self._count = 0

    async def make(self, spec: ContainerSpec, preparation: Preparation) -> Life:
        """See `Maker`."""
        self._count += 1
        # A group of its own: nobody resolves it, and it resolves nobody, until it has been taken.
        life = self._run.create(replace(spec, group=("pool", str(self._count))), POOL)
        # Whoever asks for something now comes first.
        await wait([], 0)
        try:
            await self._snapshots.make_dirs(life)
            self._run.life(life.name)  # it is gone where the run ends
            await start(self._run, life, self._loop, preparation.timeout, _UNHURRIED)
            await self._make_ready(life, preparation)
        except Exception:
            self._run.destroy(life.name)
            raise
        return life

    async def _make_ready(self, life: Life, preparation: Preparation) -> None:
        if preparation.conditions:
            await self._warmer.make_ready(life.name, life.spec, preparation)
        if not self.is_alive(life):
            raise NotRunningError(f"container {life.name} has ended in the pool", container=life.name)
        # What only the asker can wait for goes on until then.
        life.hold(still=preparation.conditions is not None)

    def is_alive(self, clone: Life) -> bool:
        """See `Maker`."""
        clone.notice_end()
        boot = clone.boot
        if boot is None or boot.entry_pidfd is None or self._run.lives.get(clone.name) is not clone:
            return False
        # LXC needs a moment to notice the end of a command.
        return not select.select([boot.entry_pidfd], [], [], 0)[0]

    def size(self, clone: Life) -> int:
        """See `Maker`."""
        figures: dict[str, Any] = clone.stats()
        return int(figures["memory_usage"])

    def discard(self, clone: Life) -> None:
        """See `Maker`."""
        self._run.destroy(clone.name)

    def suits(self, spec: ContainerSpec) -> bool:
        """Whether a clone is as good as a container of *spec* that is started now.

        It is not where that would see others from its first moment on, as a service sees its database.
        """
        return not self._run.neighbours.has(spec.group)

    async def hand_over(self, clone: Life, group: tuple[str, ...], pid: int) -> None:
        """Make *clone* a container of process *pid*, in *group*, and let it go on."""
        clone.creator = pid
        clone.record.created = time.time()
        clone.console.date(time.time())
        await self._run.join(clone, group)
        clone.freezing.let_go()

    def close(self) -> None:
        """End who makes clones ready."""
        self._warmer.close()
