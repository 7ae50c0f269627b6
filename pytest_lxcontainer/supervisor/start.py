"""Starting a container, and what looks after it from then on."""

from __future__ import annotations

from .life import Life
from .loop import Loop


async def start(life: Life, loop: Loop, timeout: float) -> None:
    """Start *life*'s container once nothing of its last start is left; raises as `Life.start`."""
    if life.exit_code is not None:
        await life.until_clean()
    await life.works.until_done()
    starting = life.start(timeout)
    loop.spawn(_pump_when_begun(life))
    await starting
    loop.spawn(life.watch_memory())


async def _pump_when_begun(life: Life) -> None:
    if life.boot is not None:
        await life.pump()
