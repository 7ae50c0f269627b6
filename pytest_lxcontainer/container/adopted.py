"""A container that was there before whoever holds it."""

from __future__ import annotations

from ..image.image import Image
from .backend import Backend, Status
from .container import Container
from .spec import ContainerSpec
from .traits import Traits


class AdoptedContainer(Container):
    """The container of *backend* whose state is *status*; to leave it alone, let go of it."""

    is_first = False

    def __init__(self, backend: Backend, spec: ContainerSpec, image: Image, traits: Traits, status: Status) -> None:
        self._there = status
        super().__init__(backend, spec, image, traits)

    def _reserve(self) -> Status:
        return self._there
