"""A container that may have been started, and have become ready, before it is asked for."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial

from ..image.config import Healthcheck
from ..image.image import Image
from . import wait
from .backend import Backend, Status
from .container import Container
from .demand import Demand, Preparation
from .portable import from_plain, to_plain
from .spec import ContainerSpec
from .traits import Readiness, Traits


def preparation_of(traits: Traits) -> Preparation:
    """That of a container with *traits*."""
    readiness = traits.readiness
    check = traits.healthcheck
    plain = {**asdict(check), "test": list(check.test)} if check else None
    return Preparation(to_plain(readiness.conditions), readiness.timeout, list(traits.shell), traits.home, plain)


def traits_for(preparation: Preparation) -> Traits:
    """What *preparation* came from, as far as readiness is concerned."""
    check = preparation.healthcheck
    return Traits(
        Readiness(from_plain(preparation.conditions or ()), preparation.timeout),
        healthcheck=Healthcheck.from_dict(check) if check else None,
        shell=tuple(preparation.shell),
        home=preparation.home,
    )


def may_be_started_ahead(spec: ContainerSpec, traits: Traits) -> bool:
    """Whether a container finds the same at its start whenever that is.

    What is mounted from the host may change until it is asked for; what is awaited to end would have ended.
    """
    return not spec.mounts and not any(map(wait.expects_exit, traits.readiness.conditions))


class PooledContainer(Container):
    """Taken from the backend's pool, or made as every other where that has none; *coming* and *most* as in `Demand`."""

    def __init__(
        self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits, *, coming: int, most: int | None
    ) -> None:
        self._demand = Demand(coming, most, preparation_of(traits))
        super().__init__(backend, spec, image, traits)

    def _reserve(self) -> Status:
        status, self._is_ready = self._backend.take(self._spec, self._demand)
        self.was_started = self._is_started = status.state != "STOPPED"
        return status

    def start(self) -> Container:
        """Start it unless it has been, and wait until it is ready; a second time it is `Container.start`."""
        __tracebackhide__ = True
        if not self._is_started:
            return super().start()
        self._is_started = False
        self.started_at = time.time()
        if not self._is_ready:
            readiness = self._traits.readiness
            deadline = time.monotonic() + readiness.timeout
            self._timed("ready", partial(wait.until_all, self, readiness.conditions, deadline))
        return self
