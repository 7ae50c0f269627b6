"""What a container was asked to be, for whoever makes an image of it, or another one like it."""

from __future__ import annotations

from .part import Part
from .settings import ContainerSettings
from .spec import ContainerSpec


def spec_of(container: Part) -> ContainerSpec:
    """All of it, with nothing left open."""
    return container._spec


def settings_of(container: Part) -> ContainerSettings:
    """What was asked beside its image; nothing, where that is not known."""
    return container._traits.settings or ContainerSettings()
