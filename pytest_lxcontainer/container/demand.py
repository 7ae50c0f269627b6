"""What a pool is told of containers that will be asked for, in plain values: it does without all that makes them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preparation:
    """What it takes to make a clone ready, in plain values.

    *conditions* are those of `portable.to_plain`, ``None`` where only the asker can wait for them; *timeout* is in
    seconds. The rest is as in `Traits`.
    """

    conditions: list[list[Any]] | None
    timeout: float
    shell: list[str]
    home: str
    healthcheck: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Demand:
    """A container of which *coming* more, all alike, will be asked for soon by the same process.

    *most* is how many a pool may keep ahead of them (``None``: as the host allows), *preparation* what makes one ready.
    """

    coming: int
    most: int | None
    preparation: Preparation

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Demand:
        """Rebuild from what `to_dict` gave."""
        return cls(data["coming"], data["most"], Preparation(**data["preparation"]))
