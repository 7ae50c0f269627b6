"""What several faults come to for a packet that they all match."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .fault import Fault


@dataclass(frozen=True, slots=True)
class Treatment:
    """Seconds, and shares between 0 and 1; *rate* in bits per second, 0 where it is not limited."""

    delay: float = 0.0
    jitter: float = 0.0
    lost: float = 0.0
    overtaking: float = 0.0
    corrupted: float = 0.0
    rate: float = 0.0

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Treatment:
        """Delays add up, shares compound, the lowest rate rules."""
        each = list(faults)
        return cls(
            delay=sum(fault.amount for fault in each if fault.kind == "delay"),
            jitter=sum(fault.jitter for fault in each),
            lost=_any_of(share for fault in each if (share := loss_of(fault))),
            overtaking=_any_of(fault.amount for fault in each if fault.kind == "reorder"),
            corrupted=_any_of(fault.amount for fault in each if fault.kind == "corrupt"),
            rate=min((fault.amount for fault in each if fault.kind == "rate"), default=0.0),
        )


def loss_of(fault: Fault) -> float:
    """The share of packets that *fault* loses."""
    if fault.kind in ("partition", "down"):
        return 1.0
    return fault.amount if fault.kind == "loss" else 0.0


def _any_of(shares: Iterable[float]) -> float:
    return 1.0 - math.prod(1.0 - share for share in shares)
