"""What the parts of a `Container` share; each part is a group of its methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..image.image import Image
from .backend import Backend, Remains, Status
from .spec import ContainerSpec
from .timing import timed
from .traits import Traits

T = TypeVar("T")


class Part:
    """A container of *backend* that has its directory and address and is not started."""

    is_first = True
    """Whether no other process had it before."""

    is_stand_in = False
    """Whether something that only waits runs in place of its own command: of what was saved when it had ended."""

    def __init__(self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits = Traits()) -> None:
        self._backend = backend
        self._spec = spec
        self._traits = traits
        self.image = image
        reserved = self._reserve()
        self.id = reserved.name
        """Unique in the run."""
        self._ips = reserved.ips
        self._last: Status = reserved
        self._destroyed = False
        self.started_at: float | None = None
        """When this process last started it, or got it started (seconds since the epoch)."""
        self.remains: Remains | None = None
        """How it was, and what it had written, the moment before it was destroyed; ``None`` until then."""

    def _reserve(self) -> Status:
        return self._backend.create(self._spec)

    @property
    def name(self) -> str:
        """Its host name, under which its peers resolve it."""
        return self._spec.hostname

    @property
    def is_destroyed(self) -> bool:
        """Whether it is no more, or this process has done with it."""
        return self._destroyed

    def status(self) -> Status:
        """State, pid and exit code at one moment; what was last known once it is destroyed."""
        if not self._destroyed:
            self._last = self._backend.status(self.id)
        return self._last

    def _timed(self, operation: str, work: Callable[[], T]) -> T:
        __tracebackhide__ = True
        return timed(self._traits.observer, self, operation, work)  # type: ignore[arg-type]  # a whole one
