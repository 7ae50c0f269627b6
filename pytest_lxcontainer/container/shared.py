"""A container that several processes of a run have in common."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import LxContainerError, StartFailedError
from .backend import Status
from .container import Container

_PATIENCE = 30.0
"""Seconds beyond its own deadline that who starts it may take."""


@dataclass(frozen=True, slots=True)
class Share:
    """Who shares a container: all who give the same *key*, of at most so many *processes*."""

    key: str
    processes: int = 1


class SharedContainer(Container):
    """Started by the first process that asks for it, and removed when the last has released it.

    Making one waits for whoever is starting it, and raises what kept it from becoming ready.
    """

    def _reserve(self) -> Status:
        status, self.is_first = self._backend.share(self._spec, self._traits.readiness.timeout + _PATIENCE)
        self._begun = False
        return status

    def start(self) -> Container:
        """Start it, wait until it is ready, and let the others have it; does nothing where another process did that.

        A second time it starts what has been stopped, as `Container.start` does.
        """
        __tracebackhide__ = True
        if self._begun:
            return super().start()
        self._begun = True
        self.started_at = time.time()
        return self._start_for_all() if self.is_first else self

    def _start_for_all(self) -> Container:
        __tracebackhide__ = True
        try:
            super().start()
        except BaseException as error:
            self._backend.settle(self.id, error if isinstance(error, LxContainerError) else self._interrupted(error))
            raise
        self._backend.settle(self.id)
        return self

    def _interrupted(self, error: BaseException) -> StartFailedError:
        """For those who wait: what is none of ours may be raised again only where it came up."""
        return StartFailedError(
            f"container {self.name} was not made ready by the process that started it",
            details=f"{type(error).__name__}: {error}",
            container=self.name,
            log=self.log_tail(),
        )

    def release(self) -> None:
        """Have done with it; the last of all who may share it takes it along."""
        if not self._destroyed:
            self.remains = self._timed("release", lambda: self._backend.release(self.id))
            self._destroyed = True
