"""Packets that wait: what the kernel's own traffic control cannot do to them where it lacks netem."""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Sequence

from .fault import WAYS, Fault, Way
from .nfqueue import Packet, accepted, dropped
from .treatment import Treatment

_TCP, _UDP = 6, 17
_LATER_FRAGMENT = 0x1FFF
_MOST_REMEMBERED = 10_000


class Holder:
    """Says when each packet goes on, and how.

    Their order is kept among those that are treated alike, whatever the jitter: one that would be due before the one it
    follows goes with that. Only those that ``reorder`` chooses overtake; they do not wait at all.
    """

    def __init__(self) -> None:
        self._faults: dict[Way, list[Fault]] = {way: [] for way in WAYS}
        self._treatments: dict[tuple[Way, bytes], Treatment] = {}
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last_due: dict[tuple[Way, Treatment], float] = {}

    def set(self, faults: Sequence[Fault]) -> None:
        """Have exactly *faults* befall what comes from now on; what waits already is not held longer than said then."""
        self._faults = {way: [fault for fault in faults if fault.goes(way)] for way in WAYS}
        self._treatments.clear()
        self._last_due.clear()
        if not faults:
            self._waiting = sorted((0.0, number, verdict) for _, number, verdict in self._waiting)

    def take(self, packet: Packet, now: float) -> None:
        """Decide about *packet*, which has come at *now* of the monotonic clock."""
        treatment = self._treatment(packet)
        if treatment.lost and random.random() < treatment.lost:
            self._put(now, dropped(packet))
        else:
            self._put(self._due(packet.way, treatment, now), self._verdict(packet, treatment))

    def due(self, now: float) -> list[bytes]:
        """The verdicts whose time has come."""
        verdicts = []
        while self._waiting and self._waiting[0][0] <= now:
            verdicts.append(heapq.heappop(self._waiting)[2])
        return verdicts

    def timeout(self) -> float | None:
        """Seconds until the next is due; ``None`` where nothing waits."""
        return max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None

    def _put(self, due: float, verdict: bytes) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (due, self._count, verdict))

    def _due(self, way: Way, treatment: Treatment, now: float) -> float:
        if treatment.overtaking and random.random() < treatment.overtaking:
            return now
        due = now + treatment.delay
        if treatment.jitter:
            due += random.uniform(-treatment.jitter, treatment.jitter)
            due = max(due, self._last_due.get((way, treatment), 0.0))
            self._last_due[way, treatment] = due
        return due

    def _verdict(self, packet: Packet, treatment: Treatment) -> bytes:
        if treatment.corrupted and random.random() < treatment.corrupted:
            return accepted(packet, with_a_wrong_bit(packet.content))
        return accepted(packet)

    def _treatment(self, packet: Packet) -> Treatment:
        ends = _ends(packet)
        treatment = self._treatments.get((packet.way, ends))
        if treatment is None:
            if len(self._treatments) >= _MOST_REMEMBERED:
                self._treatments.clear()
            matching = (fault for fault in self._faults[packet.way] if _is_for(fault, ends))
            treatment = self._treatments[packet.way, ends] = Treatment.of(matching)
        return treatment


def with_a_wrong_bit(packet: memoryview) -> bytes:
    """A copy of an IP *packet* with one bit behind its header turned, if there is any."""
    changed = bytearray(packet)
    start = _header_size(packet)
    if start < len(changed):
        changed[random.randrange(start, len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _ends(packet: Packet) -> bytes:
    """The peer's address, and both ports where there are any."""
    content = packet.content
    address = content[16:20] if packet.way == "out" else content[12:16]
    start = _header_size(content)
    is_first = not int.from_bytes(content[6:8], "big") & _LATER_FRAGMENT
    has_ports = content[9] in (_TCP, _UDP) and is_first
    return bytes(address) + bytes(content[start : start + 4] if has_ports else b"")


def _is_for(fault: Fault, ends: bytes) -> bool:
    address, ports = ends[:4], {int.from_bytes(ends[at : at + 2], "big") for at in range(4, len(ends), 2)}
    return (not fault.peers or any(peer.packed == address for peer in fault.peers)) and (
        not fault.ports or not ports.isdisjoint(fault.ports)
    )


def _header_size(packet: memoryview) -> int:
    return (packet[0] & 0xF) * 4
