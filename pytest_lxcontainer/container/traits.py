"""What a `Container` is given beside its spec."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..image.config import Healthcheck
from .timing import Observer
from .wait import Condition

if TYPE_CHECKING:
    from .settings import ContainerSettings

DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What to wait for after a start: *conditions* in order, all within *timeout* seconds."""

    conditions: tuple[Condition, ...] = ()
    timeout: float = DEFAULT_TIMEOUT


@dataclass(frozen=True, slots=True)
class Traits:
    """What a `Container` knows beside its spec: how to tell that it is ready, its ports, its health check and shell.

    *observer* is told of each operation that takes time. *settings* are what its spec was made of beside the image.
    """

    readiness: Readiness = Readiness()
    ports: tuple[int, ...] = ()
    healthcheck: Healthcheck | None = None
    shell: tuple[str, ...] = ("/bin/sh", "-c")
    home: str = "/root"
    observer: Observer | None = field(default=None, compare=False)
    settings: ContainerSettings | None = field(default=None, compare=False)
