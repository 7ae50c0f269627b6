"""Starting a container, and what looks after it from then on."""

from __future__ import annotations

from .boot import PROBE_INTERVAL
from .life import Life
from .loop import Loop
from .run import Run


async def start(run: Run, life: Life, loop: Loop, timeout: float, pause: float = PROBE_INTERVAL) -> None:
    """Start *life*'s container once nothing of its last start is left; as `Life.start`."""
    if life.exit_code is not None:
        await life.until_clean()
    await life.works.until_done()
    try:
        await life.start(lambda: life.attend(loop), timeout, pause)
    finally:
        run.life(life.name)  # what was destroyed meanwhile is told as such
    loop.spawn(life.watch_memory())
    run.expect_removals()
