"""What is remembered of a container beside what it is and how: when, for whom, and until when."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..container.backend import Status
from ..container.spec import ContainerSpec

_ID_LENGTH = 12


@dataclass(slots=True)
class Record:
    """Times are in seconds since the epoch, 0 for what has not come.

    What *stays* does so when the run and the process that asked for it have ended; *is_removed* tells that it goes as
    soon as its command has ended. *test* is the one that failed, of a container that was kept for that at *kept*.
    *note* is what its client wants to know later.
    """

    created: float
    started: float = 0.0
    ended: float = 0.0
    stays: bool = False
    is_removed: bool = False
    test: str = ""
    kept: float = 0.0
    note: Mapping[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """It runs now."""
        self.started, self.ended = time.time(), 0.0

    def end(self) -> None:
        """It has ended."""
        self.ended = time.time()
        self.started = self.started or self.ended


@dataclass(frozen=True, slots=True)
class Listed:
    """A container of run *run_id*, seen from outside of the run."""

    run_id: str
    spec: ContainerSpec
    status: Status
    record: Record

    @property
    def id(self) -> str:
        """What a person types, of all containers of a host."""
        return container_id(self.run_id, self.status.name)

    @property
    def name(self) -> str:
        """Its host name."""
        return self.spec.hostname

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"spec": self.spec.to_dict(), "status": asdict(self.status), "record": asdict(self.record)}

    @classmethod
    def from_dict(cls, run_id: str, data: Mapping[str, Any]) -> Listed:
        """Rebuild from what `to_dict` gave."""
        status = Status(**{**data["status"], "ips": tuple(data["status"]["ips"])})
        return cls(run_id, ContainerSpec.from_dict(data["spec"]), status, Record(**data["record"]))


def container_id(run_id: str, name: str) -> str:
    """That of container *name* of a run: 12 hexadecimal digits, as Docker shows them."""
    from hashlib import sha256  # the supervisor, which every fork copies, does without it

    return sha256(f"{run_id}/{name}".encode()).hexdigest()[:_ID_LENGTH]
