"""What can befall a container's packets: a list of `Fault` is in force together."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from typing import Any, Literal, get_args

from ...errors import InvalidSettingsError

Kind = Literal["delay", "loss", "duplicate", "reorder", "corrupt", "rate", "partition", "down"]
Direction = Literal["out", "in", "both"]
Way = Literal["out", "in"]
"""One direction: ``"out"`` is what the container sends."""

KINDS: tuple[Kind, ...] = get_args(Kind)
WAYS: tuple[Way, ...] = get_args(Way)

DEFAULT_DIRECTION: dict[Kind, Direction] = {
    kind: "both" if kind in ("rate", "partition", "down") else "out" for kind in KINDS
}
"""Where nobody says another: what a round trip is to meet once meets it on the way out."""

MOST = 100
"""Peers, and ports, that one fault may name: what jumps of one byte in a kernel's filter reach."""

_SHARES = ("loss", "duplicate", "reorder", "corrupt")
_PREPOSITIONS = {"out": "to", "in": "from", "both": "to and from"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which packets: those of any of *peers* (none named: everybody) with any of *ports* at either end (none: all)."""

    peers: tuple[IPv4Address, ...] = ()
    ports: tuple[int, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not self.peers and not self.ports


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that befalls the packets of *peers* and *ports*; `InvalidSettingsError` for what cannot be.

    *amount* is in seconds for ``delay``, in bits per second for ``rate``, a share between 0 and 1 for ``loss``,
    ``duplicate``, ``reorder`` (of packets that overtake those delayed) and ``corrupt``. *jitter* is in seconds: a delay
    is evenly spread between *amount* - *jitter* and *amount* + *jitter*. No peers mean everybody, no ports all. A port
    is TCP's or UDP's, and either end's.
    """

    kind: Kind
    direction: Direction
    peers: tuple[IPv4Address, ...] = ()
    ports: tuple[int, ...] = ()
    amount: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for wrong, problem in (
            (self.kind not in KINDS, f"no such fault: {self.kind!r}; there are {', '.join(KINDS)}"),
            (self.direction not in _PREPOSITIONS, f"no such direction: {self.direction!r}; there are out, in and both"),
            (len(self.peers) > MOST or len(self.ports) > MOST, f"a fault has at most {MOST} peers and {MOST} ports"),
            (not all(0 < port < 65536 for port in self.ports), f"no ports: {self.ports}; they are 1 to 65535"),
            (not math.isfinite(self.amount) or self.amount < 0, f"{self.kind} of {self.amount}"),
            (self.kind in _SHARES and self.amount > 1, f"{self.kind} of more than everything: {self.amount}"),
            (self.kind == "rate" and self.amount < 8, f"too low a rate: {self.amount} bit/s"),
            (not 0 <= self.jitter <= self.amount, f"jitter is to be between 0 and the delay: {self.jitter}"),
            (self.kind != "delay" and self.jitter > 0, f"{self.kind} has no jitter"),
            (self.kind == "down" and not self.selection.is_everything, "down is so for all peers and ports"),
        ):
            if wrong:
                raise InvalidSettingsError(problem)

    def __str__(self) -> str:
        parts = [
            f"{self.kind} {self._amount_text()}".rstrip(),
            "both ways" if self.direction == "both" else self.direction,
        ]
        if whom := self._selection_text():
            parts.append(whom)
        return ", ".join(parts)

    @property
    def selection(self) -> Selection:
        """Which packets it is for, apart from their direction."""
        return Selection(self.peers, self.ports)

    def goes(self, way: Way) -> bool:
        """Whether it is for packets that go this way."""
        return self.direction in (way, "both")

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {**asdict(self), "peers": [str(peer) for peer in self.peers], "ports": list(self.ports)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Fault:
        """What `to_dict` has made."""
        peers = tuple(IPv4Address(peer) for peer in values.get("peers", ()))
        return cls(**{**values, "peers": peers, "ports": tuple(values.get("ports", ()))})

    def _amount_text(self) -> str:
        if self.kind == "delay":
            spread = f" ± {_milliseconds(self.jitter)}" if self.jitter else ""
            return _milliseconds(self.amount) + spread
        if self.kind == "rate":
            return _rate(self.amount)
        return f"{self.amount * 100:g} %" if self.kind in _SHARES else ""

    def _selection_text(self) -> str:
        words = []
        if self.peers:
            words += [_PREPOSITIONS[self.direction], ", ".join(map(str, self.peers))]
        if self.ports:
            words += ["port" if len(self.ports) == 1 else "ports", ", ".join(map(str, self.ports))]
        return " ".join(words)


def _milliseconds(duration: float) -> str:
    return f"{duration * 1000:g} ms"


def _rate(rate: float) -> str:
    for unit in ("bit/s", "kbit/s", "Mbit/s"):
        if rate < 1000:
            return f"{rate:g} {unit}"
        rate /= 1000
    return f"{rate:g} Gbit/s"
