"""A further network of a test."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidSettingsError

NETWORKS = ("default", "isolated", "none")
"""Words for a container's network; see `ContainerSettings`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class PrivateNetwork:
    """A network beside a test's default one: ``containers.network("back")``.

    Containers that are started with ``network=`` it reach those on it, and resolve them by name; a container may be on
    several: ``network=["default", back]``.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in NETWORKS:
            raise InvalidSettingsError(
                f"{self.name!r} is no name for a network",
                hint=f"letters, digits, '.', '_' and '-', and none of: {', '.join(NETWORKS)}",
            )

    def __str__(self) -> str:
        return self.name
